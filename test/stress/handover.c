/*
 * Memory that one thread allocates and another frees: from producers to consumers, from all to
 * all, and from threads that end to those that follow them.
 */
#include "parcel.h"

/* Sanitizers keep notes beside all memory, and its size says nothing. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SHADOWED true
#else
#define SHADOWED false
#endif

/* --- producers and consumers --------------------------------------------------------------- */

#define PAIRS 3
#define RING 256
#define PARCELS 60000

/* One producer writes head, one consumer writes tail. */
static struct pair {
	struct parcel *_Atomic ring[RING];
	unsigned bits; /* of sizes */
} pairs[PAIRS];

static void *
produce(void *arg)
{
	struct pair *pair = arg;
	uint64_t seed = (uintptr_t)arg;

	for (size_t i = 0; i < PARCELS; i++) {
		struct parcel *p = parcel_new(parcel_size(&seed, pair->bits), &seed), *none = NULL;

		while (p != NULL && !atomic_compare_exchange_weak(&pair->ring[i % RING], &none, p)) {
			none = NULL;
			sched_yield();
		}
	}
	return NULL;
}

static void *
consume(void *arg)
{
	struct pair *pair = arg;

	for (size_t i = 0; i < PARCELS; i++) {
		struct parcel *p;

		while ((p = atomic_exchange(&pair->ring[i % RING], NULL)) == NULL)
			sched_yield();
		parcel_end(p);
	}
	return NULL;
}

static void
producers(void)
{
	pthread_t t[2 * PAIRS];
	size_t in_rings = 0, before, after, used = mallinfo2().uordblks;

	before = rss_kib();
	for (size_t i = 0; i < PAIRS; i++) {
		pairs[i].bits = (unsigned)(7 + 4 * i);
		in_rings += (size_t)RING << pairs[i].bits;
		t[2 * i] = thread_start(produce, &pairs[i]);
		t[2 * i + 1] = thread_start(consume, &pairs[i]);
	}
	for (size_t i = 0; i < 2 * PAIRS; i++)
		pthread_join(t[i], NULL);
	after = rss_kib();
	parcels_ok("producers and consumers");
	printf("# RSS %zu KiB before, %zu after %u parcels; at most %zu KiB were in use\n", before,
	    after, PAIRS * PARCELS, in_rings / 1024);
	if (!skip_emulated("producers and consumers: memory stays near what is in use"))
		ok(after < before + 2 * in_rings / 1024 + 10 * 1024 || SHADOWED,
		    "producers and consumers: memory stays near what is in use");
	/* The threads' own tables that libc keeps are a few hundred bytes each. */
	ok(mallinfo2().uordblks <= used + 2 * PAIRS * 1024,
	    "producers and consumers: nothing is left in use");
	ok(phkmalloc_check() == 0, "producers and consumers: the heap is whole");
}

/* --- from all to all ----------------------------------------------------------------------- */

#define PLACES 1024
#define EXCHANGES 60000
#define THREADS 5

static struct parcel *_Atomic places[PLACES];
static atomic_bool over;
static atomic_size_t walks, walks_broken;

static void *
exchange(void *arg)
{
	uint64_t seed = (uintptr_t)arg * 77777;

	for (size_t i = 0; i < EXCHANGES; i++) {
		struct parcel *p = parcel_new(parcel_size(&seed, i % 50 == 0 ? 18 : 12), &seed);

		p = atomic_exchange(&places[random_next(&seed) % PLACES], p);
		if (p != NULL && random_next(&seed) % 4 == 0) {
			p = parcel_resize(p, parcel_size(&seed, 13), &seed);
			p = atomic_exchange(&places[random_next(&seed) % PLACES], p);
		}
		parcel_end(p);
	}
	return NULL;
}

/* Meanwhile another asks, walks and gives memory back all the time. */
static void *
meddle(void *arg)
{
	while (!over) {
		malloc_trim(0);
		walks_broken += phkmalloc_check() != 0;
		walks++;
		(void)mallinfo2();
		for (size_t i = 0; i < PLACES; i++)
			(void)phkmalloc_base((char *)places[i] + 1);
		usleep(500);
	}
	return arg;
}

