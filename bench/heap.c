/*
 * heap: the same number of replacements at random in a heap of the given size.
 * Run with 1, 100 and 10000 megabytes, the nanoseconds per replacement it prints
 * tell whether the allocator's cost grows with the heap (the block's own cache
 * and TLB misses do grow, alike for all).
 *
 * usage: heap [operations [megabytes-live]]
 */
#include "common.h"

enum { MEAN = 336 };		/* of sizes 16 to 656 */

int
main(int argc, char **argv)
{
	uint64_t todo = bench_arg(argc, argv, 1, 10000000);
	size_t slots = (bench_arg(argc, argv, 2, 1) << 20) / MEAN;
	uint64_t rng = rng_seed(14);
	void **table = bench_table(slots, sizeof(*table));
	double start;

	for (size_t i = 0; i < slots; i++)
		table[i] = block_new(rng_between(&rng, 16, 656));
	start = bench_now();
	for (uint64_t i = 0; i < todo; i++) {
		size_t at = rng_below(&rng, slots);

		block_free(table[at]);
		table[at] = block_new(rng_between(&rng, 16, 656));
	}
	bench_print("op_ns", (uint64_t)((bench_now() - start) * 1e9 / (double)todo));
	bench_print("ops", todo + slots);
	return 0;
}
