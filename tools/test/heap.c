/*
 * heap.c: a process for the command to look at.
 *
 *   heap quiet MIB        fills about so many MiB with many sizes, frees some, prints
 *                         malloc_stats(), then "ready", and waits to be killed
 *   heap huge MIB         large chunks and large allocations, not written to, some freed
 *   heap churn THREADS    allocates and frees on that many threads, some of it for each other
 *   heap crash MIB        like quiet, then abort()
 *   heap exit MIB         like quiet, then ends
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

static void
fill(size_t nbytes)
{
	uint64_t state = 88172645463325252U;
	static char *kept[1 << 22];
	size_t count = 0;

	for (size_t sum = 0; sum < nbytes && count < sizeof(kept) / sizeof(kept[0]); count++) {
		/* Phases, as programs have them: each has its sizes, and leaves something. */
		size_t n = random_size(&state) % (1 + ((size_t)64 << sum * 13 / nbytes)) + 1;

		if (nbytes >= (size_t)1 << 30)
			n *= 20;
		kept[count] = malloc(n);
		if (kept[count] == NULL)
			abort();
		if (nbytes < (size_t)1 << 30) /* a huge heap need not take huge memory */
			memset(kept[count], 1, n);
		sum += n;
	}
	for (size_t i = 0; i < count; i++)
		if (next_random(&state) % count < i / 2 + (i / 4096 % 3 == 0 ? count / 3 : 0))
			free(kept[i]);
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

int
main(int argc, char **argv)
{
	size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

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
		fill(n << 20);
	}
	/* stdout first: its buffer is an allocation too. */
	setvbuf(stdout, NULL, _IONBF, 0);
	if (strcmp(argv[1], "quiet") == 0)
		malloc_stats();
	puts("ready");
	if (strcmp(argv[1], "crash") == 0)
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