static void
exchanges(void)
{
	size_t used = mallinfo2().uordblks, before = rss_kib(), after;
	pthread_t t[THREADS], other = thread_start(meddle, NULL);

	for (size_t i = 0; i < THREADS; i++)
		t[i] = thread_start(exchange, (void *)(i + 1));
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	over = true;
	pthread_join(other, NULL);
	for (size_t i = 0; i < PLACES; i++)
		parcel_end(places[i]);
	parcels_ok("all to all");
	ok(walks > 0 && walks_broken == 0, "all to all: the heap is whole at every moment");
	printf("# walked %zu times\n", walks);
	ok(phkmalloc_check() == 0, "all to all: the heap is whole");
	ok(mallinfo2().uordblks <= used + (THREADS + 1) * 1024, "all to all: nothing is left in use");
	malloc_trim(0);
	after = rss_kib();
	printf("# RSS %zu KiB before, %zu after\n", before, after);
	ok(after < before + 4 * 1024 || SHADOWED, "all to all: memory goes back");
}

/* --- from generation to generation --------------------------------------------------------- */

#define LANES 6
#define GENERATIONS 150
#define HELD 1000

static struct lane {
	struct parcel *held[HELD];
	uint64_t seed;
	unsigned generation;
	size_t rss_early; /* KiB, in the tenth generation */
	pthread_mutex_t lock;
	pthread_cond_t done;
} lanes[LANES];

/* Works on what its forerunner left, then leaves it to a thread of its own making. */
static void *
generation(void *arg)
{
	struct lane *l = arg;
	pthread_attr_t detached;
	pthread_t t;

	for (size_t i = 0; i < 1000; i++) {
		size_t at = random_next(&l->seed) % HELD;

		parcel_end(l->held[at]);
		l->held[at] = parcel_new(parcel_size(&l->seed, 11), &l->seed);
	}
	if (l->generation == 10)
		l->rss_early = rss_kib();
	if (++l->generation == GENERATIONS) {
		pthread_mutex_lock(&l->lock);
		l->generation++;
		pthread_cond_signal(&l->done);
		pthread_mutex_unlock(&l->lock);
		return NULL;
	}
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&t, &detached, generation, l) != 0)
		abort();
	pthread_attr_destroy(&detached);
	return NULL;
}

static void
generations(void)
{
	size_t used = mallinfo2().uordblks, early = 0, late;

	for (size_t i = 0; i < LANES; i++) {
		struct lane *l = &lanes[i];

		l->seed = i;
		pthread_mutex_init(&l->lock, NULL);
		pthread_cond_init(&l->done, NULL);
		pthread_detach(thread_start(generation, l));
	}
	for (size_t i = 0; i < LANES; i++) {
		pthread_mutex_lock(&lanes[i].lock);
		while (lanes[i].generation <= GENERATIONS)
			pthread_cond_wait(&lanes[i].done, &lanes[i].lock);
		pthread_mutex_unlock(&lanes[i].lock);
		early = lanes[i].rss_early > early ? lanes[i].rss_early : early;
	}
	late = rss_kib();
	for (size_t i = 0; i < LANES; i++)
		for (size_t k = 0; k < HELD; k++)
			parcel_end(lanes[i].held[k]);
	parcels_ok("generations");
	printf("# RSS %zu KiB in generation 10, %zu in generation %u\n", early, late, GENERATIONS);
	/*
	 * How generations overlap decides how full pages are, so the bound is wide; pages that
	 * were not taken over would be 400 MB.
	 */
	if (!skip_emulated("generations: each takes over what the last one left"))
		ok(late < 2 * early + 16384 || SHADOWED,
	    "generations: each takes over what the last one left");
	/* The last threads may be ending still. */
	for (int i = 0; i < 100 && mallinfo2().uordblks > used + LANES * 2048; i++)
		usleep(10000);
	ok(mallinfo2().uordblks <= used + LANES * 2048, "generations: nothing is left in use");
	ok(phkmalloc_check() == 0, "generations: the heap is whole");
}

int
main(void)
{
	producers();
	exchanges();
	generations();
	return tap_done();
}
