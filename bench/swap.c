/*
 * swap: a storm of remote frees. All threads share one table; each step puts a
 * new block into a random slot with an atomic exchange and frees the block that
 * was there, which most often came from another thread. Live memory is bounded
 * by the table, so growth over the run is the allocator's.
 *
 * usage: swap [operations [threads [slots]]]
 */
#include "common.h"

struct worker {
	uint64_t todo, rng;
	_Atomic(void *) *table;
	size_t slots;
};

static void *
work(void *arg)
{
	struct worker *w = arg;

	for (uint64_t i = 0; i < w->todo; i++) {
		void *p = block_new(size_steep(&w->rng, 4, 11));

		block_free(atomic_exchange(&w->table[rng_below(&w->rng, w->slots)], p));
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	uint64_t todo = bench_arg(argc, argv, 1, 10000000);
	size_t threads = bench_arg(argc, argv, 2, 8);
	size_t slots = bench_arg(argc, argv, 3, 20000);
	_Atomic(void *) *table = bench_table(slots, sizeof(*table));
	struct worker *w = bench_table(threads, sizeof(*w));

	for (size_t i = 0; i < threads; i++)
		w[i] = (struct worker){ todo / threads, rng_seed(70 + i), table, slots };
	bench_threads(threads, work, w, sizeof(*w));
	bench_print("ops", todo);
	bench_print("rss_end", bench_rss());
	for (size_t i = 0; i < slots; i++)
		block_free(table[i]);
	free(table);
	free(w);
	return 0;
}
