/*
 * watch.h: which allocations are to be sampled: guarded (option W) or for the profile.
 *
 * Nothing is counted on the fast paths: what was taken from a current page is its free chunks
 * before, less those after, and its frees meanwhile, which countdown has. So it is enough to look
 * after each pass over a page, and every chunk_poke frees. When one is due the owner is alerted,
 * and its next allocations come here. An owner's counters are its thread's.
 */
#ifndef PHK_WATCH_H
#define PHK_WATCH_H

#include "chunk/owner.h"

/* This rate is no rate: everything is in the profile. */
#define WATCH_ALL 1U

enum watch_what {
	WATCH_PLAIN,  /* as ever */
	WATCH_STEP,   /* as ever, and the next one of the class is to be asked about too */
	WATCH_GUARD,  /* before a page that traps */
	WATCH_SAMPLE, /* into the profile */
};

/* Makes the counters, or sets them to what is in effect now; false when there is no memory. */
bool watch_join(struct owner *o);

ALWAYS_INLINE bool
watch_is_joined(const struct owner *o)
{
	return o->watch != NULL && o->watch->joined == load_relaxed(&owner_watch.any);
}

/* Whether something is to be done with the thread's next allocation of a class. */
ALWAYS_INLINE bool
watch_is_due(const struct owner *o, unsigned class_no)
{
	if (!watch_is_joined(o))
		return true;
	return o->alert && (o->watch->each || o->watch->guard_due || o->watch->skip[class_no] != 0);
}

/* What an alerted owner is to do with an allocation of a class; *weight: samples it stands for. */
enum watch_what watch_ask(struct owner *o, unsigned class_no, uint32_t *weight);
/* Whether a large allocation of n bytes is one for the profile. The owner has joined. */
bool watch_large(struct owner *o, size_t n);

/* The next malloc of the class is not to find a chunk by itself. */
ALWAYS_INLINE void
watch_park(struct owner *o, unsigned class_no)
{
	o->slots[class_no].word = &owner_nothing;
	o->slots[class_no].none = 0;
}

#endif
