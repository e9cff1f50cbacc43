/*
 * tiny: objects of 8 to 48 bytes on one thread, most of them temporaries that
 * die in the order an expression evaluator drops them, one in eight kept for a
 * while. The pattern of interpreters and of arithmetic on big numbers.
 *
 * usage: tiny [operations]
 */
#include "common.h"

enum { KEPT = 8192, DEPTH = 6 };

int
main(int argc, char **argv)
{
	uint64_t todo = bench_arg(argc, argv, 1, 70000000);
	uint64_t done = 0;
	uint64_t rng = rng_seed(1);
	void **kept = bench_table(KEPT, sizeof(*kept));
	void *stack[DEPTH];

	while (done < todo) {
		uint64_t r = rng_next(&rng);
		size_t depth = 1 + (r >> 8) % DEPTH;

		for (size_t i = 0; i < depth; i++)
			stack[i] = block_new(8 + (r >> (16 + 6 * i) & 5) * 8);
		if ((r & 7) == 0) {
			size_t slot = r >> 51 & (KEPT - 1);
			void *old = kept[slot];

			kept[slot] = stack[0];
			stack[0] = old;
		}
		for (size_t i = depth; i-- > 0; )
			block_free(stack[i]);
		done += depth;
	}
	for (size_t i = 0; i < KEPT; i++)
		block_free(kept[i]);
	free(kept);
	bench_print("ops", done);
	return 0;
}
