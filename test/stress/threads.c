/*
 * Threads: allocations that one makes and another frees, many that come and go, destructors of
 * thread-local data that allocate, small stacks, and fork while all that goes on. What is written
 * is read again by whoever frees.
 */
#include "phkmalloc.h"
#include "tap.h"

#include "../memory/resident.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

#define THREADS 4
#define RING 512

static uint64_t first_seed;

static unsigned char *
make(size_t n)
{
	unsigned char *p = malloc(n + 16);

	if (p == NULL)
		abort();
	memcpy(p, &n, sizeof(n));
	memset(p + sizeof(n), (int)(n % 251), n + 16 - sizeof(n));
	return p;
}

static void
take_apart(unsigned char *p)
{
	size_t n;

	memcpy(&n, p, sizeof(n));
	for (size_t i = sizeof(n); i < n + 16; i++)
		if (p[i] != n % 251)
			abort();
	free(p);
}

static size_t
any_size(uint64_t *seed)
{
	uint64_t r = random_next(seed);

	return r % 64 == 0 ? r >> 8 & 0x3ffff : r >> 8 & 0x3ff;
}

/* --- producers and consumers: each thread puts into any ring and takes from any --------- */

static _Atomic(unsigned char *) ring[RING];

static void *
pass_on(void *arg)
{
	uint64_t seed = first_seed + (uintptr_t)arg;

	for (int i = 0; i < 100000; i++) {
		unsigned char *p = make(any_size(&seed));

		p = atomic_exchange(&ring[random_next(&seed) % RING], p);
		if (p != NULL)
			take_apart(p);
	}
	return NULL;
}

static void
run(void *(*act)(void *), size_t count)
{
	pthread_t t[64];

	for (size_t i = 0; i < count; i++)
		if (pthread_create(&t[i], NULL, act, (void *)(i + 1)) != 0)
			abort();
	for (size_t i = 0; i < count; i++)
		pthread_join(t[i], NULL);
}

static int
producers_consumers(void *arg)
{
	(void)arg;
	run(pass_on, THREADS);
	for (size_t i = 0; i < RING; i++)
		if (ring[i] != NULL)
			take_apart(ring[i]);
	return phkmalloc_check() != 0;
}

/* --- threads that come and go ------------------------------------------------------------ */

static void *
short_life(void *arg)
{
	uint64_t seed = first_seed + (uintptr_t)arg;
	unsigned char *p[20];

	for (size_t i = 0; i < 20; i++)
		p[i] = make(any_size(&seed) % 3000);
	for (size_t i = 0; i < 20; i += 2)
		take_apart(p[i]);
	for (size_t i = 1; i < 20; i += 2) {
		unsigned char *old = atomic_exchange(&ring[random_next(&seed) % 64], p[i]);

		if (old != NULL)
			take_apart(old);
	}
	return NULL;
}

static int
come_and_go(void *arg)
{
	size_t early = 0, late;

	(void)arg;
	for (size_t i = 0; i < 10000 / THREADS; i++) {
		run(short_life, THREADS);
		if (i == 500)
			early = status_kib("RssAnon:");
	}
	late = status_kib("RssAnon:");
	dprintf(STDERR_FILENO, "RSS after 2000 threads %zu KiB, after 10000 %zu KiB\n", early, late);
	return phkmalloc_check() != 0 || late > early + 4096;
}

/* --- destructors -------------------------------------------------------------------------- */

static pthread_key_t keys[8];
static atomic_int destroyed;

/* Each allocates again and comes back, until the last allowed round. */
static void
destroy(void *p)
{
	take_apart(p);
	take_apart(make(5000));
	for (size_t i = 0; i < 8; i++)
		if (pthread_getspecific(keys[i]) == NULL && atomic_fetch_add(&destroyed, 1) % 3 == 0)
			pthread_setspecific(keys[i], make(100 + i));
}

static void *
with_keys(void *arg)
{
	for (size_t i = 0; i < 8; i++)
		pthread_setspecific(keys[i], make((uintptr_t)arg * 100 + i));
	return NULL;
}

static int
destructors(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < 8; i++)
		if (pthread_key_create(&keys[i], destroy) != 0)
			return 2;
	for (int i = 0; i < 200; i++)
		run(with_keys, THREADS);
	return phkmalloc_check() != 0 || destroyed < 200 * THREADS * 8;
}

