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

/* The place has none any more; by the thread itself. */
static void
place_clear(struct owner *o, unsigned at)
{
	store_relaxed(&o->kept[at], NULL);
	o->kept_npages[at] = 0;
}

struct pginfo *
kept_take(struct owner *o, size_t npages)
{
	uint64_t any[2];

	_Static_assert(sizeof(any) == sizeof(o->kept_npages), "all in two words");
	memcpy(&any, o->kept_npages, sizeof(any));
	if (LIKELY((any[0] | any[1]) == 0))
		return NULL;
	for (unsigned i = 0; i < KEPT_MAX; i++) {
		struct pginfo *pg = o->kept[i];

		if (o->kept_npages[i] != npages || !claim(pg))
			continue;
		place_clear(o, i);
		if (pg->large.npages == npages) {
			run_reset(pg, npages);
			return pg;
		}
		/* It was given back, and is another thread's of another length meanwhile. */
		pages_give(pg, pg->large.npages);
	}
	return NULL;
}

/* A place that is not taken, when npages more may be kept; else KEPT_MAX. */
static unsigned
free_place(const struct owner *o, size_t npages)
{
	unsigned at = KEPT_MAX;

	for (unsigned i = 0; i < KEPT_MAX; i++) {
		npages += o->kept_npages[i];
		if (o->kept_npages[i] == 0)
			at = i;
	}
	return npages <= KEPT_NPAGES ? at : KEPT_MAX;
}

/* The same when what others have taken is counted as gone, or if it is time, after some went. */
static unsigned
make_place(struct owner *o, size_t npages)
{
	unsigned at, turn;

	for (unsigned i = 0; i < KEPT_MAX; i++)
		if (!is_kept(o->kept[i]))
			place_clear(o, i);
	at = free_place(o, npages);
	if (at != KEPT_MAX)
		return at;
	turn = o->kept_turn++;
	if (turn % FULL_TURNS != 0)
		return KEPT_MAX;
	/* Once around is all that it keeps, whatever it was taken to be. */
	for (unsigned i = 0; i < KEPT_MAX && at == KEPT_MAX; i++) {
		unsigned old = (turn / FULL_TURNS + i) % KEPT_MAX;

		(void)give_back(o->kept[old]);
		place_clear(o, old);
		at = free_place(o, npages);
	}
	return at;
}

/* Where threads do not meet, a run that is kept would only stand in the way of longer ones. */
static bool
is_crowded(struct owner *o)
{
	/* Not each time: where threads do meet, others have just written it. */
	if (o->kept_left <= WAIT_NRUNS / 2) {
		uint32_t nwaits = load_relaxed(&lock_nwaits[LOCK_PAGE]);

		if (nwaits != o->kept_nwaits)
			o->kept_left = WAIT_NRUNS;
		o->kept_nwaits = nwaits;
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
	at = free_place(o, pg->large.npages);
	if (at == KEPT_MAX)
		at = make_place(o, pg->large.npages);
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

	for (unsigned i = 0; i < KEPT_MAX; i++) {
		struct pginfo *pg = load_relaxed(&o->kept[i]);

		if (pg == NULL)
			continue;
		any |= give_back(pg);
		/* Never the owner of all threads that have none: it keeps nothing. */
		if (o == owner_self)
			place_clear(o, i);
	}
	return any;
}
