/*
 * stacks.c: a program that allocates known amounts from functions with known names, for tests of
 * profiles. stacks LEAK: leaves allocations and exits; stacks SERVE: goes on until it is killed,
 * with as much from each function all the time, and says when it is ready.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *volatile sink;

__attribute__((noinline)) void *
leak_small(void)
{
	void *volatile p = malloc(100);
	return p;
}

__attribute__((noinline)) void *
leak_large(void)
{
	void *volatile p = malloc(100000);
	return p;
}

__attribute__((noinline)) void
use_and_free(size_t n)
{
	void *volatile p = malloc(n);

	memset(p, 1, 16);
	free(p);
}

static inline __attribute__((always_inline)) void
inlined_step(size_t n)
{
	use_and_free(n);
}

__attribute__((noinline)) void
serve(void)
{
	for (int i = 0; i < 1000; i++)
		inlined_step(1000);
	for (int i = 0; i < 10; i++)
		use_and_free(100000);
	sink = leak_small();
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "serve") == 0) {
		puts("ready");
		fflush(stdout);
		for (;;) {
			serve();
			usleep(200);
		}
	}
	for (int i = 0; i < 1000; i++)
		sink = leak_small();
	for (int i = 0; i < 10; i++)
		sink = leak_large();
	for (int i = 0; i < 10000; i++)
		inlined_step(1000);
	return argc > 2 ? atoi(argv[2]) : 0;
}
