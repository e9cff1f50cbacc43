/*
 * larson: a server whose threads come and go. Each line of threads owns a set of
 * sessions; a thread replaces random ones for a while, then starts its successor,
 * hands the sessions over and ends. So most blocks are freed by another thread
 * than allocated them, and that thread is gone.
 *
 * usage: larson [operations [lines [sessions [operations-in-a-life]]]]
 *
 * The count of live lines is what the mutex protects; sessions belong to one
 * thread at a time.
 */
#include "common.h"

enum { SIZE_MIN = 8, SIZE_MAX_ = 1000 };

struct line {
	size_t number;
	void **session;
	size_t sessions;
	uint64_t rng, left, life;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static size_t live;

static void *live_a_life(void *);

static void
start(struct line *l)
{
	pthread_detach(bench_thread(l->number, live_a_life, l));
}

static void *
live_a_life(void *arg)
{
	struct line *l = arg;
	uint64_t n = l->left < l->life ? l->left : l->life;

	for (uint64_t i = 0; i < n; i++) {
		size_t s = rng_below(&l->rng, l->sessions);

		block_free(l->session[s]);
		l->session[s] = block_new(rng_between(&l->rng, SIZE_MIN, SIZE_MAX_));
	}
	l->left -= n;
	if (l->left > 0) {
		start(l);
		return NULL;
	}
	pthread_mutex_lock(&mutex);
	live--;
	pthread_cond_signal(&ended);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

int
main(int argc, char **argv)
{
	uint64_t todo = bench_arg(argc, argv, 1, 16000000);
	size_t lines = bench_arg(argc, argv, 2, 4);
	size_t sessions = bench_arg(argc, argv, 3, 5000);
	uint64_t life = bench_arg(argc, argv, 4, 20000);
	struct line *l = bench_table(lines, sizeof(*l));

	live = lines;
	for (size_t i = 0; i < lines; i++) {
		l[i] = (struct line){ i, bench_table(sessions, sizeof(void *)), sessions,
		    rng_seed(50 + i), todo / lines, life };
		for (size_t s = 0; s < sessions; s++)
			l[i].session[s] = block_new(rng_between(&l[i].rng, SIZE_MIN,
			    SIZE_MAX_));
		start(&l[i]);
	}
	pthread_mutex_lock(&mutex);
	while (live > 0)
		pthread_cond_wait(&ended, &mutex);
	pthread_mutex_unlock(&mutex);
	bench_print("ops", todo);
	bench_print("rss_end", bench_rss());
	return 0;
}
