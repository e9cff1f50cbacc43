/*
 * malloc.c: the C standard's functions, and the two fast paths.
 *
 * Only files in api/ set errno. Every function here may be called before main, from any thread,
 * and after a thread's other destructors.
 */
#include "api/api.h"
#include "conf/conf.h"
#include "heap/heap.h"
#include "phkmalloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void *
api_no_memory(void)
{
	if (opt.xmalloc)
		fault_fatal("malloc", "out of memory");
	errno = ENOMEM;
	return NULL;
}

static NOINLINE void *
malloc_slower(size_t n)
{
	void *p = api_take_slow(n);

	if (UNLIKELY(p == NULL))
		p = imalloc(n);
	if (LIKELY(p != NULL))
		return p;
	return n == 0 && opt.zero_is_null ? NULL : api_no_memory();
}

static NOINLINE void *
malloc_slow(size_t n)
{
	void *p;

	return LIKELY(api_take_next(n, &p)) ? p : malloc_slower(n);
}

/*
 * bench-instructions measures both fast paths. malloc of up to 1024 bytes reads the owner, which
 * is thread-local, the slot and the bitmap word, and writes the word: three cache lines, a branch
 * each on size and word, no atomic read-modify-write.
 */
EXPORT FAST void *
malloc(size_t n)
{
	void *p;

	if (LIKELY(n <= CLASS_DIRECT_MAX) && LIKELY(chunk_take(owner_self->direct[(n + 15) / 16], &p)))
		return p;
	return malloc_slow(n);
}

/*
 * free of a chunk by its owner reads the arena, the page_dir entry and the bitmap word, writes
 * the word and the entry's countdown: two cache lines beside the arena's.
 */
EXPORT FAST void
free(void *p)
{
	api_free(p, "free");
}

static NOINLINE void *
calloc_slow(size_t n)
{
	void *p;

	if (LIKELY(api_take_next(n, &p)))
		return memset(p, 0, n);
	p = icalloc(n);
	if (LIKELY(p != NULL))
		return p;
	return n == 0 && opt.zero_is_null ? NULL : api_no_memory();
}

EXPORT void *
calloc(size_t count, size_t size)
{
	size_t n;
	void *p;

	if (UNLIKELY(__builtin_mul_overflow(count, size, &n)))
		return api_no_memory();
	if (LIKELY(n <= CLASS_DIRECT_MAX) && LIKELY(chunk_take(owner_self->direct[(n + 15) / 16], &p)))
		return memset(p, 0, n);
	return calloc_slow(n);
}

/* With option a a wrong pointer comes here too: there is memory enough then. */
static COLD void *
realloc_failed(const void *p)
{
	if (heap_owns(p))
		return api_no_memory();
	errno = EINVAL;
	return NULL;
}

void *
api_realloc(void *p, size_t n, const char *func)
{
	void *to;

	if (p == NULL)
		return malloc(n);
	if (n == 0) {
		/* As glibc: freed, and NULL without an error. */
		ifree(p, func);
		return NULL;
	}
	to = irealloc(p, n, func);
	return LIKELY(to != NULL) ? to : realloc_failed(p);
}

EXPORT void *
realloc(void *p, size_t n)
{
	return api_realloc(p, n, "realloc");
}

EXPORT void *
reallocarray(void *p, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		return api_no_memory();
	return api_realloc(p, n, "reallocarray");
}

void *
api_aligned(size_t alignment, size_t n)
{
	void *p;

	if (!is_power_of_two(alignment)) {
		errno = EINVAL;
		return NULL;
	}
	if (alignment <= malloc_minsize)
		return malloc(n);
	p = imalloc_aligned(n, alignment);
	return p != NULL || (n == 0 && opt.zero_is_null) ? p : api_no_memory();
}

EXPORT void *
aligned_alloc(size_t alignment, size_t n)
{
	return api_aligned(alignment, n);
}

EXPORT int
posix_memalign(void **out, size_t alignment, size_t n)
{
	int saved = errno;
	void *p;

	if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0)
		return EINVAL;
	p = api_aligned(alignment, n);
	errno = saved;
	if (p == NULL && !(n == 0 && opt.zero_is_null))
		return ENOMEM;
	*out = p;
	return 0;
}

/* C23. The size must be the one asked for, which is known to within the chunk. */
EXPORT void
free_sized(void *p, size_t n)
{
	ifree_sized(p, n, 1, false, "free_sized");
}

EXPORT void
free_aligned_sized(void *p, size_t alignment, size_t n)
{
	ifree_sized(p, n, is_power_of_two(alignment) ? alignment : ALIGNMENT_WRONG, false,
	    "free_aligned_sized");
}
