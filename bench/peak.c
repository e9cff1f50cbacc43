/*
 * peak: a threaded server after its rush hour. Each thread opens sessions of 20
 * to 200 blocks (8 bytes to 16 KiB), with short-lived requests in between, until
 * its share of the peak is live; then all but every twentieth session are closed,
 * by the next thread. The threads stay. Prints resident memory at once, after
 * idling and after a trim.
 *
 * usage: peak [megabytes [threads [rounds]]]
 */
#include "common.h"

struct session {
	size_t blocks, bytes;
	void *block[200];
};

struct worker {
	struct worker *next;
	struct session **session;
	size_t sessions, bytes, share, rounds;
	uint64_t rng, opened;		/* `opened`: blocks allocated for good */
};

static pthread_barrier_t barrier;

static void
session_open(struct worker *w)
{
	struct session *s = block_new(sizeof(*s));

	s->blocks = rng_between(&w->rng, 20, 200);
	s->bytes = 0;
	for (size_t i = 0; i < s->blocks; i++) {
		size_t n = size_flat(&w->rng, 3, 14);

		s->block[i] = block_new(n);
		s->bytes += n;
		block_free(block_new(size_steep(&w->rng, 5, 12)));
	}
	w->opened += s->blocks;
	w->bytes += s->bytes;
	w->session[w->sessions++] = s;
}

static void
session_close(struct worker *w, size_t i)
{
	struct session *s = w->session[i];

	for (size_t b = 0; b < s->blocks; b++)
		block_free(s->block[b]);
	w->bytes -= s->bytes;
	free(s);
	w->session[i] = w->session[--w->sessions];
}

static void *
work(void *arg)
{
	struct worker *w = arg;

	for (size_t round = 0; round < w->rounds; round++) {
		while (w->bytes < w->share)
			session_open(w);
		pthread_barrier_wait(&barrier);
		for (size_t keep = w->next->sessions / 20; w->next->sessions > keep; )
			session_close(w->next, rng_below(&w->rng, w->next->sessions));
		pthread_barrier_wait(&barrier);
	}
	pthread_barrier_wait(&barrier);		/* stay while memory is measured */
	return NULL;
}

int
main(int argc, char **argv)
{
	size_t peak = bench_arg(argc, argv, 1, 240) << 20;
	size_t threads = bench_arg(argc, argv, 2, 4);
	size_t rounds = bench_arg(argc, argv, 3, 4);
	struct worker *w = bench_table(threads, sizeof(*w));
	uint64_t ops = 0;
	size_t live = 0;

	pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
	for (size_t i = 0; i < threads; i++) {
		w[i].next = &w[(i + 1) % threads];
		w[i].share = peak / threads;
		w[i].rounds = rounds;
		w[i].rng = rng_seed(90 + i);
		w[i].session = bench_table(peak / 2000 + 100, sizeof(void *));
		(void)bench_thread(i, work, &w[i]);
	}
	for (size_t i = 0; i < 2 * rounds; i++)
		pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < threads; i++) {
		live += w[i].bytes + w[i].sessions * sizeof(struct session);
		ops += 2 * w[i].opened;
	}
	bench_print("ops", ops);
	bench_print_rss_after(live);
	pthread_barrier_wait(&barrier);
	return 0;
}
