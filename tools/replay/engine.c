/*
 * engine.c: runs a script of allocations on whatever malloc it finds itself with, and measures; see
 * ../replay_format.h. It is part of the command, which starts it with an allocator preloaded.
 */
#include "engine.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SPINS 200
#define FAILED ((void *)1) /* in a slot: its allocation returned NULL */
#define LINE 64

const struct replay_head *head;
const struct replay_thread *threads;
const uint32_t *window_threads;
struct slot *slots;
uint64_t *touched;
static struct replay_result result = { .magic = REPLAY_MAGIC };

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	int (*memalign)(void **, size_t, size_t);
	void (*free)(void *);
} api = { malloc, calloc, realloc, posix_memalign, free };

/* --- without an allocator -------------------------------------------------------------------- */

static void *
no_malloc(size_t n)
{
	(void)n;
	return &api;
}

static void *
no_calloc(size_t n, size_t size)
{
	(void)n;
	(void)size;
	return &api;
}

static void *
no_realloc(void *p, size_t n)
{
	(void)n;
	return p;
}

static int
no_memalign(void **p, size_t alignment, size_t n)
{
	(void)alignment;
	(void)n;
	*p = &api;
	return 0;
}

static void
no_free(void *p)
{
	(void)p;
}

/* --- operations ------------------------------------------------------------------------------ */

_Noreturn void
finish(enum replay_problem problem)
{
	size_t nbytes = problem == REPLAY_OK && (head->flags & REPLAY_PAGES) != 0 ?
	    head->intervals * sizeof(*touched) : 0;

	result.problem = problem;
	if (write(REPLAY_RESULT_FD, &result, sizeof(result)) != (ssize_t)sizeof(result))
		_exit(1);
	for (size_t at = 0; at < nbytes;) {
		ssize_t n = write(REPLAY_RESULT_FD, (char *)touched + at, nbytes - at);

		if (n <= 0)
			_exit(1);
		at += (size_t)n;
	}
	_exit(0);
}

static void
touch_new(struct slot *s, char *p, uint64_t had, uint64_t n)
{
	s->nbytes = n;
	if ((head->flags & REPLAY_TOUCH_WRITE) == 0)
		return;
	if (n > had)
		memset(p + had, (int)((uintptr_t)s / sizeof(*s) & 0xff), n - had);
	if (n >= sizeof(s))
		memcpy(p, &s, sizeof(s));
}

static void
touch_old(const struct slot *s)
{
	const char *p = s->p;
	uint64_t sum = 0;

	if ((head->flags & REPLAY_TOUCH_READ) != 0)
		for (uint64_t at = 0; at + sizeof(sum) <= s->nbytes; at += LINE)
			sum += *(const volatile uint64_t *)(const void *)(p + at);
	if ((head->flags & REPLAY_TOUCH_WRITE) != 0 && (head->flags & REPLAY_TOUCH_READ) != 0 &&
	    s->nbytes >= sizeof(s) && memcmp(p, &s, sizeof(s)) != 0)
		__atomic_add_fetch(&result.damaged, 1, __ATOMIC_RELAXED);
}

static void
put(struct slot *s, void *p, uint64_t had, uint64_t n)
{
	if (p == NULL) {
		__atomic_add_fetch(&result.failed, 1, __ATOMIC_RELAXED);
		p = FAILED;
	} else if (head->flags != 0) {
		touch_new(s, p, had, n);
	}
	/* Release: pairs with the acquire of a thread that waits for the object. */
	__atomic_store_n(&s->p, p, __ATOMIC_RELEASE);
}

static void
resize(struct slot *from, struct slot *to, uint64_t n)
{
	void *p = from->p, *q;
	uint64_t had = from->nbytes;

	if (p != FAILED && head->flags != 0)
		touch_old(from);
	from->p = NULL;
	q = api.realloc(p == FAILED ? NULL : p, n);
	/* What could not be resized lives on, as in the program. */
	if (q == NULL && p != FAILED) {
		__atomic_add_fetch(&result.failed, 1, __ATOMIC_RELAXED);
		put(to, p, had, had);
	} else {
		put(to, q, p == FAILED ? 0 : had, n);
	}
}

static void
give(struct slot *s)
{
	void *p = s->p;

	if (p != FAILED && head->flags != 0)
		touch_old(s);
	s->p = NULL;
	if (p != FAILED)
		api.free(p);
}

static void
wait_for(const struct slot *s)
{
	for (int i = 0; __atomic_load_n(&s->p, __ATOMIC_ACQUIRE) == NULL; i++)
		if (i > SPINS)
			sched_yield();
}

