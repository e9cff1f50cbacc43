/*
 * purge.c: free pages and their memory, when it is given back; see purge.h. Protected by the page
 * lock.
 *
 * Memory goes back by two rules. A cap: free pages that may still be backed by memory (dirty) are
 * at most what brings the pages in use back to their recent peak, and some more. And decay: what
 * stayed dirty through a whole interval was not needed in it, so it goes back at its end. Both take
 * from the highest run down, since reuse goes from the lowest up. There is no helper thread: the
 * clock is looked at when runs come and go, and while much is dirty also when malloc goes on to
 * another word of a bitmap, so that a program at rest needs no large allocations to become small.
 */
#include "page/purge.h"

#include "os/env.h"
#include "os/lock.h"
#include "os/vm.h"
#include "page/dirty.h"
#include "page/page_alloc.h"
#include "page/runs.h"

#define DIRTY_SLACK ((size_t)64)        /* 4 MiB */
#define DECAY_MS 500U
/* A run of so many pages that is twice what remains in use is not kept. */
#define MOST_MIN ((size_t)1536)         /* 96 MiB */

/* Free memory that a program which asks for no more pages is relieved of. */
#define SURPLUS_MIN ((size_t)128)       /* 8 MiB, and a quarter of what is in use */

bool page_surplus;
bool page_rest;
int page_cache_shift;

static uint64_t decay_at;     /* end of the interval */
static size_t decay_floor;    /* fewest dirty pages seen in it */
static size_t peak;           /* pages in use at the most, forgotten slowly */

void
purge_saw_dirty(void)
{
	if (page_layer.ndirty < decay_floor)
		decay_floor = page_layer.ndirty;
}

void
purge_saw_used(void)
{
	if (page_layer.nused <= peak)
		return;
	peak = page_layer.nused;
	if (peak > page_layer.nused_max)
		page_layer.nused_max = peak;
}

/* The highest run of the subtree that has dirty pages. */
static struct pginfo *
highest_dirty(struct pginfo *run)
{
	while (run != NULL) {
		struct pginfo *found = highest_dirty(run->free.right);

		if (found != NULL)
			return found;
		if (run->free.ndirty != 0)
			return run;
		run = run->free.left;
	}
	return NULL;
}

bool
purge_down_to(size_t keep)
{
	bool any = false;

	while (page_layer.ndirty > keep) {
		struct pginfo *run = highest_dirty(page_tree()->root);
		struct pginfo *first = run;
		size_t npages, n, half, clean, excess = page_layer.ndirty - keep;

		ASSERT(run != NULL);
		npages = run->free.npages;
		/* Only as much of the end of a long run as has to go. */
		while ((half = npages / 2) != 0 && dirty_count(first + half, npages - half) >= excess) {
			first += half;
			npages -= half;
		}
		n = dirty_count(first, npages);
		clean = npages - dirty_end(first, npages);
		npages -= clean;
		run_remove(run);
		if (first != run)
			run_insert(run, (size_t)(first - run), run->free.ndirty - n);
		/* Others may need it meanwhile, who would have to ask the kernel for more. */
		if (clean != 0)
			run_insert(first + npages, clean, 0);
		run_lend(first, npages);
		lock_drop(LOCK_PAGE);
		bool done = vm_purge(page_address(first), npages << malloc_pageshift);
		lock_take(LOCK_PAGE);
		if (done) {
			dirty_set(first, npages, false);
			page_layer.npurged += n;
			any = true;
		}
		run_return(first, done ? 0 : n);
		if (!done)
			break;
	}
	return any;
}

/*
 * What may stay dirty: pages in use and dirty together need not be more than were in use at the
 * peak, and an eighth for what does not fit together.
 */
static size_t
dirty_cap(void)
{
	size_t cap;

	cap = peak + peak / 8 + DIRTY_SLACK - page_layer.nused;
	return page_cache_shift < 0 ? cap >> -page_cache_shift : cap << page_cache_shift;
}

static void
surplus_set(void)
{
	size_t n = page_layer.ndirty;
	bool now = page_rest || (n > SURPLUS_MIN && n > page_layer.nused / 4);

	/* All threads read it, and what lies beside it: not written where it is so already. */
	if (now != page_surplus)
		store_relaxed(&page_surplus, now);
}

/* At the end of an interval: what was dirty all through it goes back. */
static void
decay(uint64_t now)
{
	if (decay_at != 0 && decay_floor != 0 && page_layer.ndirty >= decay_floor)
		purge_down_to(page_layer.ndirty - decay_floor);
	peak -= (peak - page_layer.nused) / 4;
	store_relaxed(&decay_at, now + DECAY_MS);
	decay_floor = page_layer.ndirty;
}

void
purge_due(size_t npages)
{
	uint64_t now;
	size_t cap;

	if (npages >= MOST_MIN && npages / 2 >= page_layer.nused && page_layer.ndirty >= npages)
		purge_down_to(page_layer.ndirty - npages);
	cap = dirty_cap();
	if (page_layer.ndirty > cap)
		purge_down_to(cap - cap / 4);
	if (page_layer.ndirty != 0 && (now = env_clock_ms()) >= decay_at)
		decay(now);
	surplus_set();
}

void
page_tick(void)
{
	uint64_t now = env_clock_ms();

	if (now < load_relaxed(&decay_at))
		return;
	lock_take(LOCK_PAGE);
	if (now >= decay_at) {
		/* A run that comes ends an interval that is over: in the whole of another none came. */
		if (now >= decay_at + DECAY_MS)
			decay_floor = page_layer.ndirty;
		if (page_layer.ndirty != 0 && decay_floor == page_layer.ndirty)
			store_relaxed(&page_rest, true);
		purge_due(0);
		store_relaxed(&decay_at, now + DECAY_MS);
	}
	lock_drop(LOCK_PAGE);
}

void
page_rest_over(void)
{
	lock_take(LOCK_PAGE);
	store_relaxed(&page_rest, false);
	surplus_set();
	lock_drop(LOCK_PAGE);
}
