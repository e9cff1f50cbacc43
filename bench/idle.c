/*
 * idle: many threads alive at once, each of which allocates one small block and
 * then waits. Resident memory is taken before and after that one allocation, when
 * all stacks are already touched, so the difference per thread is what the
 * allocator keeps for a thread.
 *
 * usage: idle [threads [blocks-of-each]]
 */
#include "common.h"

enum { STACK = 64 << 10, STACK_TOUCHED = 24 << 10 };

static pthread_barrier_t barrier;
static size_t blocks;

static void
touch_stack(void)
{
	volatile char here[STACK_TOUCHED];

	for (size_t i = 0; i < sizeof(here); i += 1024)
		here[i] = (char)i;
}

static void *
work(void *arg)
{
	void *p[16];
	size_t n = blocks < 16 ? blocks : 16;

	(void)arg;
	touch_stack();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);		/* here main takes the first figure */
	for (size_t i = 0; i < n; i++)
		p[i] = block_new(40 + 24 * i);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);		/* and here the second */
	for (size_t i = 0; i < n; i++)
		block_free(p[i]);
	return NULL;
}

int
main(int argc, char **argv)
{
	size_t threads = bench_arg(argc, argv, 1, 10000);
	pthread_t *id = bench_table(threads, sizeof(*id));
	size_t before, after;
	pthread_attr_t attr;

	blocks = bench_arg(argc, argv, 2, 1);
	pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (size_t i = 0; i < threads; i++)
		if (pthread_create(&id[i], &attr, work, NULL) != 0)
			bench_die("cannot create so many threads");
	pthread_barrier_wait(&barrier);
	before = bench_rss();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	after = bench_rss();
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
	bench_print("ops", threads);
	bench_print("thread_bytes", after > before ? (after - before) / threads : 0);
	bench_print("rss_end", bench_rss());
	free(id);
	return 0;
}
