/*
 * unwind.c: the walk over the stack gives what the C library's unwinder gives, on every kind of
 * stack, and stops where a stack is broken instead of reading what is not there.
 */
#include "os/unwind.h"
#include "unit.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* As programs are compiled: the base register holds anything. */
#ifdef __clang__
#define BARE
#else
#define BARE __attribute__((optimize("omit-frame-pointer")))
#endif
#define FRAMES 100

static int agreed, looked, depth_seen;
static void *volatile keep;

/* Compares both unwinders' idea of the callers. */
__attribute__((noinline)) BARE static int
look(void)
{
	void *ours[FRAMES + 1], *theirs[FRAMES + 2];
	int n = (int)unwind(ours, FRAMES), m = backtrace(theirs, FRAMES + 2), at = 0;

	/* The first frame of each is in here. */
	while (at < m && theirs[at] != (n > 1 ? ours[1] : NULL))
		at++;
	looked++;
	depth_seen = n;
	if (n > 1 && at < 3 && (n - 1 == m - at || n == FRAMES) &&
	    memcmp(ours + 1, theirs + at, (size_t)(n - 1) * sizeof(void *)) == 0) {
		agreed++;
	} else {
		for (int i = 0; i < n || i < m; i++)
			printf("# %2d %p %p\n", i, i < n ? ours[i] : NULL, i < m ? theirs[i] : NULL);
	}
	return n;
}

__attribute__((noinline)) BARE static int
deep(int n, int room)
{
	volatile char *space = __builtin_alloca((size_t)room);

	space[0] = (char)n;
	keep = (void *)space;
	return (n == 0 ? look() : deep(n - 1, room)) + space[0] - (char)n;
}

/* A frame that is aligned anew, whose caller is found through memory. */
__attribute__((noinline)) BARE static int
aligned(int n)
{
	volatile char space[100] __attribute__((aligned(128)));

	space[n] = 1;
	keep = (void *)space;
	return look() + space[n];
}

static int
compare(const void *a, const void *b)
{
	if (looked == 0)
		(void)look();
	return *(const int *)a - *(const int *)b;
}

/* Whether each look since the last question agreed. */
static int
all_agreed(void)
{
	int yes = looked > 0 && looked == agreed;

	looked = agreed = 0;
	return yes;
}

static void *
thread(void *arg)
{
	(void)arg;
	(void)deep(5, 100);
	(void)aligned(3);
	/* So far down that more of the stack is in use than is looked at at first. */
	(void)deep(30, 20000);
	(void)deep(5, 100);
	return NULL;
}

static void
on_signal(int signo)
{
	(void)signo;
	(void)deep(2, 50);
}

static void
test_signals(void)
{
	static char other[65536];
	stack_t alternate = { .ss_sp = other, .ss_size = sizeof(other) };
	struct sigaction sa = { .sa_handler = on_signal };

	(void)sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	promise(all_agreed() && depth_seen > 5, "a signal handler and what it interrupted");
	(void)sigaltstack(&alternate, NULL);
	sa.sa_flags = SA_ONSTACK;
	(void)sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	promise(all_agreed() && depth_seen > 5, "a signal handler on a stack of its own");
}

static ucontext_t main_context, coroutine;

static void
coroutine_run(void)
{
	(void)deep(3, 100);
	(void)aligned(1);
}

/* On pages between others that trap. */
static void
test_coroutine(size_t nbytes)
{
	char *base = mmap(NULL, nbytes + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)mprotect(base + 4096, nbytes, PROT_READ | PROT_WRITE);
	(void)getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = base + 4096;
	coroutine.uc_stack.ss_size = nbytes;
	coroutine.uc_link = &main_context;
	makecontext(&coroutine, coroutine_run, 0);
	(void)swapcontext(&main_context, &coroutine);
	(void)munmap(base, nbytes + 8192);
}

/* Writes over the whole stack above it, so that nothing there can be believed. */
__attribute__((noinline)) static unsigned
broken(uint64_t pattern, char *from, char *to)
{
	void *frames[FRAMES];

	for (char *p = from; p < to; p += 8) {
		uint64_t v = pattern == 1 ? unit_random() :
		    pattern == 2 ? (uint64_t)(uintptr_t)p + unit_random() % 4096 : pattern;

		memcpy(p, &v, 8);
	}
	return unwind(frames, FRAMES);
}

static char *broken_stack;
static uint64_t broken_pattern;

static void
broken_run(void)
{
	char *end = broken_stack + 4096 + 16384, here;

	(void)broken(broken_pattern, (char *)(((uintptr_t)&here + 256) & ~(uintptr_t)7), end);
	_exit(0);
}

/* In a child, on a stack between pages that trap. */
static int
survives(uint64_t pattern)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		broken_stack = mmap(NULL, 16384 + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		broken_pattern = pattern;
		(void)mprotect(broken_stack + 4096, 16384, PROT_READ | PROT_WRITE);
		(void)getcontext(&coroutine);
		coroutine.uc_stack.ss_sp = broken_stack + 4096;
		coroutine.uc_stack.ss_size = 16384;
		coroutine.uc_link = NULL;
		makecontext(&coroutine, broken_run, 0);
		(void)setcontext(&coroutine);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
test_broken(void)
{
	int good = 1;

	good &= survives(0) & survives(~(uint64_t)0) & survives(0x4141414141414141);
	for (int i = 0; i < 40 && good; i++) {
		unit_seed += (uint64_t)i;
		good = survives(1) && survives(2);
	}
	promise(good, "a stack full of anything is not followed to where it would trap");
}

int
main(void)
{
	int numbers[50];
	void *frames[4];
	pthread_t t;

	printf("# seed %lu\n", (unsigned long)unit_seed);
	promise(unwind(frames, 4) > 0, "ready after the constructor");
	(void)look();
	promise(all_agreed(), "the main thread");
	(void)deep(60, 40);
	promise(all_agreed() && depth_seen > 60, "sixty calls deep, with stack arrays");
	(void)deep(30, 20000);
	(void)aligned(2);
	promise(all_agreed(), "functions that align their stack anew");
	for (int i = 0; i < 50; i++)
		numbers[i] = (i * 37) % 50;
	qsort(numbers, 50, sizeof(int), compare);
	promise(all_agreed(), "through code of the C library");
	pthread_create(&t, NULL, thread, NULL);
	pthread_join(t, NULL);
	promise(all_agreed(), "a thread");
	test_signals();
	test_coroutine(16384);
	test_coroutine((size_t)1 << 20);
	promise(all_agreed() && depth_seen > 1, "coroutines");
	promise(deep(20, 10) > 20 && unwind(frames, 2) == 2, "no more frames than asked for");
	test_broken();
	return unit_done();
}
