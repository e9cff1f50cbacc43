/*
 * remote: producers allocate and fill batches of blocks, consumers free them; no
 * block is ever freed by the thread that allocated it.
 *
 * usage: remote [operations [producers [consumers]]]
 *
 * The mutex protects the queue, which holds about QUEUE batches at most: a fast
 * producer waits, so that memory is bounded by the program itself.
 */
#include "common.h"

/*
 * Sleepers are woken when there is much to do, not for each batch: else it is the
 * cost of waking them that is measured, and it varies from run to run.
 */
enum { BATCH = 200, QUEUE = 96, FULL_ENOUGH = 64, EMPTY_ENOUGH = 32 };

struct batch {
	struct batch *next;
	void *block[BATCH];
};

struct worker {
	uint64_t todo, rng;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER;
static struct batch *first, **last = &first;
static size_t queued, producing;

static void
put(struct batch *b)
{
	b->next = NULL;
	pthread_mutex_lock(&mutex);
	if (queued >= QUEUE)
		while (queued > EMPTY_ENOUGH)
			pthread_cond_wait(&not_full, &mutex);
	*last = b;
	last = &b->next;
	if (++queued == FULL_ENOUGH)
		pthread_cond_broadcast(&not_empty);
	pthread_mutex_unlock(&mutex);
}

static struct batch *
take(void)
{
	struct batch *b;

	pthread_mutex_lock(&mutex);
	if (first == NULL)
		while (queued < FULL_ENOUGH && producing > 0)
			pthread_cond_wait(&not_empty, &mutex);
	if ((b = first) != NULL) {
		if ((first = b->next) == NULL)
			last = &first;
		if (--queued == EMPTY_ENOUGH)
			pthread_cond_broadcast(&not_full);
	}
	pthread_mutex_unlock(&mutex);
	return b;
}

static void
produce(struct worker *w)
{
	for (uint64_t done = 0; done < w->todo; done += BATCH) {
		struct batch *b = block_new(sizeof(*b));

		for (size_t i = 0; i < BATCH; i++)
			b->block[i] = block_new(size_steep(&w->rng, 3, 10));
		put(b);
	}
	pthread_mutex_lock(&mutex);
	producing--;
	pthread_cond_broadcast(&not_empty);
	pthread_mutex_unlock(&mutex);
}

static void *
work(void *arg)
{
	struct batch *b;

	if (((struct worker *)arg)->todo > 0) {
		produce(arg);
		return NULL;
	}
	while ((b = take()) != NULL) {
		for (size_t i = 0; i < BATCH; i++)
			block_free(b->block[i]);
		free(b);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	uint64_t todo = bench_arg(argc, argv, 1, 16000000);
	size_t producers = bench_arg(argc, argv, 2, 1);
	size_t consumers = bench_arg(argc, argv, 3, 1);
	struct worker *w = bench_table(producers + consumers, sizeof(*w));

	producing = producers;
	for (size_t i = 0; i < producers; i++)
		w[i] = (struct worker){ todo / producers, rng_seed(60 + i) };
	bench_threads(producers + consumers, work, w, sizeof(*w));
	free(w);
	bench_print("ops", todo);
	bench_print("rss_end", bench_rss());
	return 0;
}