/* --- small stacks -------------------------------------------------------------------------- */

static void *
on_small_stack(void *arg)
{
	uint64_t seed = first_seed + (uintptr_t)arg;
	unsigned char *p[50];

	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < 50; i++)
			p[i] = make(any_size(&seed));
		for (size_t i = 0; i < 50; i++)
			take_apart(realloc(p[i], *(size_t *)p[i] + 16));
		malloc_trim(0);
		if (phkmalloc_check() != 0)
			abort();
	}
	return NULL;
}

static int
small_stacks(void *arg)
{
	pthread_attr_t attr;
	pthread_t t;

	(void)arg;
	pthread_attr_init(&attr);
	/* Some machines do not allow that little; then the least there is. */
	if (pthread_attr_setstacksize(&attr, 16384) != 0 &&
	    pthread_attr_setstacksize(&attr, (size_t)sysconf(_SC_THREAD_STACK_MIN)) != 0)
		return 2;
	for (int i = 0; i < 20; i++)
		if (pthread_create(&t, &attr, on_small_stack, NULL) != 0 ||
		    pthread_join(t, NULL) != 0)
			return 3;
	return 0;
}

/* --- fork ---------------------------------------------------------------------------------- */

static atomic_bool stop;

static void *
keep_busy(void *arg)
{
	uint64_t seed = first_seed + (uintptr_t)arg;

	while (!stop) {
		unsigned char *p = make(any_size(&seed));

		p = atomic_exchange(&ring[random_next(&seed) % RING], p);
		if (p != NULL)
			take_apart(p);
	}
	return NULL;
}

/* In the child: what others held may be half made; what is in the rings is whole. */
static int
in_child(void)
{
	for (size_t i = 0; i < RING; i++)
		if (ring[i] != NULL)
			take_apart(ring[i]);
	for (size_t i = 0; i < 2000; i++)
		take_apart(make(i));
	take_apart(make(1000000));
	return 0;
}

static int
fork_under_load(void *arg)
{
	pthread_t t[THREADS];

	(void)arg;
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, keep_busy, (void *)(i + 1)) != 0)
			return 2;
	for (int i = 0; i < 100; i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			hang_limit(10);
			_exit(in_child());
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
			dprintf(STDERR_FILENO, "child %d: status %#x\n", i, (unsigned)status);
			return 3;
		}
	}
	stop = true;
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	return phkmalloc_check() != 0;
}

/* --- all the rest at once ------------------------------------------------------------------ */

static void *
watch(void *arg)
{
	(void)arg;
	while (!stop) {
		mallinfo2();
		malloc_trim(0);
		if (phkmalloc_check() != 0)
			abort();
	}
	return NULL;
}

static int
watched(void *arg)
{
	pthread_t t;

	(void)arg;
	if (pthread_create(&t, NULL, watch, NULL) != 0)
		return 2;
	run(pass_on, 2);
	stop = true;
	pthread_join(t, NULL);
	return 0;
}

/* A library that is in the process already may be opened and closed any number of times. */
static int
reopened(void *arg)
{
	(void)arg;
	for (int i = 0; i < 200; i++) {
		void *h = dlopen("libphkmalloc.so.1", RTLD_NOW);
		void *(*take)(size_t) = NULL;

		if (h == NULL)
			return 2;
		*(void **)&take = dlsym(h, "malloc");
		if (take != malloc)
			return 3;
		free(take(100));
		if (dlclose(h) != 0)
			return 4;
	}
	return phkmalloc_check() != 0;
}

int
main(void)
{
	first_seed = random_start();
	ok_in_child(producers_consumers, NULL, "what one thread allocates another may free");
	if (!skip_emulated("10000 threads come and go, and leave no memory behind"))
		ok_in_child(come_and_go, NULL, "10000 threads come and go, and leave no memory behind");
	ok_in_child(destructors, NULL, "destructors of thread-local data may allocate and free");
	ok_in_child(small_stacks, NULL, "stacks of 16 KiB are enough");
	ok_in_child(fork_under_load, NULL,
	    "a child may allocate and free what its parent's threads did");
	ok_in_child(watched, NULL, "trim, figures and checks while others work");
	ok_in_child(reopened, NULL, "dlopen and dlclose of the library itself");
	return tap_done();
}
