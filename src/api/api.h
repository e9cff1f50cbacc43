/*
 * api.h: what the files of api/ share; nothing else includes it.
 */
#ifndef PHK_API_H
#define PHK_API_H

#include "chunk/chunk.h"
#include "heap/heap.h"
#include "page/page_alloc.h"

/*
 * When the slot's word has no chunk left, most often the next one has; or the size is above those
 * of the fast path. False when it is not as simple as that.
 */
ALWAYS_INLINE bool
api_take_next(size_t n, void **p)
{
	struct owner *o = owner_self;
	struct slot *slot;

	if (UNLIKELY(n > malloc_maxsize) || UNLIKELY(o->alert))
		return false;
	slot = LIKELY(n <= CLASS_DIRECT_MAX) ? o->direct[(n + 15) / 16] : &o->slots[size_class_of(n)];
	if (n > CLASS_DIRECT_MAX && LIKELY(chunk_take(slot, p)))
		return true;
	return LIKELY(!load_relaxed(&page_surplus)) && LIKELY(chunk_advance(slot, p));
}

/* A chunk of another page, where no option has a say; NULL when one has, or there is no memory. */
ALWAYS_INLINE void *
api_take_slow(size_t n)
{
	struct owner *o = owner_self;
	struct slot *slot;

	if (UNLIKELY(n > malloc_maxsize) || UNLIKELY(o == &owner_none) || UNLIKELY(o->alert))
		return NULL;
	slot = &o->slots[size_class_of(n)];
	return UNLIKELY(load_relaxed(&page_surplus)) ? chunk_take_slow(o, slot, n) :
	    chunk_take_next(o, slot, n);
}

/* Frees what may be a chunk of the caller's own, most often, or of another thread, or no chunk. */
ALWAYS_INLINE void
api_free(void *p, const char *func)
{
	struct pginfo *pg;

	if (UNLIKELY(!page_dir_get(p, &pg)))
		ifree(p, func);
	else if (UNLIKELY(!chunk_free(owner_self, pg, p)))
		ifree_at(pg, p, func);
}

/* Sets errno to ENOMEM and returns NULL. */
void *api_no_memory(void);
void *api_realloc(void *p, size_t n, const char *func);
void *api_aligned(size_t alignment, size_t n);

/* Makes a call of C++ and catches what it throws; whether it threw. */
bool api_threw(void (*call)(void *arg), void *arg);

#endif
