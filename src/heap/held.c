/*
 * held.c: rings of memory held back; see held.h. State: how many rings hold anything, atomic.
 */
#include "heap/held.h"

#include "conf/conf.h"
#include "page/page_alloc.h"

#include <string.h>

#define ROOM_MIN 64U
#define ROOM_MAX 4096U

struct entry {
	void *p;
	size_t nbytes;
};

struct held {
	uint32_t room; /* for so many, a power of two */
	uint32_t first;
	uint32_t count;
	size_t nbytes;
	struct entry entries[];
};

static size_t nrings; /* that are not empty */

static size_t
ring_nbytes(uint32_t room)
{
	return sizeof(struct held) + room * sizeof(struct entry);
}

/* A ring of twice the room, with what is in the old one. */
static struct held *
ring_grown(struct held *old)
{
	uint32_t room = old == NULL ? ROOM_MIN : old->room * 2;
	struct held *h;

	if (room > ROOM_MAX)
		return NULL;
	h = pages_meta_take(ring_nbytes(room));
	if (h == NULL)
		return NULL;
	h->room = room;
	if (old == NULL)
		return h;
	for (uint32_t i = 0; i < old->count; i++)
		h->entries[i] = old->entries[(old->first + i) & (old->room - 1)];
	h->count = old->count;
	h->nbytes = old->nbytes;
	pages_meta_give(old, ring_nbytes(old->room));
	return h;
}

size_t
held_limit(void)
{
	size_t n = load_relaxed(&nrings);
	size_t limit = n <= 1 ? opt.delay_nbytes_max : opt.delay_nbytes_max / n;

	return limit < HELD_NBYTES_MIN ? HELD_NBYTES_MIN : limit;
}

bool
held_put(struct owner *o, void *p, size_t nbytes)
{
	struct held *h = o->held;

	if (UNLIKELY(h == NULL || h->count == h->room)) {
		h = ring_grown(h);
		if (h == NULL)
			return false;
		o->held = h;
	}
	if (h->count == 0)
		__atomic_fetch_add(&nrings, 1, __ATOMIC_RELAXED);
	h->entries[(h->first + h->count++) & (h->room - 1)] = (struct entry){p, nbytes};
	h->nbytes += nbytes;
	return true;
}

void *
held_take(struct owner *o, size_t keep)
{
	struct held *h = o->held;
	struct entry e;

	if (h == NULL || h->count == 0 || (h->nbytes <= keep && h->count < ROOM_MAX))
		return NULL;
	e = h->entries[h->first];
	h->first = (h->first + 1) & (h->room - 1);
	h->nbytes -= e.nbytes;
	if (--h->count == 0)
		__atomic_fetch_sub(&nrings, 1, __ATOMIC_RELAXED);
	return e.p;
}
