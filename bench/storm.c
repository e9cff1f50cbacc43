/*
 * storm: threads created and ended, a few at a time, each allocating a handful of
 * blocks, freeing most and leaving the rest to the one that joins it. Memory must
 * be flat: it is printed after a tenth of the run and at its end.
 *
 * usage: storm [threads [at-once]]
 */
#include "common.h"

enum { BLOCKS = 40, LEFT = 4, AT_ONCE_MAX = 64 };

struct life {
	uint64_t rng;
	void *left[LEFT];
};

static void *
work(void *arg)
{
	struct life *l = arg;
	void *p[BLOCKS];

	for (size_t i = 0; i < BLOCKS; i++)
		p[i] = block_new(size_steep(&l->rng, 3, 12));
	for (size_t i = LEFT; i < BLOCKS; i++)
		block_free(p[i]);
	memcpy(l->left, p, sizeof(l->left));
	return NULL;
}

int
main(int argc, char **argv)
{
	size_t threads = bench_arg(argc, argv, 1, 50000);
	size_t at_once = bench_arg(argc, argv, 2, 4);
	struct life life[AT_ONCE_MAX];
	size_t early = threads / 10;

	if (at_once == 0 || at_once > AT_ONCE_MAX)
		bench_die("between 1 and 64 threads at once");
	for (size_t done = 0; done < threads; done += at_once) {
		for (size_t i = 0; i < at_once; i++)
			life[i].rng = rng_seed(done + i);
		bench_threads(at_once, work, life, sizeof(life[0]));
		for (size_t i = 0; i < at_once; i++)
			for (size_t j = 0; j < LEFT; j++)
				block_free(life[i].left[j]);
		if (done < early && done + at_once >= early)
			bench_print("rss_early", bench_rss());
	}
	bench_print("ops", threads);
	bench_print("rss_end", bench_rss());
	return 0;
}
