/*
 * idle: many threads alive at once, each of which allocates one small block and
 * then waits. Resident memory is taken before and after that one allocation, when
 * all stacks are already touched, so the difference per thread is what the
 * allocator keeps for a thread. The threads take turns: all of them at once would
 * measure the scheduler.
 *
 * usage: idle [threads [blocks-of-each]]
 */
#include "common.h"
#include <semaphore.h>

enum { STACK = 64 << 10, STACK_TOUCHED = 24 << 10 };

struct waiter {
	sem_t go;
	struct waiter *next;
	pthread_t id;
};

static sem_t main_goes_on;
static size_t blocks;

static void
touch_stack(void)
{
	volatile char here[STACK_TOUCHED];

	for (size_t i = 0; i < sizeof(here); i += 1024)
		here[i] = (char)i;
}

/* Wait for my turn; what I do then, I do alone. */
static void
my_turn(struct waiter *w)
{
	while (sem_wait(&w->go) != 0)
		continue;
}

static void
next_turn(struct waiter *w)
{
	sem_post(w->next != NULL ? &w->next->go : &main_goes_on);
}

static void *
work(void *arg)
{
	struct waiter *w = arg;
	void *p[16];
	size_t n = blocks < 16 ? blocks : 16;

	touch_stack();
	sem_post(&main_goes_on);
	my_turn(w);
	for (size_t i = 0; i < n; i++)
		p[i] = block_new(40 + 24 * i);
	next_turn(w);
	my_turn(w);
	for (size_t i = 0; i < n; i++)
		block_free(p[i]);
	next_turn(w);
	return NULL;
}

static void
everyone_once(struct waiter *first)
{
	sem_post(&first->go);
	while (sem_wait(&main_goes_on) != 0)
		continue;
}

int
main(int argc, char **argv)
{
	size_t threads = bench_arg(argc, argv, 1, 10000);
	struct waiter *w = bench_map((threads + 1) * sizeof(*w));
	size_t before, after;
	pthread_attr_t attr;

	blocks = bench_arg(argc, argv, 2, 1);
	sem_init(&main_goes_on, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (size_t i = 0; i < threads; i++) {
		sem_init(&w[i].go, 0, 0);
		w[i].next = i + 1 < threads ? &w[i + 1] : NULL;
		if (pthread_create(&w[i].id, &attr, work, &w[i]) != 0)
			bench_die("cannot create so many threads");
		while (sem_wait(&main_goes_on) != 0)
			continue;
	}
	before = bench_rss();
	everyone_once(w);
	after = bench_rss();
	everyone_once(w);
	for (size_t i = 0; i < threads; i++)
		pthread_join(w[i].id, NULL);
	bench_print("ops", threads);
	bench_print("thread_bytes", after > before ? (after - before) / threads : 0);
	bench_print("rss_end", bench_rss());
	return 0;
}
