/*
 * churn: a large table of slots on one thread; each step picks one at random
 * and frees what is there, or fills it with a block of 8 to 1023 bytes, where
 * half as many blocks fall into each next doubling. Nothing is local: the pattern that
 * shows how many cache lines malloc and free touch.
 *
 * usage: churn [operations [slots]]
 */
#include "common.h"

int
main(int argc, char **argv)
{
	uint64_t todo = bench_arg(argc, argv, 1, 30000000);
	size_t slots = bench_arg(argc, argv, 2, 1 << 18);
	uint64_t rng = rng_seed(2);
	void **table = bench_table(slots, sizeof(*table));

	for (uint64_t i = 0; i < todo; i++) {
		size_t slot = rng_below(&rng, slots);

		if (table[slot] != NULL) {
			block_free(table[slot]);
			table[slot] = NULL;
		} else {
			table[slot] = block_new(size_steep(&rng, 3, 10));
		}
	}
	for (size_t i = 0; i < slots; i++)
		block_free(table[i]);
	free(table);
	bench_print("ops", todo);
	return 0;
}
