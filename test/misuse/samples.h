/*
 * samples.h: mistakes with memory that option W watches. Acts as in writes.h.
 */
#ifndef MISUSE_SAMPLES_H
#define MISUSE_SAMPLES_H

#include "writes.h"

static int
sampled(size_t n, void (*act)(char *p, size_t n))
{
	char *p[400];

	expect(NULL, "ANY");
	/* Before the heap's first page nothing is mapped: it goes to another size. */
	for (int i = 0; i < 30; i++)
		(void)malloc(n < 100 ? 1000 : 1);
	for (int round = 0; round < 100; round++) {
		for (size_t i = 0; i < 400; i++)
			p[i] = malloc(n);
		for (size_t i = 0; i < 400; i++)
			act(p[i], n);
	}
	return 0;
}

/* Of 1000 allocations about 100 are sampled; these have no byte more than they need. */
static int
sample_rate(size_t n)
{
	size_t count = 0;

	for (int i = 0; i < 1000; i++)
		count += malloc_usable_size(malloc(n)) == n;
	return count >= 30 && count <= 300 ? 0 : 3;
}

static void past_end(char *p, size_t n) { spoil(p + n, 1); free(p); }
static void read_freed(char *p, size_t n) { free(p); *(volatile char *)opaque(p + n / 2); }
static void spoil_freed(char *p, size_t n) { free(p); spoil(opaque_char(p) + n - 1, 1); }
static void before_start(char *p, size_t n) { (void)n; spoil(p - 1, 1); }
static void double_freed(char *p, size_t n) { (void)n; free(p); free(opaque(p)); }
static void inside(char *p, size_t n) { (void)n; free(p + 1); }
static void sized_wrong(char *p, size_t n) { free_sized(p, n * 2 + 20); }

static int sample_overflow(size_t n) { return sampled(n, past_end); }
static int sample_read_freed(size_t n) { return sampled(n, read_freed); }
static int sample_write_freed(size_t n) { return sampled(n, spoil_freed); }
static int sample_underflow(size_t n) { return sampled(n, before_start); }
static int sample_double(size_t n) { return sampled(n, double_freed); }
static int sample_inside(size_t n) { return sampled(n, inside); }
static int sample_sized(size_t n) { return sampled(n, sized_wrong); }

/* W1 samples most of them, once the thread counts; one is told with its bounds to the byte. */
static char *
sampled_one(size_t n)
{
	for (unsigned tries = 0; tries < 1000; tries++) {
		char *p = malloc(n);

		if (malloc_usable_size(p) == n)
			return p;
	}
	_exit(4);
}

static void
expect_sampled(const void *at, const char *p, size_t n, const char *extra)
{
	char place[200];

	snprintf(place, sizeof(place), "sampled allocation of %zu bytes, 0x%lx-0x%lx%s, thread %d", n,
	    (unsigned long)(uintptr_t)p, (unsigned long)(uintptr_t)(p + n), extra, (int)gettid());
	expect(at, place);
}

static char *
sampled_written(size_t n)
{
	char *p = sampled_one(n), extra[60];

	snprintf(extra, sizeof(extra), ", written at 0x%lx", (unsigned long)(uintptr_t)(p + n));
	expect_sampled(p, p, n, extra);
	spoil(p + n, 1);
	return p;
}

static int
sample_written(size_t n)
{
	free(sampled_written(n));
	return 0;
}

static int
sample_left(size_t n)
{
	return sampled_written(n) == NULL;
}

static int
sample_checked(size_t n)
{
	return checked(sampled_one(n) + n);
}

static int
sample_used(size_t n)
{
	char *p = sampled_one(n);

	expect_sampled(p + n / 2, p, n, "");
	free(p);
	return *(volatile char *)opaque(p + n / 2);
}

/* With no mistake nothing is found. */
static int
sample_right(size_t n)
{
	char *p[400];

	for (int round = 0; round < 10; round++) {
		for (size_t i = 0; i < 400; i++)
			memset(p[i] = malloc(n), 1, n);
		for (size_t i = 0; i < 400; i++)
			p[i] = realloc(p[i], n + i);
		for (size_t i = 0; i < 400; i++)
			free_sized(p[i], n + i);
	}
	return phkmalloc_check() == 0 ? 0 : 3;
}

#endif
