/*
 * writes.h: writes and reads where a program should not. Most of these mistakes are found only with
 * an option. Acts return 0 when nothing was found and nothing was wrong.
 */
#ifndef MISUSE_WRITES_H
#define MISUSE_WRITES_H

#include "misuse.h"

#define opaque_char(p) ((char *)opaque(p))

/* Changes count bytes, whatever they were. */
static void
spoil(void *p, size_t count)
{
	volatile unsigned char *s = p;

	for (size_t i = 0; i < count; i++)
		s[i] = (unsigned char)(s[i] ^ 0x55);
}

/* A byte that nobody may write is found changed by the checker, and right when it is put back. */
static int
checked(void *p)
{
	size_t found;

	spoil(p, 1);
	found = phkmalloc_check();
	spoil(p, 1);
	return found == 1 && phkmalloc_check() == 0 ? 0 : 3;
}

static void
expect_written(const void *p, const void *at)
{
	char extra[60];

	snprintf(extra, sizeof(extra), ", written at 0x%lx", (unsigned long)(uintptr_t)at);
	expect_at(p, p, extra);
}

static int
overflow(size_t n, size_t by)
{
	char *p = with_neighbour(n);

	expect_written(p, p + n);
	spoil(p + n, by);
	free(p);
	return 0;
}

static int overflow_1(size_t n) { return overflow(n, 1); }
static int overflow_8(size_t n) { return overflow(n, 8); }
static int overflow_64(size_t n) { return overflow(n, 64); }

static int
overflow_realloc(size_t n)
{
	char *p = with_neighbour(n);

	expect_written(p, p + n);
	spoil(p + n, 1);
	realloc(p, n * 3);
	return 0;
}

/* By the length a realloc in place left. */
static int
overflow_shrunk(size_t n)
{
	char *p = realloc(with_neighbour(n + 1), n);

	expect_written(p, p + n);
	spoil(p + n, 1);
	free(p);
	return 0;
}

static int
overflow_checked(size_t n)
{
	return checked(with_neighbour(n) + n);
}

/* Neither freed nor checked. */
static int
overflow_left(size_t n)
{
	char *p = with_neighbour(n);

	expect_written(p, p + n);
	spoil(p + n, 1);
	return 0;
}

/* The byte before an allocation belongs to the one before it in the page, behind its end. */
static int
underflow(size_t n)
{
	char *p = with_neighbour(n), *before = phkmalloc_base(p - 1);

	if (before == NULL)
		return 3;
	/* Its canary goes to the end of the chunk, its last byte is this one. */
	expect_written(before, p - 1);
	spoil(p - 1, 1);
	free(before);
	return 0;
}

static int
reuse_until_found(size_t n)
{
	for (int i = 0; i < 40000; i++)
		free(opaque(malloc(n)));
	return 0;
}

static int
write_freed(size_t n, size_t at)
{
	char *p = with_neighbour(n);

	expect_written(p, p + at);
	free(p);
	spoil(opaque_char(p) + at, 1);
	return reuse_until_found(n);
}

static int write_freed_first(size_t n) { return write_freed(n, 0); }
static int write_freed_middle(size_t n) { return write_freed(n, n / 2); }
static int write_freed_last(size_t n) { return write_freed(n, n - 1); }

/* Random choice may leave the chunk alone for long; all chunks of its page are taken. */
static int
write_freed_all(size_t n)
{
	char *p = with_neighbour(n);

	expect_written(p, p + n / 2);
	free(p);
	spoil(opaque_char(p) + n / 2, 1);
	malloc_trim(0);
	for (int i = 0; i < 100000; i++)
		opaque(malloc(n));
	return 0;
}

static int
write_freed_large(size_t n)
{
	char *p = malloc(n);

	expect(p + n / 2, "RUN");
	free(p);
	spoil(opaque_char(p) + n / 2, 1);
	return 0;
}

static int
read_freed_large(size_t n)
{
	char *p = malloc(n);

	expect(p + n - 1, "RUN");
	free(p);
	return opaque_char(p)[n - 1];
}

/* One of many that are all freed, the written one among the first or the last. */
static int
write_freed_page(size_t n, bool before)
{
	size_t count = ((size_t)1 << 20) / (n < 16 ? 16 : n) + 2;
	char **p = mmap(NULL, count * sizeof(*p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	    -1, 0), *one;

	for (size_t i = 0; i < count; i++)
		p[i] = malloc(n);
	one = p[count / 2];
	if (before) {
		expect_written(one, one + n / 2);
		free(one);
		spoil(opaque_char(one) + n / 2, 1);
	} else {
		expect(one + n / 2, "RUN");
	}
	for (size_t i = 0; i < count; i++)
		if (!before || i != count / 2)
			free(p[i]);
	malloc_trim(0);
	if (!before)
		spoil(opaque_char(one) + n / 2, 1);
	return 0;
}

static int write_freed_page_goes(size_t n) { return write_freed_page(n, true); }
static int write_freed_page_gone(size_t n) { return write_freed_page(n, false); }

static int
write_freed_checked(size_t n)
{
	char *p = with_neighbour(n);

	free(p);
	return checked(opaque_char(p) + n / 2);
}

/* Nobody uses the chunk again. */
static int
write_freed_left(size_t n)
{
	char *p = with_neighbour(n);

	expect_written(p, p + n / 2);
	free(p);
	spoil(opaque_char(p) + n / 2, 1);
	return 0;
}

/* Under P the end of a large allocation is the end of its pages, to within 16 bytes. */
static int
overflow_trap(size_t n)
{
	char *p = malloc(n), *end = p + n + (16 - n % 16) % 16;

	expect_at(end, p, "");
	spoil(end, 1);
	return 0;
}

static int
overflow_trap_64(size_t n)
{
	char *p = malloc(n), *end = (char *)(((uintptr_t)p + n + PAGE - 1) & ~(uintptr_t)(PAGE - 1));

	expect_at(end, p, "");
	spoil(p + n, 64);
	return 0;
}

/* What stands before is a guard of something else. */
static int
underflow_trap(size_t n)
{
	/* Before the heap's first page nothing is mapped. */
	char *first = malloc(1000), *p = malloc(n);

	expect(p - 1, "ANY");
	spoil(opaque_char(p - 1), 1);
	return first == NULL;
}

/* Some page of chunks ends; what is behind traps. */
static int
overflow_page(size_t n)
{
	char *p = malloc(n);
	char *end = (char *)((uintptr_t)p | (PAGE - 1)) + 1;

	expect(NULL, "ANY");
	spoil(end, 1);
	return 0;
}

#endif
