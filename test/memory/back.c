/*
 * Memory goes back to the kernel: by itself down to a bounded cache, by malloc_trim all of it,
 * also the OS pages between chunks in use, and what threads that ended left. Threads that allocate
 * little take little.
 */
#include "phkmalloc.h"
#include "resident.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

#define MB ((size_t)1 << 20)

struct held {
	unsigned char **p;
	size_t count;
};

/* Outside the heap, so that only what is tested is in it. */
static struct held
hold(size_t count)
{
	struct held h = {mmap(NULL, count * sizeof(void *), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0), count};

	return h;
}

static size_t
size_of(size_t i, size_t n)
{
	return n != 0 ? n : (size_t)16 << (i % 12);
}

/* Total bytes of allocations of n bytes each (0: of many sizes), all written. */
static struct held
fill(size_t total, size_t n)
{
	struct held h = hold(n != 0 ? total / n : total / (65520 / 12));

	for (size_t i = 0; i < h.count; i++)
		memset(h.p[i] = malloc(size_of(i, n)), (int)(i % 251), size_of(i, n));
	return h;
}

static void
empty(struct held *h)
{
	for (size_t i = 0; i < h->count; i++)
		free(h->p[i]);
}

/* RSS in KiB at the start, full, after freeing, after malloc_trim. */
struct levels {
	size_t start, full, freed, trimmed;
};
static struct levels *level;

static int
up_and_down(void *arg)
{
	size_t n = *(size_t *)arg;
	struct held h = hold(200 * MB / (n != 0 ? n : 65520 / 12));

	munmap(h.p, h.count * sizeof(void *));
	free(malloc(1));
	level->start = status_kib("RssAnon:");
	h = fill(200 * MB, n);
	level->full = status_kib("RssAnon:");
	empty(&h);
	munmap(h.p, h.count * sizeof(void *));
	level->freed = status_kib("RssAnon:");
	malloc_trim(0);
	level->trimmed = status_kib("RssAnon:");
	return phkmalloc_check() != 0;
}

static void
goes_back(size_t n, const char *what)
{
	struct ended e;

	memset(level, 0, sizeof(*level));
	child_run(&e, up_and_down, &n);
	printf("# %s: RSS at start %zu, full %zu, freed %zu, trimmed %zu KiB\n", what, level->start,
	    level->full, level->freed, level->trimmed);
	ok(e.status == 0 && level->full > level->start + 190 * 1024, "%s: 200 MiB in use", what);
	ok(level->freed <= level->full, "%s: freed, no more than before is kept", what);
	ok(level->trimmed < level->start + 4 * 1024, "%s: malloc_trim gives all back", what);
}

/* Of 100 MiB in chunks of 64 bytes one in 1024 stays: one in each page of the allocator. */
static int
sparse(void *arg)
{
	size_t before, after, lost = 0;
	struct held h;

	(void)arg;
	h = fill(100 * MB, 64);
	for (size_t i = 0; i < h.count; i++)
		if (i % 1024 != 500)
			free(h.p[i]);
	before = status_kib("RssAnon:");
	malloc_trim(0);
	after = status_kib("RssAnon:");
	/* Without the table of pointers, which is not in the heap. */
	level->freed = before - h.count * sizeof(void *) / 1024;
	level->trimmed = after - h.count * sizeof(void *) / 1024;
	for (size_t i = 500; i < h.count; i += 1024)
		for (size_t k = 0; k < 64; k++)
			lost += h.p[i][k] != (unsigned char)(i % 251);
	if (lost != 0)
		return 1;
	/* And the chunks around them can be used again. */
	for (size_t i = 0; i < h.count; i++)
		if (i % 1024 != 500)
			memset(h.p[i] = malloc(64), (int)(i % 251), 64);
	for (size_t i = 0; i < h.count; i++)
		for (size_t k = 0; k < 64; k++)
			lost += h.p[i][k] != (unsigned char)(i % 251);
	return lost != 0 || phkmalloc_check() != 0;
}

