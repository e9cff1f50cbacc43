/*
 * zero: calloc of small records, of arrays, and of large tables of which only a
 * few places are used (hash tables). That the memory is zero is checked where it
 * is used, which is also where it is first touched.
 *
 * usage: zero [operations]
 */
#include "common.h"

enum { SLOTS = 4096, TABLES = 8 };

static void *
new_zero(uint64_t *rng, size_t n, size_t used)
{
	uint64_t *p = calloc(n / 8 + 1, 8);

	if (p == NULL)
		bench_die("out of memory");
	for (size_t i = 0; i < used; i++) {
		size_t at = used > n / 8 ? i % (n / 8 + 1) : rng_below(rng, n / 8);

		if (p[at] > used)
			bench_die("calloc gave memory that is not zero");
		p[at] = i;
	}
	return p;
}

int
main(int argc, char **argv)
{
	uint64_t todo = bench_arg(argc, argv, 1, 12000000);
	uint64_t rng = rng_seed(10);
	static void *slot[SLOTS], *table[TABLES];

	for (uint64_t i = 0; i < todo; i++) {
		void **at = &slot[rng_below(&rng, SLOTS)];
		size_t n = size_steep(&rng, 4, 13);

		free(*at);
		*at = new_zero(&rng, n, n < 256 ? n / 8 + 1 : 32);
		if (i % 512 != 0)
			continue;
		at = &table[rng_below(&rng, TABLES)];
		free(*at);
		*at = new_zero(&rng, size_flat(&rng, 15, 22), 100);
	}
	bench_print("ops", todo);
	return 0;
}
