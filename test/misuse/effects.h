/*
 * effects.h: what options of MALLOC_OPTIONS do beside finding mistakes. Acts as in writes.h.
 */
#ifndef MISUSE_EFFECTS_H
#define MISUSE_EFFECTS_H

#include "writes.h"

static bool
is_all(const void *p, size_t n, int byte)
{
	const unsigned char *s = p;

	return s[0] == byte && memcmp(s, s + 1, n - 1) == 0;
}

/* What is freed is not touched, and comes back as it was left. */
static int
new_is_old(size_t n)
{
	char *p = with_neighbour(n), *q;

	memset(p, 5, n);
	free(p);
	q = opaque(malloc(n));
	return q == p && is_all(q, n, 5) ? 0 : 3;
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

#define ORDER_COUNT 200

/* How many of new allocations lie right behind the one before, and are what was just freed. */
static void
order(size_t n, int *behind, int *same)
{
	char *p[ORDER_COUNT], *freed;

	*behind = *same = 0;
	for (size_t i = 0; i < ORDER_COUNT; i++) {
		p[i] = malloc(n);
		*behind += i > 0 && p[i] == p[i - 1] + phkmalloc_size(p[i]);
	}
	for (size_t i = 0; i < ORDER_COUNT; i++) {
		freed = p[i];
		free(p[i]);
		p[i] = opaque(malloc(n));
		*same += p[i] == freed;
	}
}

static int
order_is_random(size_t n)
{
	int behind, same;

	order(n, &behind, &same);
	/* Where few free runs are long enough, what was just freed is half of the choice at times. */
	return behind < ORDER_COUNT * 3 / 4 && same < ORDER_COUNT * 7 / 8 ? 0 : 3;
}

static int
order_is_upward(size_t n)
{
	int behind, same;

	order(n, &behind, &same);
	return behind > ORDER_COUNT * 3 / 4 ? 0 : 3;
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