static void *
fill_in_thread(void *arg)
{
	*(struct held *)arg = fill(10 * MB, 0);
	return NULL;
}

/* What ended threads allocated is freed by the first. */
static int
left_by_threads(void *arg)
{
	struct held h[16];
	size_t start = status_kib("RssAnon:"), table = 0;

	(void)arg;
	for (size_t i = 0; i < 16; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, fill_in_thread, &h[i]) != 0 || pthread_join(t, NULL) != 0)
			return 2;
		table += h[i].count * sizeof(void *);
	}
	for (size_t i = 0; i < 16; i++)
		empty(&h[i]);
	malloc_trim(0);
	level->start = start;
	level->trimmed = status_kib("RssAnon:") - table / 1024;
	return phkmalloc_check() != 0;
}

/* A cycle of growing and shrinking does not grow from one round to the next. */
static int
cycles(void *arg)
{
	(void)arg;
	for (int round = 0; round < 12; round++) {
		struct held h = fill(30 * MB, round % 3 == 0 ? 0 : round % 3 == 1 ? 48 : 100000);

		empty(&h);
		munmap(h.p, h.count * sizeof(void *));
		if (round == 2)
			level->start = status_kib("RssAnon:");
	}
	level->freed = status_kib("RssAnon:");
	return phkmalloc_check() != 0;
}

/* Requests of n bytes, so many in a round, and a pause after each round. */
struct work {
	size_t n;
	int rounds, each;
	useconds_t pause;
};
static struct work quiet = {100000, 120, 1, 50000};
/* These need no page. */
static struct work small = {64, 40, 20, 50000};
static struct work few = {64, 20, 1, 150000};
static struct work rest = {64, 80, 20, 50000};

static void
work(const struct work *w)
{
	for (int i = 0; i < w->rounds; i++) {
		for (int k = 0; k < w->each; k++)
			free(memset(malloc(w->n), 1, w->n));
		usleep(w->pause);
	}
}

/* A program that does little for some seconds keeps little of what it once used. */
static int
little_work(void *arg)
{
	struct held h;

	level->start = status_kib("RssAnon:");
	h = fill(200 * MB, 0);
	level->full = status_kib("RssAnon:");
	empty(&h);
	munmap(h.p, h.count * sizeof(void *));
	work(arg);
	level->freed = status_kib("RssAnon:");
	return phkmalloc_check() != 0;
}

/* Frees what a thread has allocated that sleeps now, and goes on with little of its own. */
static void *
free_and_work(void *arg)
{
	void *own[200];

	empty(arg);
	for (int round = 0; round < 400; round++) {
		for (size_t i = 0; i < 200; i++)
			own[i] = malloc(1000);
		for (size_t i = 0; i < 200; i++)
			free(own[i]);
		if (round % 10 == 0)
			usleep(10000);
	}
	return NULL;
}

/* That was done before it could be known that it sleeps. */
static int
freed_for_a_sleeper(void *arg)
{
	struct held h;
	pthread_t t;

	(void)arg;
	free(malloc(64));
	level->start = status_kib("RssAnon:");
	h = fill(12 * MB, 64);
	level->full = status_kib("RssAnon:") - h.count * sizeof(void *) / 1024;
	if (pthread_create(&t, NULL, free_and_work, &h) != 0 || pthread_join(t, NULL) != 0)
		return 2;
	level->freed = status_kib("RssAnon:") - h.count * sizeof(void *) / 1024;
	return phkmalloc_check() != 0;
}

/* Frees what the thread that sleeps has allocated, a page at a time, and allocates as much. */
static void *
replace(void *arg)
{
	struct held *h = arg;

	usleep(10000);
	for (size_t i = 0; i < h->count; i++) {
		free(h->p[i]);
		memset(h->p[i] = malloc(1000), 1, 1000);
		if (i % 64 == 0)
			usleep(50);
	}
	level->freed = status_kib("RssAnon:");
	return NULL;
}

