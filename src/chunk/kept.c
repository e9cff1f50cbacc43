/*
 * kept.c: runs that threads keep; see kept.h. What is behind owner.kept is its thread's alone but
 * for the pointers, which others read; the words of entries decide.
 */
#include "chunk/kept.h"

#include "chunk/chunk_page.h"
#include "os/lock.h"
#include "page/guard.h"
#include "page/page_alloc.h"

#include <string.h>

/* Of so many runs there is no room for one takes the place of others: sizes change. */
#define FULL_TURNS 4U
/* Runs that a thread keeps after somebody had to wait for the page lock. */
#define WAIT_NRUNS 4096U

static bool
is_kept(const struct pginfo *pg)
{
	return pg != NULL && load_relaxed(&pg->owner) == MALLOC_RUN_KEPT;
}

/* Takes a run that seems to be kept; false when somebody else has it by now. */
static bool
claim(struct pginfo *pg)
{
	uintptr_t kind = MALLOC_RUN_KEPT;

	/* Acquire: pairs with the release in kept_put. */
	return is_kept(pg) && __atomic_compare_exchange_n(&pg->owner, &kind, MALLOC_RUN_MOVING, false,
	    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static bool
give_back(struct pginfo *pg)
{
	if (!claim(pg))
		return false;
	pages_give(pg, pg->large.npages);
	return true;
}

struct pginfo *
kept_take(struct owner *o, size_t npages)
{
	uint64_t any;

	_Static_assert(sizeof(any) == sizeof(o->kept_npages), "all in one word");
	memcpy(&any, o->kept_npages, sizeof(any));
	if (LIKELY(any == 0))
		return NULL;
	for (unsigned i = 0; i < KEPT_MAX; i++) {
		struct pginfo *pg = o->kept[i];

		if (o->kept_npages[i] != npages || !claim(pg))
			continue;
		store_relaxed(&o->kept[i], NULL);
		o->kept_npages[i] = 0;
		if (pg->large.npages == npages) {
			run_reset(pg, npages);
			return pg;
		}
		/* It was given back, and is another thread's of another length meanwhile. */
		pages_give(pg, pg->large.npages);
	}
	return NULL;
}

/* A place for a run of so many pages; KEPT_MAX when there is none now. */
static unsigned
place_for(struct owner *o, size_t npages)
{
	unsigned at = KEPT_MAX, turn;

	for (unsigned i = 0; i < KEPT_MAX; i++) {
		if (is_kept(o->kept[i]))
			npages += o->kept_npages[i];
		else
			at = i;
	}
	if (at != KEPT_MAX && npages <= KEPT_NPAGES)
		return at;
	turn = o->kept_turn++;
	if (turn % FULL_TURNS != 0)
		return KEPT_MAX;
	/* Once around is all that it keeps, whatever it was taken to be. */
	for (unsigned i = 0; i < KEPT_MAX && (at == KEPT_MAX || npages > KEPT_NPAGES); i++) {
		at = (turn / FULL_TURNS + i) % KEPT_MAX;
		if (give_back(o->kept[at]))
			npages -= o->kept_npages[at];
		store_relaxed(&o->kept[at], NULL);
		o->kept_npages[at] = 0;
	}
	return at;
}

/* Where threads do not meet, a run that is kept would only stand in the way of longer ones. */
static bool
is_crowded(struct owner *o)
{
	uint32_t nwaits = load_relaxed(&lock_nwaits[LOCK_PAGE]);

	if (nwaits != o->kept_nwaits) {
		o->kept_nwaits = nwaits;
		o->kept_left = WAIT_NRUNS;
	}
	if (o->kept_left == 0)
		return false;
	o->kept_left--;
	return true;
}

bool
kept_put(struct owner *o, struct pginfo *pg)
{
	unsigned at;

	/* Options that look at free memory, and much of it, are the page layer's. */
	if (pg->large.npages > KEPT_LENGTH_MAX || o == &owner_none || owner_tag != 0 || chunk_keep ||
	    page_traps || page_guards || page_random || load_relaxed(&page_surplus) || !is_crowded(o))
		return false;
	at = place_for(o, pg->large.npages);
	if (at == KEPT_MAX)
		return false;
	/* In this order: a child of fork finds all that is kept. */
	o->kept_npages[at] = (uint8_t)pg->large.npages;
	store_relaxed(&o->kept[at], pg);
	store_release(&pg->owner, MALLOC_RUN_KEPT);
	chunk_spare_used(o);
	return true;
}

bool
kept_release(struct owner *o)
{
	bool any = false;

	for (unsigned i = 0; i < KEPT_MAX; i++)
		any |= give_back(load_relaxed(&o->kept[i]));
	return any;
}
