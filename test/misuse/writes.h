/*
 * writes.h: writes and reads where a program should not, and what the options of MALLOC_OPTIONS
 * do. Most of these mistakes are found only with an option. Acts return 0 when nothing was found
 * and nothing was wrong.
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
	char *p = with_neighbour(n);
	size_t found;

	spoil(p + n, 1);
	found = phkmalloc_check();
	spoil(p + n, 1);
	return found == 1 && phkmalloc_check() == 0 ? 0 : 3;
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
	size_t found;

	free(p);
	spoil(opaque_char(p) + n / 2, 1);
	found = phkmalloc_check();
	spoil(opaque_char(p) + n / 2, 1);
	return found == 1 && phkmalloc_check() == 0 ? 0 : 3;
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

/* --- what options do ------------------------------------------------------------------------ */

static bool
is_all(const void *p, size_t n, int byte)
{
	const unsigned char *s = p;

	return s[0] == byte && memcmp(s, s + 1, n - 1) == 0;
}

static int
new_is(size_t n, int byte)
{
	for (int i = 0; i < 3; i++) {
		char *p = malloc(n);

		if (!is_all(p, n, byte))
			return 3;
		memset(p, 0x11, n);
		free(p);
	}
	return 0;
}

static int new_is_zero(size_t n) { return new_is(n, 0); }
static int new_is_junk(size_t n) { return new_is(n, 0xdb); }

static int
calloc_is_zero(size_t n)
{
	char *p;

	memset(p = malloc(n), 0x11, n);
	free(p);
	return is_all(calloc(1, n), n, 0) ? 0 : 3;
}

static int
freed_is_junk(size_t n)
{
	char *p = with_neighbour(n);

	memset(p, 0x11, n);
	free(p);
	return is_all(opaque(p), n, 0xdf) ? 0 : 3;
}

static int
realloc_moves(size_t n)
{
	char *p = malloc(n), *q;

	memset(p, 0x11, n);
	q = realloc(p, n);
	return q != p && is_all(q, n, 0x11) ? 0 : 3;
}

static int
base_is_start(size_t n)
{
	char *p = malloc(n);

	return phkmalloc_base(p) == p && phkmalloc_base(p + n - 1) == p ? 0 : 3;
}

static int
zero_is_null(size_t n)
{
	void *p = &p;

	errno = 0;
	if (malloc(0) != NULL || calloc(0, 5) != NULL || aligned_alloc(64, 0) != NULL ||
	    posix_memalign(&p, 64, 0) != 0 || p != NULL || errno != 0)
		return 3;
	/* C++ has no such thing. */
	p = _Znwm(0);
	_ZdlPvm(p, 0);
	return p != NULL && malloc(n) != NULL ? 0 : 4;
}

/* Also after realloc in place and elsewhere, and all of it can be used. */
static int
usable_is_asked(size_t n)
{
	char *p = malloc(n);

	if (malloc_usable_size(p) != n)
		return 3;
	for (size_t m = n; m > n / 4; m -= n / 8 + 1) {
		p = realloc(p, m);
		if (malloc_usable_size(p) != m)
			return 4;
		memset(p, 0x11, m);
	}
	p = realloc(p, n + 1);
	if (malloc_usable_size(p) != n + 1 || malloc_usable_size(calloc(n, 1)) != n ||
	    malloc_usable_size(aligned_alloc(4096, n)) != n)
		return 5;
	free_sized(p, n + 1);
	return phkmalloc_check() == 0 ? 0 : 6;
}

/* Made smaller and larger by realloc, then freed by the size it has. */
static int
resized_sized(size_t n)
{
	char *p = malloc(n);

	for (size_t m = n; m >= n / 4; m -= n / 4) {
		p = realloc(p, m);
		memset(p, 0x11, m);
	}
	p = realloc(p, n / 2);
	free_sized(p, n / 2);
	return phkmalloc_check() == 0 ? 0 : 3;
}

static volatile size_t impossible = PTRDIFF_MAX;

static int
no_memory(size_t n)
{
	(void)n;
	malloc(impossible);
	return 0;
}

/* Everything a program may do, done right: no option finds anything. */
static int
right(size_t n)
{
	char *p[100];
	size_t count = n < 80000 ? 100 : n < ((size_t)2 << 20) ? 6 : 2;

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < count; i++) {
			p[i] = i % 3 == 0 ? calloc(1, n) : i % 3 == 1 ? malloc(n) : aligned_alloc(64, n);
			memset(p[i], (int)i, malloc_usable_size(p[i]));
		}
		for (size_t i = 0; i < count; i += 2) {
			p[i] = realloc(p[i], n * 2 + i);
			if (!is_all(p[i], n, (int)i))
				return 3;
		}
		for (size_t i = 0; i < count; i++)
			if (i % 2 == 0)
				free_sized(p[i], n * 2 + i);
			else
				free(p[i]);
	}
	return phkmalloc_check() == 0 ? 0 : 4;
}

/* What a parent allocated may be freed by its child. */
static int
free_in_child(size_t n)
{
	char *p = with_neighbour(n);
	int status = -1;
	pid_t pid;

	memset(p, 1, n);
	pid = fork();
	if (pid == 0) {
		free(p);
		free(malloc(n));
		_exit(phkmalloc_check() == 0 ? 0 : 3);
	}
	waitpid(pid, &status, 0);
	free(p);
	return status;
}

/* Programs write to all that malloc_usable_size tells, and rely on realloc to keep it. */
static int
usable_kept(size_t n)
{
	static const size_t tenths[] = {10, 11, 13, 20, 35, 5, 9};

	for (size_t i = 0; i < sizeof(tenths) / sizeof(tenths[0]); i++) {
		char *p = malloc(n);
		size_t had = malloc_usable_size(p), to = n * tenths[i] / 10 + 1;

		memset(p, 7, had);
		p = realloc(p, to);
		if (!is_all(p, had < to ? had : to, 7))
			return 3;
		had = malloc_usable_size(p);
		memset(p, 9, had);
		p = realloc(p, to + n);
		if (!is_all(p, had < to + n ? had : to + n, 9))
			return 4;
		free(p);
	}
	return 0;
}

static int
nothing(size_t n)
{
	free(malloc(n));
	return 0;
}

static void
close_stderr(void)
{
	close(STDERR_FILENO);
}

static int
closes_stderr(size_t n)
{
	return atexit(close_stderr) | nothing(n);
}

#endif
