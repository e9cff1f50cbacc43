/*
 * rattle: a program that has filled memory and then only frees, as one does when it ends tidily.
 * Fills COUNT objects of MIN to MAX bytes, all written; then frees every EVERYth, in the order in
 * which they came or at random; then asks ten times for what fits no hole. Prints major and minor
 * faults and seconds of each phase. Each of THREADS frees what it allocated itself, or what its
 * neighbour did.
 *
 * usage: rattle MIN MAX COUNT in-order|random EVERY THREADS own|other INTERVALS
 *
 * With INTERVALS > 0 it is not faults that count but the OS pages that the allocator referenced,
 * by the kernel's bits (referenced.h), added up over so many intervals of the free phase: for
 * machines where nothing can be paged out. Threads wait for each other at the end of an interval.
 *
 * What the program itself needs (tables, order, stacks of threads, all code and constants) is
 * locked in memory: the faults counted are those of the allocator's data.
 */
#include "referenced.h"

#include <pthread.h>

#define TEN 10
#define TEN_NBYTES 16000
#define STACK_NBYTES ((size_t)256 << 10)

struct worker {
	pthread_t thread;
	uint64_t rng;
	size_t count;
	void **objects;		/* what it allocates */
	void **to_free;		/* what it frees: that, or its neighbour's */
	uint32_t *order;
};

static size_t min_nbytes, max_nbytes, every, nthreads, nintervals;
static bool is_random, is_own;
static size_t npages_referenced;
static struct worker *workers;
static pthread_barrier_t filled, started, paused, counted, freed, ended;

static void
references_add(void)
{
	npages_referenced += references_npages(0, 0);
	references_clear();
}

static void
text_line(char *line, void *arg)
{
	unsigned long from, to, inode;
	char access[5];

	(void)arg;
	if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &from, &to, access, &inode) == 4 &&
	    inode != 0 && access[0] == 'r' && access[1] != 'w')
		mlock((void *)from, to - from);	/* NOLINT(performance-no-int-to-ptr) */
}

static void
fill(struct worker *w)
{
	for (size_t i = 0; i < w->count; i++)
		w->objects[i] = object_new(rng_between(&w->rng, min_nbytes, max_nbytes));
}

static void
choose_order(struct worker *w)
{
	for (size_t i = 0; i < w->count; i++)
		w->order[i] = (uint32_t)i;
	for (size_t i = w->count - 1; is_random && i > 0; i--) {
		size_t j = rng_between(&w->rng, 0, i);
		uint32_t t = w->order[i];

		w->order[i] = w->order[j];
		w->order[j] = t;
	}
}

static void
interval_end(void)
{
	if (nthreads == 1) {
		references_add();
	} else {
		pthread_barrier_wait(&paused);
		pthread_barrier_wait(&counted);
	}
}

/* The last interval has no end of its own. */
static size_t
interval_length(const struct worker *w)
{
	return nintervals > 0 ? w->count / nintervals + 1 : SIZE_MAX;
}

static void
free_all(struct worker *w)
{
	size_t step = interval_length(w);

	for (size_t i = 0; i < w->count; i++) {
		if (i % step == step - 1)
			interval_end();
		if (w->order[i] % every == every - 1)
			free(w->to_free[w->order[i]]);
	}
}

static void *
work(void *arg)
{
	struct worker *w = arg;

	fill(w);
	choose_order(w);
	pthread_barrier_wait(&filled);
	pthread_barrier_wait(&started);
	free_all(w);
	pthread_barrier_wait(&freed);
	/* The end of a thread is not part of what is measured. */
	pthread_barrier_wait(&ended);
	return NULL;
}

struct usage {
	double seconds;
	long major, minor;
};

static struct usage
usage_now(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (struct usage){ now(), r.ru_majflt, r.ru_minflt };
}

static struct usage
report(const char *phase, struct usage since)
{
	struct usage u = usage_now();

	say(1, "%s_seconds=%.6f\n%s_major=%ld\n%s_minor=%ld\n%s_until=%ld\n", phase,
	    u.seconds - since.seconds, phase, u.major - since.major, phase,
	    u.minor - since.minor, phase, u.major);
	return usage_now();
}

static void
workers_new(size_t count)
{
	void **objects = locked_new(count * sizeof(*objects));
	uint32_t *order = locked_new(count * sizeof(*order));
	size_t each = count / nthreads;

	workers = locked_new(nthreads * sizeof(*workers));
	for (size_t t = 0; t < nthreads; t++)
		workers[t] = (struct worker){ .rng = 1998 + t, .count = each,
		    .objects = objects + t * each, .order = order + t * each,
		    .to_free = objects + (t + !is_own) % nthreads * each };
}

static void
threads_start(void)
{
	pthread_attr_t attr;
	unsigned all = (unsigned)nthreads + 1;

	pthread_barrier_init(&filled, NULL, all);
	pthread_barrier_init(&started, NULL, all);
	pthread_barrier_init(&paused, NULL, all);
	pthread_barrier_init(&counted, NULL, all);
	pthread_barrier_init(&freed, NULL, all);
	pthread_barrier_init(&ended, NULL, all);
	for (size_t t = 0; t < nthreads; t++) {
		pthread_attr_init(&attr);
		pthread_attr_setstack(&attr, locked_new(STACK_NBYTES), STACK_NBYTES);
		if (pthread_create(&workers[t].thread, &attr, work, &workers[t]) != 0)
			die("pthread_create");
	}
}

static void
threads_free(void)
{
	pthread_barrier_wait(&started);
	for (size_t i = workers[0].count / interval_length(workers); i > 0; i--) {
		pthread_barrier_wait(&paused);
		references_add();
		pthread_barrier_wait(&counted);
	}
	pthread_barrier_wait(&freed);
}

int
main(int argc, char **argv)
{
	void *ten[TEN];

	min_nbytes = argument(argc, argv, 1);
	max_nbytes = argument(argc, argv, 2);
	nintervals = argument(argc, argv, 8);
	is_own = strcmp(argv[7], "own") == 0;
	nthreads = argument(argc, argv, 6);
	every = argument(argc, argv, 5);
	is_random = strcmp(argv[4], "random") == 0;
	tell_library();
	workers_new(argument(argc, argv, 3));
	lines_of("/proc/self/maps", text_line, NULL);
	if (nintervals > 0 && !references_begin())
		_exit(0);

	struct usage u = usage_now();
	if (nthreads == 1) {
		fill(workers);
		choose_order(workers);
	} else {
		threads_start();
		pthread_barrier_wait(&filled);
	}
	u = report("fill", u);
	say(1, "fill_memory=%zu\n", anonymous_nbytes());
	if (nintervals > 0)
		references_clear();
	u = usage_now();
	if (nthreads == 1)
		free_all(workers);
	else
		threads_free();
	u = report("free", u);
	if (nintervals > 0)
		references_add();
	say(1, "free_pages=%zu\nfree_memory=%zu\n", npages_referenced, anonymous_nbytes());
	npages_referenced = 0;
	if (nintervals > 0)
		references_clear();
	u = usage_now();
	for (size_t i = 0; i < TEN; i++)
		ten[i] = malloc(TEN_NBYTES);
	report("ten", u);
	if (nintervals > 0)
		references_add();
	say(1, "ten_pages=%zu\n", npages_referenced);
	for (size_t i = 0; i < TEN; i++)
		free(ten[i]);
	/* Threads are left waiting: their end would free, and that is no part of it. */
	_exit(0);
}
