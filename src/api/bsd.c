/*
 * bsd.c: functions from FreeBSD and OpenBSD.
 */
#include "api/api.h"
#include "diag/fault.h"
#include "heap/heap.h"
#define PHKMALLOC_INSIDE /* What the header says of addresses is for callers. */
#include "phkmalloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* FreeBSD: what cannot be resized is freed. */
EXPORT void *
reallocf(void *p, size_t n)
{
	void *to = api_realloc(p, n, "reallocf");

	/* Not what was found to be wrong. */
	if (to == NULL && p != NULL && n != 0 && errno == ENOMEM) {
		int saved = errno;

		ifree(p, "reallocf");
		errno = saved;
	}
	return to;
}

/* Clears memory in a way that the compiler keeps although nobody reads it again. */
static void
clear(void *p, size_t n)
{
	memset(p, 0, n);
	__asm__ volatile("" : : "r"(p) : "memory");
}

/* OpenBSD: what is new is zero, and what is given up is cleared. */
EXPORT void *
recallocarray(void *p, size_t old_count, size_t count, size_t size)
{
	size_t had, n, usable;
	void *to;

	if (p == NULL)
		return calloc(count, size);
	if (__builtin_mul_overflow(count, size, &n))
		return api_no_memory();
	if (!iusable(p, &usable, "recallocarray") ||
	    __builtin_mul_overflow(old_count, size, &had) || had > usable) {
		errno = EINVAL;
		return NULL;
	}
	to = malloc(n);
	if (to == NULL)
		return NULL;
	memcpy(to, p, had < n ? had : n);
	if (n > had)
		memset((char *)to + had, 0, n - had);
	clear(p, had);
	ifree(p, "recallocarray");
	return to;
}

/* OpenBSD: cleared before it is freed. */
EXPORT void
freezero(void *p, size_t n)
{
	size_t usable;

	if (p == NULL || !iusable(p, &usable, "freezero"))
		return;
	if (n > usable) {
		/* Which says so. */
		ifree_sized(p, n, 1, true, "freezero");
		return;
	}
	clear(p, n);
	ifree(p, "freezero");
}

EXPORT void *
malloc_conceal(size_t n)
{
	void *p = iconceal(n, false);

	return p != NULL ? p : api_no_memory();
}

EXPORT void *
calloc_conceal(size_t count, size_t size)
{
	size_t n;
	void *p;

	if (__builtin_mul_overflow(count, size, &n))
		return api_no_memory();
	p = iconceal(n, true);
	return p != NULL ? p : api_no_memory();
}

EXPORT size_t
phkmalloc_check(void)
{
	malloc_init();
	return heap_check();
}

EXPORT int
phkmalloc_owns(const void *p)
{
	return heap_owns(p) ? 1 : 0;
}

EXPORT void *
phkmalloc_base(const void *p)
{
	size_t nbytes;

	return heap_base(p, &nbytes);
}

EXPORT size_t
phkmalloc_size(const void *p)
{
	size_t nbytes;

	return heap_base(p, &nbytes) == NULL ? 0 : nbytes;
}
