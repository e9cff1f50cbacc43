/*
 * guard.c: pages that trap; see guard.h. The number of guards is protected by the page lock.
 */
#include "page/guard.h"

#include "os/lock.h"
#include "os/vm.h"

/* Where each is two mappings more, most of those that a process may have are left to others. */
#define SPLIT_COUNT_MAX ((size_t)8192)
#define SPLIT_NPAGES_MIN ((size_t)16)

bool page_guards;
bool page_traps;

static size_t nguards; /* that trap */

void
guard_set(struct pginfo *first)
{
	struct pginfo *guard = first + first->large.npages - 1;
	bool traps = !vm_guard_splits || load_relaxed(&nguards) < SPLIT_COUNT_MAX;

	/* Nobody knows of the page yet, so there is nothing to be locked out. */
	traps = traps && vm_guard(page_address(guard), malloc_pagesize);
	lock_take(LOCK_PAGE);
	first->large.npages--;
	nguards += traps;
	guard->large.npages = 1;
	guard->large.moved = false;
	guard->large.guard = traps ? GUARD_TRAPS : GUARD_IDLE;
	page_dir_set(guard, MALLOC_FIRST);
	if (first->owner == MALLOC_RUN_MOVING)
		page_dir_set(first, MALLOC_PAGE_MOVING);
	lock_drop(LOCK_PAGE);
}

size_t
guard_clear(struct pginfo *first, size_t npages)
{
	struct pginfo *guard = first + npages;

	ASSERT(guard->large.guard != GUARD_NONE);
	if (!vm_unguard(page_address(guard), malloc_pagesize))
		return 0;
	lock_take(LOCK_PAGE);
	nguards -= guard->large.guard == GUARD_TRAPS;
	page_dir_set(guard, MALLOC_FOLLOW);
	first->large.npages = (uint32_t)npages + 1;
	if (first->owner == MALLOC_PAGE_MOVING)
		page_dir_set(first, MALLOC_RUN_MOVING);
	lock_drop(LOCK_PAGE);
	return 1;
}

bool
guard_free(struct pginfo *first, size_t npages)
{
	bool done;

	if (LIKELY(!page_traps) || (vm_guard_splits && npages < SPLIT_NPAGES_MIN))
		return false;
	/* Who reads chunks or canaries that are not his own holds it. */
	lock_take(LOCK_GUARD);
	done = vm_guard(page_address(first), npages << malloc_pageshift);
	lock_drop(LOCK_GUARD);
	return done;
}
