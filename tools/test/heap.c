/*
 * heap.c: a process for the command to look at.
 *
 *   heap quiet MIB        fills about so many MiB with many sizes, frees some, prints what was
 *                         asked for and is in use, malloc_stats(), then "ready", and waits to be
 *                         killed
 *   heap huge MIB         large chunks and large allocations, not written to, some freed
 *   heap churn THREADS    allocates and frees on that many threads, some of it for each other
 *   heap crash MIB        like quiet, then abort()
 *   heap exit MIB         like quiet, then ends
 *   heap points 0         prints what some pointers are, and waits
 *   heap abort 0          the same, and then abort()
 *   heap leader MIB       like quiet, and its first thread ends
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHARED 4096U

static _Atomic(void *) shared[SHARED];

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Mostly small, now and then large. */
static size_t
random_size(uint64_t *state)
{
	uint64_t r = next_random(state);

	if (r % 512 == 0)
		return 32769 + (r >> 16) % 1000000;
	return 1 + (r >> 16) % ((uint64_t)16 << (r >> 8) % 10);
}

static void *
churn(void *arg)
{
	uint64_t state = 88172645463325252U + (uintptr_t)arg * 977;

	for (;;) {
		size_t n = random_size(&state);
		char *p = malloc(n);

		if (p != NULL)
			p[0] = p[n - 1] = 1;
		free(atomic_exchange(&shared[next_random(&state) % SHARED], p));
	}
	return NULL;
}

static void *
wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* Returns how many bytes were asked for of what stays. */
static size_t
fill(size_t nbytes)
{
	uint64_t state = 88172645463325252U;
	static char *kept[1 << 22];
	static uint32_t sizes[1 << 22];
	size_t count = 0, asked = 0;

	for (size_t sum = 0; sum < nbytes && count < sizeof(kept) / sizeof(kept[0]); count++) {
		/* Phases, as programs have them: each has its sizes, and leaves something. */
		size_t n = random_size(&state) % (1 + ((size_t)64 << sum * 13 / nbytes)) + 1;

		if (nbytes >= (size_t)1 << 30)
			n *= 20;
		sizes[count] = (uint32_t)n;
		asked += n;
		kept[count] = malloc(n);
		if (kept[count] == NULL)
			abort();
		if (nbytes < (size_t)1 << 30) /* a huge heap need not take huge memory */
			memset(kept[count], 1, n);
		sum += n;
	}
	for (size_t i = 0; i < count; i++)
		if (next_random(&state) % count < i / 2 + (i / 4096 % 3 == 0 ? count / 3 : 0)) {
			free(kept[i]);
			asked -= sizes[i];
		}
	return asked;
}

static void
fill_untouched(size_t nbytes)
{
	size_t n = 0;

	for (size_t sum = 0, i = 0; sum < nbytes; sum += n, i++) {
		void *p;

		n = i % 64 == 0 ? 1000000 : i / 4096 % 2 == 0 ? 32768 : 16384;
		p = malloc(n);
		if (p == NULL)
			abort();
		if (i % 4 == 3 || i % 256 == 0)
			free(p);
	}
}

static void *
free_it(void *p)
{
	free(p);
	return NULL;
}

/* Each with what it is, in words that a debugger has to find for it. */
static void
print_points(void)
{
	void *chunk = malloc(100), *freed = malloc(100), *far = malloc(100);
	char *large = malloc(300000), *gone = malloc(700000), *behind = malloc(100000);
	uintptr_t was = (uintptr_t)freed, inside = (uintptr_t)gone + 690000;
	pthread_t t;

	free(freed);
	free(gone);
	if (pthread_create(&t, NULL, free_it, far) == 0)
		pthread_join(t, NULL);
	printf("%p is in use: byte 0 of a chunk of 112 bytes\n", chunk);
	printf("%p is in use: byte 5 of a chunk of 112 bytes\n", (void *)((char *)chunk + 5));
	printf("%#lx is free: byte 0 of a chunk of 112 bytes\n", was);
	printf("%p is free, by another thread than the page's owner: byte 0 of a chunk of 112 bytes\n",
	    far);
	printf("%p is in use: byte 0 of the pages of a large allocation of 300000 bytes, 5 pages\n",
	    (void *)large);
	printf("%p is in use: byte 290000 of the pages of a large allocation of 300000 bytes\n",
	    (void *)(large + 290000));
	printf("%#lx is free: in a free run of \n", inside);
	printf("%p is in use: byte 9 of the pages of a large allocation of 100000 bytes, 2 pages\n",
	    (void *)(behind + 9));
	printf("%p is not in the heap\n", (void *)&t);
}

int
main(int argc, char **argv)
{
	size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, asked = 0;

	if (argc != 3)
		return 2;
	if (strcmp(argv[1], "churn") == 0) {
		for (size_t i = 0; i < n; i++) {
			pthread_t t;

			if (pthread_create(&t, NULL, churn, (void *)i) != 0)
				return 1;
		}
	} else if (strcmp(argv[1], "huge") == 0) {
		fill_untouched(n << 20);
	} else {
		asked = fill(n << 20);
	}
	/* stdout first: its buffer is an allocation too. */
	setvbuf(stdout, NULL, _IONBF, 0);
	if (strcmp(argv[1], "points") == 0 || strcmp(argv[1], "abort") == 0)
		print_points();
	if (strcmp(argv[1], "quiet") == 0) {
		fprintf(stderr, "asked for: %zu\n", asked);
		malloc_stats();
	}
	puts("ready");
	if (strcmp(argv[1], "crash") == 0 || strcmp(argv[1], "abort") == 0)
		abort();
	if (strcmp(argv[1], "exit") == 0)
		return 0;
	if (strcmp(argv[1], "leader") == 0) {
		pthread_t t;

		if (pthread_create(&t, NULL, wait_for_ever, NULL) == 0)
			pthread_exit(NULL);
	}
	(void)wait_for_ever(NULL);
}
