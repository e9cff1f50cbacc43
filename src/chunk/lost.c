/*
 * lost.c: in the child of fork, the pages of threads that were not copied. State: where the search
 * for them goes on, protected by LOCK_PARKED, which also stands for the threads that are lost.
 *
 * Such a thread may have stopped between any two steps, so nothing of its owner is believed but
 * the owner words of its pages and their bitmaps: its lists, states and countdowns are not. A page
 * becomes the owner's who needs one, or who frees into it; then all but its bits is made anew.
 * Nobody pushes a lost page, so PGINFO_PENDING says nothing of it. What is not found again is what
 * was on its way at that moment: a chunk or a page for each thread.
 *
 * A page is looked for a few entries at a time, when there is need of one, and is left alone as
 * long as it has little free: the child shares its memory with its parent until one writes to it.
 */
#include "chunk/chunk.h"
#include "chunk/chunk_page.h"
#include "os/lock.h"

/* Entries looked at for one page, and pages taken over; a child that is soon over pays no more. */
#define LOST_ENTRIES 512U
#define LOST_PAGES 16U

bool owner_lost;
static unsigned at_arena;
static size_t at_page;

void
owner_after_fork(void)
{
	/* The other threads are gone, perhaps in the middle of a change to their owners. */
	for (struct owner *o = owner_list; o != NULL; o = o->next) {
		if (o->state == OWNER_LIVE && o != owner_self)
			o->state = OWNER_LOST;
		owner_lost |= o->state == OWNER_LOST;
	}
	at_arena = 0;
	at_page = 0;
}

static bool
is_lost(uintptr_t word)
{
	return owner_is(word) && owner_of_word(word)->state == OWNER_LOST;
}

/* Makes a lost page the owner's. False when it is none, or memory in it is being given back. */
static bool
lost_take(struct owner *o, struct pginfo *pg)
{
	uintptr_t word = load_relaxed(&pg->owner);

	if (!is_lost(word))
		return false;
	if ((word & PGINFO_SPARE) != 0) {
		__atomic_fetch_and(&pg->owner, ~(uintptr_t)PGINFO_PENDING, __ATOMIC_SEQ_CST);
		return chunk_spare_release(owner_of_word(word), pg);
	}
	/* Before it has an owner who could make it current. */
	page_state_set(pg, PAGE_FULL);
	do
		if ((word & PGINFO_PURGING) != 0)
			return false;
	/* Sequentially consistent, before remote is read: as in page_collect. */
	while (!__atomic_compare_exchange_n(&pg->owner, &word, (uintptr_t)o | owner_tag, false,
	    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	(void)chunk_collect(pg);
	chunk_settle(o, pg, chunk_live(pg), false);
	return true;
}

/* Whether a page that is lost has enough free chunks, or no free would tell of those it has. */
static bool
is_worth(const struct pginfo *pg, uintptr_t word)
{
	const struct size_class *c = &size_classes[pg->chunk.class_no];
	size_t n = 0;

	if ((word & (PGINFO_PENDING | PGINFO_SPARE)) != 0)
		return true;
	for (unsigned w = 0; w < c->nwords; w++)
		n += count_bits((load_relaxed(&pg->bits[w]) & ~chunk_none(c, w)) |
		    load_relaxed(&chunk_remote(pg)[w]));
	return n >= c->wake;
}

/* A lost thread may have freed a chunk of an owner who is not lost, and not told him any more. */
static void
tell_owner(struct pginfo *pg, uintptr_t word)
{
	uint64_t *bits = load_relaxed(&pg->bits), any = 0;
	unsigned class_no = load_relaxed(&pg->chunk.class_no);
	const struct size_class *c;

	/* Between the loads the page may have been given back, and its entry be something else. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (class_no >= CLASS_COUNT || load_relaxed(&pg->owner) != word)
		return;
	c = &size_classes[class_no];
	for (unsigned w = 0; w < c->nwords; w++)
		any |= load_relaxed(&bits[c->remote + w]);
	if (any != 0)
		chunk_page_tell(pg);
}

/* Takes over what is found in some entries; false at the end of all. */
static bool
search(struct owner *o, size_t nentries, unsigned npages)
{
	while (at_arena < load_acquire(&arena_count)) {
		struct arena *a = &arenas[at_arena];
		size_t n = load_acquire(&a->limit) >> malloc_pageshift;

		for (; at_page < n; at_page++) {
			struct pginfo *pg = &a->page_dir[at_page];
			uintptr_t word;

			if (nentries-- == 0 || npages == 0)
				return true;
			word = load_acquire(&pg->owner);
			if (is_lost(word))
				npages -= is_worth(pg, word) && lost_take(o, pg);
			else if (owner_is(word) && (word & PGINFO_PENDING) == 0)
				tell_owner(pg, word);
		}
		at_arena++;
		at_page = 0;
	}
	return false;
}

struct pginfo *
owner_find_lost(struct owner *o, unsigned class_no)
{
	struct pginfo *pg;

	lock_take(LOCK_PARKED);
	if (!search(o, LOST_ENTRIES, LOST_PAGES))
		store_relaxed(&owner_lost, false);
	pg = o->slots[class_no].avail;
	if (pg != NULL)
		chunk_unlink(o, pg);
	lock_drop(LOCK_PARKED);
	return pg;
}

void
owner_take_lost(struct owner *o)
{
	lock_take(LOCK_PARKED);
	at_arena = 0;
	at_page = 0;
	(void)search(o, SIZE_MAX, ~0U);
	lock_drop(LOCK_PARKED);
}

void
owner_take_lost_page(struct pginfo *pg)
{
	struct owner *o = owner_self;

	lock_take(LOCK_PARKED);
	/* It is pending: not had now, or by a thread past its end, it is found by that. */
	if (o == &owner_none || !lost_take(o, pg)) {
		at_arena = 0;
		at_page = 0;
		store_relaxed(&owner_lost, true);
	}
	lock_drop(LOCK_PARKED);
}