static const uint32_t *
take_size(const uint32_t *w, uint64_t *n)
{
	if (*w != REPLAY_LONG) {
		*n = *w;
		return w + 1;
	}
	*n = w[1] | (uint64_t)w[2] << 32;
	return w + 3;
}

void
run(const struct replay_thread *t)
{
	const uint32_t *w = (const uint32_t *)(const void *)((const char *)head + t->offset);
	uint32_t window = t->first, log2;
	struct slot *s;
	void *p;
	uint64_t n;

	for (;;) {
		uint32_t word = *w++;

		s = &slots[word >> 4];
		switch ((enum replay_op)(word & 15)) {
		case REPLAY_END:
			window_done(window);
			return;
		case REPLAY_MALLOC:
			w = take_size(w, &n);
			put(s, api.malloc(n), 0, n);
			break;
		case REPLAY_CALLOC:
			w = take_size(w, &n);
			put(s, api.calloc(1, n), 0, n);
			break;
		case REPLAY_ALIGNED:
			w = take_size(w, &n);
			log2 = *w++;
			if (api.memalign(&p, (size_t)1 << (log2 < 3 ? 3 : log2), n) != 0)
				p = NULL;
			put(s, p, 0, n);
			break;
		case REPLAY_FREE:
			give(s);
			break;
		case REPLAY_RESIZE:
			log2 = *w++;
			w = take_size(w, &n);
			resize(s, &slots[log2], n);
			break;
		case REPLAY_WAIT:
			wait_for(s);
			break;
		case REPLAY_WINDOW:
			window_done(window);
			window = word >> 4;
			window_wait(window);
			break;
		default:
			finish(REPLAY_BAD_SCRIPT);
		}
	}
}

/* --- start and end --------------------------------------------------------------------------- */

void *
table(size_t nbytes)
{
	/* Shared: told apart from the allocator's memory, and no neighbour that it grows into. */
	void *p = mmap(NULL, nbytes + 1, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		finish(REPLAY_NO_MEMORY);
	return p;
}

static void
set_up(void)
{
	struct stat st;
	static struct replay_head none;
	const char *at;

	head = &none;
	if (fstat(REPLAY_SCRIPT_FD, &st) != 0 || (size_t)st.st_size < sizeof(*head))
		finish(REPLAY_BAD_SCRIPT);
	head = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE,
	    REPLAY_SCRIPT_FD, 0);
	if (head == MAP_FAILED) {
		head = &none;
		finish(REPLAY_NO_MEMORY);
	}
	if (head->magic != REPLAY_MAGIC || head->nbytes != (uint64_t)st.st_size)
		finish(REPLAY_BAD_SCRIPT);
	at = (const char *)(head + 1);
	threads = (const struct replay_thread *)(const void *)at;
	at += head->threads * sizeof(*threads);
	window_threads = (const uint32_t *)(const void *)at;
	slots = table(head->slots * sizeof(*slots));
	touched = table(head->intervals * sizeof(*touched));
	windows_init();
	if ((head->flags & REPLAY_NOTHING) != 0) {
		api.malloc = no_malloc;
		api.calloc = no_calloc;
		api.realloc = no_realloc;
		api.memalign = no_memalign;
		api.free = no_free;
	}
}

static uint64_t
nanoseconds(const struct timeval *before, const struct timeval *after)
{
	return (uint64_t)((after->tv_sec - before->tv_sec) * 1000000000 +
	    (after->tv_usec - before->tv_usec) * 1000);
}

int
main(void)
{
	struct rusage before, after;
	struct timespec from, to;
	struct status s;

	set_up();
	if ((head->flags & REPLAY_PAGES) != 0)
		measure_begin_pages();
	(void)measure_reset_peak();
	measure_memory(&s);
	result.rss_before = s.rss;
	getrusage(RUSAGE_SELF, &before);
	clock_gettime(CLOCK_MONOTONIC, &from);
	window_open(0);
	run(&threads[0]);
	windows_finish();
	clock_gettime(CLOCK_MONOTONIC, &to);
	getrusage(RUSAGE_SELF, &after);
	measure_memory(&s);
	result.rss_peak = s.peak;
	result.rss_after = s.rss;
	result.user_ns = nanoseconds(&before.ru_utime, &after.ru_utime);
	result.system_ns = nanoseconds(&before.ru_stime, &after.ru_stime);
	result.wall_ns = (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000U +
	    (uint64_t)to.tv_nsec - (uint64_t)from.tv_nsec;
	result.minor_faults = (uint64_t)(after.ru_minflt - before.ru_minflt);
	result.major_faults = (uint64_t)(after.ru_majflt - before.ru_majflt);
	finish(REPLAY_OK);
}
