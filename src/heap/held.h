/*
 * held.h: freed memory that is held back before it may be used again (option F).
 *
 *   | first: the longest held | ... | first + count - 1: the last freed |   modulo room
 *
 * A ring for each owner, used by its thread alone. All of them together hold opt.delay_nbytes_max,
 * and at least HELD_NBYTES_MIN each. Addresses only: nothing here looks at the memory.
 */
#ifndef PHK_HELD_H
#define PHK_HELD_H

#include "chunk/owner.h"
#include "conf/conf.h"

#define HELD_NBYTES_MIN ((size_t)64 << 10)
#define HELD_ROOM_MAX 4096U

struct held {
	uint32_t room; /* for so many, a power of two */
	uint32_t first;
	uint32_t count;
	size_t nbytes;
	struct held_entry {
		void *p;
		size_t nbytes;
	} entries[];
};

/* How many rings hold anything; atomic. */
extern size_t held_rings HIDDEN;

/* Gives an owner a ring, or a larger one; NULL when there is no room for it. */
struct held *held_grow(struct owner *o);

/* Bytes that an owner may hold. */
ALWAYS_INLINE size_t
held_limit(void)
{
	size_t n = load_relaxed(&held_rings), limit = opt.delay_nbytes_max;

	if (UNLIKELY(n > 1))
		limit /= n;
	return limit < HELD_NBYTES_MIN ? HELD_NBYTES_MIN : limit;
}

/* Holds p back, which counts as nbytes. False when there is no room for it. */
ALWAYS_INLINE bool
held_put(struct owner *o, void *p, size_t nbytes)
{
	struct held *h = o->held;

	if (UNLIKELY(h == NULL || h->count == h->room)) {
		h = held_grow(o);
		if (h == NULL)
			return false;
	}
	if (UNLIKELY(h->count == 0))
		__atomic_fetch_add(&held_rings, 1, __ATOMIC_RELAXED);
	h->entries[(h->first + h->count++) & (h->room - 1)] = (struct held_entry){p, nbytes};
	h->nbytes += nbytes;
	return true;
}

/* Takes the longest held out when there are more than `keep` bytes, or no room; else NULL. */
ALWAYS_INLINE void *
held_take(struct owner *o, size_t keep)
{
	struct held *h = o->held;
	struct held_entry *e;

	if (h == NULL || (h->nbytes <= keep && h->count < HELD_ROOM_MAX) || h->count == 0)
		return NULL;
	e = &h->entries[h->first];
	h->first = (h->first + 1) & (h->room - 1);
	h->nbytes -= e->nbytes;
	if (UNLIKELY(--h->count == 0))
		__atomic_fetch_sub(&held_rings, 1, __ATOMIC_RELAXED);
	return e->p;
}

#endif
