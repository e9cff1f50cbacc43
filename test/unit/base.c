/* Text without allocation, junk and canaries, bits, locks, faults' texts. */
#include "base/fmt.h"
#include "diag/fault.h"
#include "diag/fill.h"
#include "os/env.h"
#include "os/lock.h"
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int counter;

static void *
count_up(void *arg)
{
	for (int i = 0; i < 100000; i++) {
		lock_take(LOCK_SAMPLE);
		counter++;
		lock_drop(LOCK_SAMPLE);
	}
	return arg;
}

/* An assertion that does not hold ends the process with its place and words. */
static int
assertion(void)
{
	char got[300] = "", want[300];
	int ends[2], status;
	pid_t child;

	if (pipe(ends) != 0 || (child = fork()) < 0)
		return 0;
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		assert_failed("page.c", 7, "a == b");
	}
	close(ends[1]);
	if (read(ends[0], got, sizeof(got) - 1) < 0 || waitpid(child, &status, 0) != child)
		return 0;
	close(ends[0]);
	snprintf(want, sizeof(want), "%s(%d) in phkmalloc: internal error: page.c:7: a == b\n",
	    env_program(), (int)child);
	/* QEMU says something more behind it. */
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
	    strncmp(got, want, strlen(want)) == 0;
}

int
main(void)
{
	struct fmt f = {.len = 0};
	unsigned char b[100];
	pthread_t t[4];
	int bits = 1, junk = 1, canaries = 1, distinct = 1;

	fmt_add(&f, "%s %u %z %p %c%%", "a", 42U, (size_t)1 << 40, (uintptr_t)0xdead, 'x');
	promise(f.len == 32 && memcmp(f.text, "a 42 1099511627776 0xdead x%", 28) == 0 ? 1 :
	    strncmp(f.text, "a 42 1099511627776 0xdead x%", f.len) == 0, "text is formatted");
	for (int i = 0; i < 3000; i++)
		fmt_str(&f, "more");
	promise(f.len == sizeof(f.text), "what does not fit is cut off");
	for (int i = 0; i < 10000; i++) {
		uint64_t w = unit_random() & unit_random(), s = w, k = unit_random() % 64;
		bool was = set_bit(&s, k);

		bits &= count_bits(w) == (unsigned)__builtin_popcountll(w);
		bits &= was == (w >> k & 1) && s == (w | (uint64_t)1 << k);
		bits &= w == 0 || lowest_bit(w) == (uint64_t)__builtin_ctzll(w);
	}
	promise(bits, "bits are counted, found and set");
	for (size_t i = 0; i < sizeof(b); i++) {
		fill_junk(b, sizeof(b), JUNK_FREED);
		junk &= fill_check_junk(b, sizeof(b)) == FILL_WHOLE;
		b[i] ^= 1;
		junk &= fill_check_junk(b, sizeof(b)) == i;
		fill_canary(b, 10, sizeof(b), 99);
		canaries &= fill_check_canary(b, 10, sizeof(b), 99) == FILL_WHOLE;
		b[i] ^= 1;
		canaries &= fill_check_canary(b, 10, sizeof(b), 99) == (i < 10 ? FILL_WHOLE : i);
	}
	promise(junk, "a changed byte of junk is found, wherever it is");
	promise(canaries, "a changed canary is found, wherever it is");
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, count_up, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	promise(counter == 400000, "a lock lets one thread in at a time");
	for (int i = 0; i < PTR_FAULT_COUNT; i++)
		for (int j = 0; j < i; j++)
			distinct &= strcmp(fault_text((enum ptr_fault)i),
			    fault_text((enum ptr_fault)j)) != 0;
	promise(distinct, "each fault has words of its own");
	promise(env_clock_ms() != 0 && env_random() != env_random(), "there is a clock and chance");
	promise(assertion(), "an internal error is said and ends the process");
	return unit_done();
}
