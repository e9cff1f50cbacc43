/*
 * large: a few dozen live blocks of 64 KiB to 16 MiB, replaced at random, of
 * which a word in each 4 KiB is written, and the first 64 KiB wholly. Shows what
 * the page layer and the kernel cost.
 *
 * usage: large [operations]
 */
#include "common.h"

enum { SLOTS = 32, STEP = 4096, WHOLE = 1 << 16 };

int
main(int argc, char **argv)
{
	uint64_t todo = bench_arg(argc, argv, 1, 30000);
	uint64_t rng = rng_seed(11);
	char *slot[SLOTS] = { NULL };

	for (uint64_t i = 0; i < todo; i++) {
		size_t at = rng_below(&rng, SLOTS);
		size_t n = size_flat(&rng, 16, 24);

		free(slot[at]);
		slot[at] = malloc(n);
		if (slot[at] == NULL)
			bench_die("out of memory");
		memset(slot[at], (int)i, WHOLE);
		for (size_t j = WHOLE; j < n; j += STEP)
			((volatile char *)slot[at])[j] = (char)i;
	}
	for (size_t i = 0; i < SLOTS; i++)
		free(slot[i]);
	bench_print("ops", todo);
	return 0;
}