/* It takes less than the 50 milliseconds after which it is known to sleep. */
static int
replaced_for_a_sleeper(void *arg)
{
	struct held h;
	pthread_t t;

	(void)arg;
	level->start = status_kib("RssAnon:");
	h = fill(16 * MB, 1000);
	level->full = status_kib("RssAnon:");
	if (pthread_create(&t, NULL, replace, &h) != 0 || pthread_join(t, NULL) != 0)
		return 2;
	empty(&h);
	return phkmalloc_check() != 0;
}

/* One block is most of what the program has. */
static int
most_of_it(void *arg)
{
	void *p, *q[20];

	(void)arg;
	level->start = status_kib("RssAnon:");
	for (size_t i = 0; i < 20; i++)
		memset(q[i] = malloc(MB), 1, MB);
	memset(p = malloc(150 * MB), 1, 150 * MB);
	level->full = status_kib("RssAnon:");
	free(p);
	level->freed = status_kib("RssAnon:");
	for (size_t i = 0; i < 20; i++)
		free(q[i]);
	return phkmalloc_check() != 0;
}

#define IDLE ((size_t)1000)
static pthread_barrier_t there, done, end;

static void *
idle_thread(void *arg)
{
	void *p;

	(void)arg;
	pthread_barrier_wait(&there);
	p = malloc(100);
	pthread_barrier_wait(&done);
	pthread_barrier_wait(&end);
	free(p);
	return NULL;
}

/* Threads that allocate one block each in a process whose heap is large; their stacks are apart. */
static int
idle_threads(void *arg)
{
	static pthread_t t[IDLE];
	struct held h = fill(60 * MB, 64);
	pthread_attr_t attr;

	(void)arg;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * 1024);
	pthread_barrier_init(&there, NULL, IDLE + 1);
	pthread_barrier_init(&done, NULL, IDLE + 1);
	pthread_barrier_init(&end, NULL, IDLE + 1);
	for (size_t i = 0; i < IDLE; i++)
		if (pthread_create(&t[i], &attr, idle_thread, NULL) != 0)
			return 2;
	level->start = status_kib("RssAnon:");
	pthread_barrier_wait(&there);
	pthread_barrier_wait(&done);
	level->full = status_kib("RssAnon:");
	pthread_barrier_wait(&end);
	for (size_t i = 0; i < IDLE; i++)
		pthread_join(t[i], NULL);
	empty(&h);
	return phkmalloc_check() != 0;
}

/* And once no page comes or goes, what is free in pages partly in use goes back, bit by bit. */
static int
at_rest(void *arg)
{
	size_t lost = 0;
	struct held h;

	(void)arg;
	h = fill(100 * MB, 64);
	level->full = status_kib("RssAnon:") - h.count * sizeof(void *) / 1024;
	for (size_t i = 0; i < h.count; i++)
		if (i > h.count / 2 || i % 1024 != 500)
			free(h.p[i]);
	work(&rest);
	level->freed = status_kib("RssAnon:") - h.count * sizeof(void *) / 1024;
	for (size_t i = 500; i <= h.count / 2; i += 1024)
		for (size_t k = 0; k < 64; k++)
			lost += h.p[i][k] != (unsigned char)(i % 251);
	for (size_t i = 0; i < h.count; i++)
		if (i > h.count / 2 || i % 1024 != 500)
			memset(h.p[i] = malloc(64), (int)(i % 251), 64);
	for (size_t i = 0; i < h.count; i++)
		for (size_t k = 0; k < 64; k++)
			lost += h.p[i][k] != (unsigned char)(i % 251);
	return lost != 0 || phkmalloc_check() != 0;
}

