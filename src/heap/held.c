/*
 * held.c: rings of memory held back; see held.h.
 */
#include "heap/held.h"

#include "page/page_alloc.h"

#define ROOM_MIN 64U

size_t held_rings;

static size_t
ring_nbytes(uint32_t room)
{
	return sizeof(struct held) + room * sizeof(struct held_entry);
}

struct held *
held_grow(struct owner *o)
{
	struct held *old = o->held, *h;
	uint32_t room = old == NULL ? ROOM_MIN : old->room * 2;

	if (room > HELD_ROOM_MAX)
		return NULL;
	h = pages_meta_take(ring_nbytes(room));
	if (h == NULL)
		return NULL;
	h->room = room;
	o->held = h;
	if (old == NULL)
		return h;
	for (uint32_t i = 0; i < old->count; i++)
		h->entries[i] = old->entries[(old->first + i) & (old->room - 1)];
	h->count = old->count;
	h->nbytes = old->nbytes;
	pages_meta_give(old, ring_nbytes(old->room));
	return h;
}
