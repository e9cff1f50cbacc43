/*
 * chunk_page.h: pages of chunks come and go: from the page layer, back to it, and the few empty
 * ones that an owner keeps in between. Within chunk/ only.
 *
 * An owner keeps up to SPARE_MAX empty pages, so that memory which is in its core's cache comes
 * back to the same thread, without the page lock. A spare page has PGINFO_SPARE in its owner word.
 * Whoever exchanges that word has the page: the owner, to use it for any class, or any thread, to
 * give it back. What owner.spare says is a hint and may be out of date.
 */
#ifndef PHK_CHUNK_PAGE_H
#define PHK_CHUNK_PAGE_H

#include "chunk/chunk.h"

/* A page without a chunk in use, in no list. NULL when there is no memory. */
struct pginfo *chunk_page_new(struct owner *o, unsigned class_no);
/* Gives an empty page in no list back. False when a remote free has just claimed it. */
bool chunk_page_release(struct owner *o, struct pginfo *pg);
/* Keeps an empty page in no list for later; false when that is not to be. */
bool chunk_spare_put(struct owner *o, struct pginfo *pg);
/* The owner has kept something: others' that have not for long is given back. */
void chunk_spare_used(struct owner *o);
/*
 * Says what a page in no list is, which has so many chunks in use, and puts it where it belongs. An
 * empty one is kept if it may be spare, else given back.
 */
void chunk_settle(struct owner *o, struct pginfo *pg, size_t live, bool spare);
/* Moves what other threads have freed into the page's bits: how many chunks. */
int chunk_collect(struct pginfo *pg);
/* Tells the owner of a page of remote frees that he may not know of. LOCK_PARKED held. */
void chunk_page_tell(struct pginfo *pg);
/* Gives a page back that its owner keeps, or has just left pending; any thread. */
bool chunk_spare_release(struct owner *o, struct pginfo *pg);

/* Of chunks up to this size there is one in every OS page, which will be written. */
#define DENSE_MAX 4096U

/*
 * Makes a huge page of a block that is in memory throughout and mostly chunks, if the next few
 * blocks have one. The owner calls it, with no lock held, each time malloc has come to the end of
 * so many pages; before the first sweep there were many, since programs that are soon over pay more
 * than they gain.
 */
#define COLLAPSE_VISITS 64U
#define COLLAPSE_VISITS_MIN 2048U
void chunk_collapse(unsigned nvisits);
/*
 * Gives the memory of pages back that other threads emptied when it was not known yet that the
 * owner sleeps. Every thread calls it as often as the one above, with no lock held; and before the
 * heap may grow, when an owner is taken to sleep sooner.
 */
void chunk_emptied_again(bool growing);

/* The owner takes a step, when page_rest says so and it is time; with no lock held. */
void chunk_rest(void);

/* The page is not current, or not any more, see chunk_purge. */
ALWAYS_INLINE void
page_state_set(struct pginfo *pg, enum page_state state)
{
	/*
	 * Release: pairs with the load in chunk_purge; who finds the page in this state also finds
	 * each chunk that was taken from it to be in use.
	 */
	store_release(&pg->chunk.state, (uint8_t)state);
}

#endif