int
main(void)
{
	size_t ospage = (size_t)sysconf(_SC_PAGESIZE) / 1024;
	struct ended e;

	level = mmap(NULL, sizeof(*level), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	goes_back(64, "chunks of 64 bytes");
	goes_back(0, "chunks of 16 bytes to 32 KiB");
	goes_back(MB, "large allocations of 1 MiB");
	goes_back(50 * MB, "large allocations of 50 MiB");
	child_run(&e, little_work, &quiet);
	printf("# quiet: RSS at start %zu, full %zu, after six seconds of little work %zu KiB\n",
	    level->start, level->full, level->freed);
	ok(e.status == 0 && level->freed < level->start + 30 * 1024,
	    "memory goes back by itself within seconds of little work");
	child_run(&e, little_work, &small);
	printf("# small: RSS at start %zu, full %zu, after two seconds of small requests %zu KiB\n",
	    level->start, level->full, level->freed);
	ok(e.status == 0 && level->freed < level->start + 30 * 1024,
	    "memory goes back within seconds of small requests");
	child_run(&e, little_work, &few);
	printf("# few: RSS at start %zu, full %zu, after twenty small requests %zu KiB\n",
	    level->start, level->full, level->freed);
	ok(e.status == 0 && level->freed < level->start + 30 * 1024,
	    "memory goes back within three seconds of twenty small requests");
	child_run(&e, at_rest, NULL);
	printf("# at rest: RSS full %zu, after four seconds of small requests %zu KiB\n",
	    level->full, level->freed);
	ok(e.status == 0 && level->freed < 9 * 1024,
	    "at rest the OS pages between chunks in use go back, too, and can be used again");
	child_run(&e, sparse, NULL);
	printf("# sparse: RSS %zu KiB, after malloc_trim %zu KiB\n", level->freed, level->trimmed);
	ok(e.status == 0, "one chunk in 1024 stays as it was, and all others can be used again");
	ok(level->trimmed < 9 * 1024, "malloc_trim gives back the OS pages between chunks in use");
	child_run(&e, left_by_threads, NULL);
	printf("# threads: RSS at start %zu KiB, after %zu KiB\n", level->start, level->trimmed);
	ok(e.status == 0 && level->trimmed < level->start + 6 * 1024,
	    "what 16 ended threads left goes back");
	child_run(&e, freed_for_a_sleeper, NULL);
	printf("# sleeper: RSS at start %zu KiB, full %zu KiB, at the end %zu KiB\n", level->start,
	    level->full, level->freed);
	ok(e.status == 0 && level->freed < level->start + 4 * 1024,
	    "what a thread allocated that sleeps goes back when others have freed it");
	child_run(&e, replaced_for_a_sleeper, NULL);
	printf("# replaced: RSS at start %zu KiB, full %zu KiB, replaced %zu KiB\n", level->start,
	    level->full, level->freed);
	ok(e.status == 0 && level->freed < level->full + 4 * 1024,
	    "what it allocated does not stay while others need memory in its place");
	child_run(&e, most_of_it, NULL);
	printf("# most of it: RSS at start %zu KiB, full %zu KiB, freed %zu KiB\n", level->start,
	    level->full, level->freed);
	ok(e.status == 0 && level->full > level->start + 165 * 1024 &&
	    level->freed < level->start + 30 * 1024,
	    "one block that was most of what a program has goes back at once");
	child_run(&e, idle_threads, NULL);
	printf("# idle threads: %zu KiB each\n", (level->full - level->start) / IDLE);
	ok(e.status == 0 && (level->full - level->start) / IDLE <= (ospage == 4 ? 16 : 4 * ospage),
	    "a thread that allocates one block takes at most 16 KiB");
	child_run(&e, cycles, NULL);
	printf("# cycles: RSS after three %zu KiB, after twelve %zu KiB\n", level->start, level->freed);
	ok(e.status == 0 && level->freed < level->start + 8 * 1024, "cycles do not add up");
	return tap_done();
}
