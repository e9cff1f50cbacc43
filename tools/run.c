/*
 * run.c: `phkmalloc run`: any program on the library, and what it took when it is over. The
 * summary's figures of the heap are those that the library itself counts at exit (option D); the
 * kernel's come from wait4().
 */
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIBRARY "libphkmalloc.so.1"
#define LOOK_NS 10000000 /* between two looks at the memory of the program */

/* Beside the command, or where an installation puts it beside bin. */
static const char *
find_library(void)
{
	static char path[PATH_MAX];
	static const char *const places[] = { "", "../lib/", "../lib/x86_64-linux-gnu/",
		"../lib/aarch64-linux-gnu/", "../lib/riscv64-linux-gnu/", "../lib64/" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	if (strrchr(self, '/') != NULL)
		strrchr(self, '/')[1] = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int len = snprintf(path, sizeof(path), "%s%s%s", self, places[i], LIBRARY);

		if (len > 0 && (size_t)len < sizeof(path) && access(path, R_OK) == 0)
			return path;
	}
	return NULL;
}

static void
prepend(const char *name, const char *first, const char *separator)
{
	const char *old = getenv(name);
	char *value;

	if (old == NULL || *old == '\0')
		value = xstrdup(first);
	else if (asprintf(&value, "%s%s%s", first, separator, old) < 0)
		fail(STATUS_OTHER, "out of memory");
	if (setenv(name, value, 1) != 0)
		fail(STATUS_OTHER, "out of memory");
	free(value);
}

static void
summary(const char *program, const struct rusage *r, uint64_t rss_last, double seconds)
{
	double cpu = (double)(r->ru_utime.tv_sec + r->ru_stime.tv_sec) +
	    (double)(r->ru_utime.tv_usec + r->ru_stime.tv_usec) / 1e6;

	fprintf(stderr, "phkmalloc: %s took %s at most", program,
	    show_bytes((uint64_t)r->ru_maxrss * 1024));
	/* What was seen last is only near the end when it is one look of many. */
	if (seconds > 10 * LOOK_NS / 1e9)
		fprintf(stderr, ", %s when last seen", show_bytes(rss_last));
	fprintf(stderr, "; %s page faults, %s of them from disk; %.2f s, %.2f s of CPU\n",
	    show_count((uint64_t)(r->ru_minflt + r->ru_majflt)), show_count((uint64_t)r->ru_majflt),
	    seconds, cpu);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What the process had when last seen: its memory is gone before its status can be collected. */
static uint64_t
watch(pid_t pid)
{
	struct target t = { .pid = pid };
	struct kernel_figures k;
	uint64_t rss = 0;
	siginfo_t info = { 0 };

	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == 0) {
		kernel_figures(&t, &k);
		if (k.rss != 0)
			rss = k.rss;
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
	}
	return rss;
}

/* The program gets the terminal's signals itself; this command waits for what it does. */
static int
run_and_wait(char **program)
{
	double start = now();
	struct rusage r;
	uint64_t rss;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		fail(STATUS_OTHER, "%s: %s", program[0], strerror(errno));
	if (pid == 0) {
		execvp(program[0], program);
		fprintf(stderr, "phkmalloc: %s: %s\n", program[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	rss = watch(pid);
	while (wait4(pid, &status, 0, &r) < 0)
		if (errno != EINTR)
			fail(STATUS_OTHER, "%s: %s", program[0], strerror(errno));
	summary(program[0], &r, rss, now() - start);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int
command_run(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "summary", no_argument, NULL, 's' },
		{ 0 },
	};
	const char *library = find_library(), *letters = NULL;
	bool with_summary = false;
	int c;

	while ((c = getopt_long(argc, argv, "+o:", longs, NULL)) != -1) {
		if (c == 'o')
			letters = optarg;
		else if (c == 's')
			with_summary = true;
		else
			usage("run");
	}
	if (optind == argc)
		usage("run");
	if (library == NULL)
		fail(STATUS_FILE, LIBRARY " is neither beside this command nor in ../lib");
	prepend("LD_PRELOAD", library, ":");
	if (letters != NULL && setenv("MALLOC_OPTIONS", letters, 1) != 0)
		fail(STATUS_OTHER, "out of memory");
	if (with_summary) {
		prepend("MALLOC_OPTIONS", "D", "");
		return run_and_wait(argv + optind);
	}
	execvp(argv[optind], argv + optind);
	fprintf(stderr, "phkmalloc: %s: %s\n", argv[optind], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
