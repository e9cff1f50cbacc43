/*
 * stress: threads with sizes from 8 bytes to 1 MiB, a private table each and one
 * table shared by all through which blocks change hands. Symmetric: every thread
 * takes every size and shares one block in eight. Asymmetric: thread 0 makes tiny
 * blocks and gives most away, 1 medium ones, 2 large ones, 3 every size and only
 * frees what the others shared. Threads end and are replaced GENERATIONS times.
 *
 * usage: stress [operations [threads [asymmetric]]]
 */
#include "common.h"

enum { PRIVATE = 2000, SHARED = 1000, GENERATIONS = 10 };

struct worker {
	uint64_t todo, rng;
	unsigned low, high;	/* sizes, as powers of two */
	unsigned share;		/* of 64 new blocks, how many are given away */
	unsigned shed;		/* of 64 steps, how many only free a shared one */
	size_t keep;		/* how many of table[] it uses */
	void *table[PRIVATE];
};

static _Atomic(void *) shared[SHARED];

static void *
work(void *arg)
{
	struct worker *w = arg;

	for (uint64_t i = 0; i < w->todo; i++) {
		uint64_t r = rng_next(&w->rng);
		size_t place = rng_below(&w->rng, SHARED);
		void *p;

		if ((r & 63) < w->shed) {
			block_free(atomic_exchange(&shared[place], NULL));
			continue;
		}
		p = block_new(size_flat(&w->rng, w->low, w->high));
		if ((r >> 6 & 63) < w->share) {
			block_free(atomic_exchange(&shared[place], p));
		} else {
			place = rng_below(&w->rng, w->keep);
			block_free(w->table[place]);
			w->table[place] = p;
		}
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	static const struct { unsigned low, high, share, shed; } role[] = {
		{ 3, 7, 48, 0 }, { 7, 12, 24, 16 }, { 12, 20, 8, 32 }, { 3, 20, 0, 48 },
	};
	uint64_t todo = bench_arg(argc, argv, 1, 8000000);
	size_t threads = bench_arg(argc, argv, 2, 2);
	int asymmetric = bench_arg(argc, argv, 3, 0) != 0;
	struct worker *w = bench_table(threads, sizeof(*w));

	for (size_t i = 0; i < threads; i++) {
		w[i].todo = todo / threads / GENERATIONS;
		w[i].rng = rng_seed(80 + i);
		w[i].low = asymmetric ? role[i % 4].low : 3;
		w[i].high = asymmetric ? role[i % 4].high : 20;
		w[i].share = asymmetric ? role[i % 4].share : 8;
		w[i].shed = asymmetric ? role[i % 4].shed : 0;
		w[i].keep = asymmetric && w[i].low == 12 ? PRIVATE / 10 : PRIVATE;
	}
	for (int g = 0; g < GENERATIONS; g++)
		bench_threads(threads, work, w, sizeof(*w));
	for (size_t i = 0; i < threads; i++)
		for (size_t j = 0; j < PRIVATE; j++)
			block_free(w[i].table[j]);
	for (size_t i = 0; i < SHARED; i++)
		block_free(shared[i]);
	free(w);
	bench_print("ops", todo);
	return 0;
}
