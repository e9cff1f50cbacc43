/*
 * share: does the allocator put blocks of two threads into one cache line? Each
 * thread writes again and again to a small block, frees it and takes another.
 * Active: the threads allocate at the same time. Passive: the first blocks were
 * all allocated by main, side by side, and are freed by the threads.
 *
 * usage: share [operations [threads [passive]]]
 */
#include "common.h"

enum { WRITES = 200 };

struct worker {
	uint64_t todo;
	void *given;
};

static void *
work(void *arg)
{
	struct worker *w = arg;

	free(w->given);
	for (uint64_t i = 0; i < w->todo; i++) {
		volatile char *p = malloc(8);

		if (p == NULL)
			bench_die("out of memory");
		for (int j = 0; j < WRITES; j++)
			p[j & 7] = (char)(p[j & 7] + 1);
		free((void *)p);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	uint64_t todo = bench_arg(argc, argv, 1, 12000000);
	size_t threads = bench_arg(argc, argv, 2, 2);
	int passive = bench_arg(argc, argv, 3, 0) != 0;
	struct worker *w = bench_table(threads, sizeof(*w));

	for (size_t i = 0; i < threads; i++)
		w[i] = (struct worker){ todo / threads, passive ? malloc(8) : NULL };
	bench_threads(threads, work, w, sizeof(*w));
	free(w);
	bench_print("ops", todo);
	return 0;
}
