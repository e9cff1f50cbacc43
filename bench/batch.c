/*
 * batch: each of some threads builds a batch of like-sized blocks and takes it
 * down again, in the order of building, in reverse, at random, or every other
 * one first, with a tenth held over to the next batch. The pattern of request
 * handlers and of passes over a data structure.
 *
 * usage: batch [operations [threads [blocks-in-a-batch]]]
 */
#include "common.h"

struct worker {
	uint64_t todo, rng;
	size_t blocks;
};

static void
shuffle(uint64_t *rng, void **p, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = rng_below(rng, i);
		void *t = p[j];

		p[j] = p[i - 1];
		p[i - 1] = t;
	}
}

static void
take_down(struct worker *w, void **p, size_t n, unsigned order)
{
	if (order == 1)
		shuffle(&w->rng, p, n);
	if (order == 2) {
		for (size_t i = n; i-- > 0; )
			block_free(p[i]);
	} else if (order == 3) {
		for (size_t i = 0; i < n; i += 2)
			block_free(p[i]);
		for (size_t i = 1; i < n; i += 2)
			block_free(p[i]);
	} else {
		for (size_t i = 0; i < n; i++)
			block_free(p[i]);
	}
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	size_t kept_max = w->blocks / 10;
	void **now = bench_table(w->blocks, sizeof(*now));
	void **kept = bench_table(kept_max, sizeof(*kept));

	for (uint64_t done = 0; done < w->todo; done += w->blocks) {
		size_t size = size_steep(&w->rng, 4, 11);

		for (size_t i = 0; i < w->blocks; i++)
			now[i] = block_new(size + (i & 7));
		for (size_t i = 0; i < kept_max; i++) {
			void *old = kept[i];

			kept[i] = now[i * 10];
			now[i * 10] = old;
		}
		take_down(w, now, w->blocks, (unsigned)(rng_next(&w->rng) >> 62));
	}
	take_down(w, kept, kept_max, 0);
	free(kept);
	free(now);
	return NULL;
}

int
main(int argc, char **argv)
{
	uint64_t todo = bench_arg(argc, argv, 1, 36000000);
	size_t threads = bench_arg(argc, argv, 2, 1);
	size_t blocks = bench_arg(argc, argv, 3, 2000);
	struct worker *w = bench_table(threads, sizeof(*w));

	for (size_t i = 0; i < threads; i++)
		w[i] = (struct worker){ todo / threads, rng_seed(40 + i), blocks };
	bench_threads(threads, work, w, sizeof(*w));
	free(w);
	bench_print("ops", todo);
	return 0;
}
