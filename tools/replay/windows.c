/*
 * windows.c: threads, which start and end as they did in the trace, and windows that keep them
 * together; see engine.h. A window is opened by whichever thread is the last to finish the one
 * before.
 */
#include "engine.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS 200
#define STACK_NBYTES ((size_t)64 << 10)
#define STACK_TOUCHED ((size_t)16 << 10) /* brought in before, of each */

static uint32_t window_now;            /* futex */
static uint32_t remaining;             /* threads that are still in it */
static uint32_t next_thread = 1;       /* to be started; the first is the program's own */
static uint32_t living;                /* threads, but for the first; futex */

/* A thread that runs, and its stack; on one of two lists when there is none. */
struct runner {
	pthread_t thread;
	uint32_t number;   /* of the thread in the script */
	struct runner *next;
};
static struct runner *runners;
static char *stacks;                   /* STACK_NBYTES for each runner */
static struct runner *unused;          /* under runner_lock */
static struct runner *ended;           /* to be joined; atomic */
static bool runner_lock;

static void
futex_wait(uint32_t *word, uint32_t value)
{
	(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void
futex_wake(uint32_t *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void *
run_thread(void *arg)
{
	struct runner *r = arg;

	run(&threads[r->number]);
	r->next = __atomic_load_n(&ended, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&ended, &r->next, r, true, __ATOMIC_RELEASE,
	    __ATOMIC_RELAXED))
		;
	if (__atomic_sub_fetch(&living, 1, __ATOMIC_ACQ_REL) == 0)
		futex_wake(&living);
	return NULL;
}

/* A runner that has none to run, when need be one whose thread has just ended. */
static struct runner *
runner_take(void)
{
	struct runner *r;

	while (unused == NULL) {
		sched_yield();
		r = __atomic_exchange_n(&ended, NULL, __ATOMIC_ACQUIRE);
		while (r != NULL) {
			struct runner *next = r->next;

			pthread_join(r->thread, NULL);
			r->next = unused;
			unused = r;
			r = next;
		}
	}
	r = unused;
	unused = r->next;
	return r;
}

static void
start_thread(uint32_t number)
{
	struct runner *r = runner_take();
	pthread_attr_t attr;
	int error;

	r->number = number;
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stacks + (size_t)(r - runners) * STACK_NBYTES, STACK_NBYTES);
	error = pthread_create(&r->thread, &attr, run_thread, r);
	pthread_attr_destroy(&attr);
	if (error != 0)
		finish(REPLAY_NO_THREAD);
}

/* Starts the threads that begin with it, too. */
void
window_open(uint32_t window)
{
	uint32_t from, to;

	while (__atomic_test_and_set(&runner_lock, __ATOMIC_ACQUIRE))
		sched_yield();
	from = to = next_thread;
	while (to < head->threads && threads[to].first <= window)
		to++;
	next_thread = to;
	__atomic_add_fetch(&living, to - from, __ATOMIC_RELAXED);
	__atomic_store_n(&remaining, window_threads[window], __ATOMIC_RELAXED);
	__atomic_store_n(&window_now, window, __ATOMIC_RELEASE);
	if (head->threads > 1)
		futex_wake(&window_now);
	for (; from < to; from++)
		start_thread(from);
	__atomic_clear(&runner_lock, __ATOMIC_RELEASE);
}

/* At the end of an interval, while no thread is in an operation. */
static void
count_pages(uint32_t interval)
{
	uint64_t nbytes;

	if (!measure_pages(&nbytes) || !measure_reset_pages())
		finish(REPLAY_NO_PAGES);
	if (interval < head->intervals)
		touched[interval] = nbytes / (uint64_t)sysconf(_SC_PAGESIZE);
}

void
window_done(uint32_t window)
{
	uint32_t next = window + 1;

	if (__atomic_sub_fetch(&remaining, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	if ((head->flags & REPLAY_PAGES) != 0 && head->interval != 0 && next % head->interval == 0)
		count_pages(window / head->interval);
	if (next < head->windows)
		window_open(next);
}

void
window_wait(uint32_t window)
{
	for (int i = 0;; i++) {
		uint32_t now = __atomic_load_n(&window_now, __ATOMIC_ACQUIRE);

		if (now >= window)
			return;
		if (i >= SPINS)
			futex_wait(&window_now, now);
	}
}

void
windows_finish(void)
{
	uint32_t n;

	while ((n = __atomic_load_n(&living, __ATOMIC_ACQUIRE)) != 0)
		futex_wait(&living, n);
}

void
windows_init(void)
{
	runners = table(head->stacks * sizeof(*runners));
	stacks = mmap(NULL, head->stacks * STACK_NBYTES + 1, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (stacks == MAP_FAILED)
		finish(REPLAY_NO_MEMORY);
	for (uint32_t i = head->stacks; i-- > 0;) {
		memset(stacks + (i + 1) * STACK_NBYTES - STACK_TOUCHED, 0, STACK_TOUCHED);
		runners[i].next = unused;
		unused = &runners[i];
	}
}
