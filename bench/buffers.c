/*
 * buffers: each thread has a few buffers of 32 to 256 KiB, replaced at random, as
 * servers have for what they read and write. A word in each 4 KiB is written.
 * Shows whether threads wait for each other when blocks are no longer small.
 *
 * usage: buffers [operations [threads]]
 */
#include "common.h"

enum { SLOTS = 10, STEP = 4096 };

struct worker {
	uint64_t todo, rng;
};

static void *
work(void *arg)
{
	struct worker *w = arg;
	char *slot[SLOTS] = { NULL };

	for (uint64_t i = 0; i < w->todo; i++) {
		size_t at = rng_below(&w->rng, SLOTS);
		size_t n = size_flat(&w->rng, 15, 18);

		free(slot[at]);
		slot[at] = malloc(n);
		if (slot[at] == NULL)
			bench_die("out of memory");
		for (size_t j = 0; j < n; j += STEP)
			((volatile char *)slot[at])[j] = (char)i;
	}
	for (size_t i = 0; i < SLOTS; i++)
		free(slot[i]);
	return NULL;
}

int
main(int argc, char **argv)
{
	uint64_t todo = bench_arg(argc, argv, 1, 4000000);
	size_t threads = bench_arg(argc, argv, 2, 2);
	struct worker *w = bench_table(threads, sizeof(*w));

	for (size_t i = 0; i < threads; i++)
		w[i] = (struct worker){ todo / threads, rng_seed(90 + i) };
	bench_threads(threads, work, w, sizeof(*w));
	bench_print("ops", todo);
	free(w);
	return 0;
}
