/*
 * unit.h: TAP for tests of the library's inner modules. They are linked with all of its objects,
 * so malloc in a test is the library's own.
 */
#ifndef UNIT_H
#define UNIT_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned unit_count, unit_failed;

/* One promise, kept or not. */
static inline void
promise(int kept, const char *what)
{
	unit_count++;
	unit_failed += !kept;
	printf("%sok %u - %s\n", kept ? "" : "not ", unit_count, what);
	fflush(stdout);
}

static inline int
unit_done(void)
{
	printf("1..%u\n", unit_count);
	return unit_failed != 0;
}

/* Runs work in another thread and waits for it. */
static inline void
in_thread(void *(*work)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, work, arg) != 0)
		abort();
	pthread_join(t, NULL);
}

/* splitmix64; tests print the seed they start from. */
static uint64_t unit_seed = 1;

static inline uint64_t
unit_random(void)
{
	uint64_t z = unit_seed += 0x9e3779b97f4a7c15U;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

/* For the checkers: says what is broken. */
static inline void
unit_complain(const char *what, const void *where)
{
	printf("# %s at %p\n", what, where);
}

#endif
