/*
 * tap.h: what tests of the public interface share: TAP lines, random numbers, and children that
 * are expected to die, with what they wrote to standard error and how they ended.
 *
 * Allocates nothing itself, so that a test knows what the heap holds. Not for several threads:
 * only the main thread prints promises.
 */
#ifndef TEST_TAP_H
#define TEST_TAP_H

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

static unsigned tap_count, tap_failed;

__attribute__((constructor)) static void
tap_start(void)
{
	static char buffer[BUFSIZ];

	setvbuf(stdout, buffer, _IOLBF, sizeof(buffer));
}

/* One promise, kept or not. */
__attribute__((format(printf, 2, 3))) UNUSED static bool
ok(bool kept, const char *format, ...)
{
	va_list ap;

	tap_failed += !kept;
	printf("%sok %u - ", kept ? "" : "not ", ++tap_count);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	return kept;
}

UNUSED static void
skip(const char *promise, const char *why)
{
	printf("ok %u - %s # SKIP %s\n", ++tap_count, promise, why);
}

/* Skips what would measure QEMU instead of the program that it runs. */
UNUSED static bool
skip_emulated(const char *promise)
{
	if (getenv("QEMU_CPU") == NULL)
		return false;
	skip(promise, "QEMU's own memory would be looked at");
	return true;
}

/* The exit status of the test. */
UNUSED static int
tap_done(void)
{
	printf("1..%u\n", tap_count);
	fflush(stdout);
	return tap_failed != 0;
}

/* splitmix64. Tests print the seed they start from. */
UNUSED static uint64_t
random_next(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15U;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

/* From the environment variable SEED, else the clock; says which. */
UNUSED static uint64_t
random_start(void)
{
	const char *given = getenv("SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 0) :
	    (uint64_t)time(NULL) * 1000003U + (uint64_t)getpid();

	printf("# SEED=%#llx\n", (unsigned long long)seed);
	return seed;
}

/* Keeps a pointer from the compiler's knowledge of what malloc and free do. */
UNUSED static void *
opaque(void *p)
{
	__asm__ volatile("" : "+r"(p));
	return p;
}

/* How a child ended. */
struct ended {
	pid_t pid;
	int status;      /* of waitpid; 0 is well */
	size_t len;
	char text[4096]; /* what it wrote to standard error, zero-terminated; more is dropped */
};

/*
 * Ends a process that hangs, and none that is slow: it gets far more than what would do, for
 * machines that others use too, and for QEMU.
 */
UNUSED static void
hang_limit(unsigned seconds)
{
	alarm(seconds * (getenv("QEMU_CPU") != NULL ? 20 : 4));
}

/* Runs act(arg) in a forked child that exits with what it returns, unless it hangs. */
UNUSED static void
child_run(struct ended *e, int (*act)(void *), void *arg)
{
	int ends[2];
	char *rest;
	ssize_t n;

	memset(e, 0, sizeof(*e));
	fflush(NULL);
	if (pipe(ends) != 0)
		abort();
	e->pid = fork();
	if (e->pid < 0)
		abort();
	if (e->pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		hang_limit(60);
		_exit(act(arg));
	}
	close(ends[1]);
	for (;;) {
		char more[512];
		bool full = e->len + 1 >= sizeof(e->text);

		n = full ? read(ends[0], more, sizeof(more)) :
		    read(ends[0], e->text + e->len, sizeof(e->text) - 1 - e->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (!full)
			e->len += (size_t)n;
	}
	close(ends[0]);
	/* QEMU has its say about programs that are killed. */
	if (getenv("QEMU_CPU") != NULL && (rest = strstr(e->text, "qemu: uncaught target")) != NULL) {
		*rest = '\0';
		e->len = (size_t)(rest - e->text);
	}
	while (waitpid(e->pid, &e->status, 0) < 0 && errno == EINTR)
		;
}

UNUSED static bool
died_of(const struct ended *e, int signal_no)
{
	return WIFSIGNALED(e->status) && WTERMSIG(e->status) == signal_no;
}

/* Runs act(arg) in a child: a promise that it returns 0. */
UNUSED static void
ok_in_child(int (*act)(void *), void *arg, const char *promise)
{
	struct ended e;

	child_run(&e, act, arg);
	if (!ok(e.status == 0, "%s", promise))
		printf("# status %#x, standard error: %s\n", (unsigned)e.status, e.text);
}

#endif
