/*
 * page_alloc.c: runs of pages; see page_alloc.h. Everything here is protected by the page lock.
 *
 * Memory goes back by two rules. A cap: free pages that may still be backed by memory (dirty) are
 * at most what brings the pages in use back to their recent peak, and some more. And decay: what
 * stayed dirty through a whole interval was not needed in it, so it goes back at its end. Both take
 * from the highest run down, since reuse goes from the lowest up. There is no helper thread: the
 * clock is looked at when runs come and go.
 */
#include "page/page_alloc.h"

#include "os/env.h"
#include "os/lock.h"
#include "os/vm.h"
#include "page/arena.h"
#include "page/dirty.h"
#include "page/guard.h"
#include "page/pgfree.h"

#define DIRTY_SLACK ((size_t)64)        /* 4 MiB */
#define COMMIT_STEP_MIN ((size_t)16)    /* 1 MiB */
#define COMMIT_STEP_MAX ((size_t)1024)  /* 64 MiB */
#define DECAY_MS 500U

struct page_layer page_layer;
bool page_random;
int page_cache_shift;

static struct pgfree_tree tree;
static uint64_t decay_at;     /* end of the interval */
static size_t decay_floor;    /* fewest dirty pages seen in it */
static size_t peak;           /* pages in use at the most, forgotten slowly */

const struct pgfree_tree *
page_tree(void)
{
	return &tree;
}

/* --- runs ------------------------------------------------------------------------------- */

static void
run_insert(struct pginfo *run, size_t npages)
{
	page_dir_set(run, MALLOC_FREE);
	run->free.npages = (uint32_t)npages;
	run->free.ndirty = (uint32_t)dirty_count(run, npages);
	run->free.left = run->free.right = NULL;
	run->free.purging = false;
	pgfree_insert(&tree, run);
	page_layer.nfree += npages;
	page_layer.ndirty += run->free.ndirty;
}

static void
run_remove(struct pginfo *run)
{
	pgfree_remove(&tree, run);
	page_layer.nfree -= run->free.npages;
	page_layer.ndirty -= run->free.ndirty;
	if (page_layer.ndirty < decay_floor)
		decay_floor = page_layer.ndirty;
}

/* Puts a run that is in no list among the free ones, joined with its neighbours. */
static void
run_give(struct pginfo *first, size_t npages)
{
	struct pginfo *before = pgfree_before(&tree, first);
	struct pginfo *after = pgfree_after(&tree, first);

	page_dir_set(first, MALLOC_FOLLOW);
	if (after != NULL && first + npages == after) {
		run_remove(after);
		npages += after->free.npages;
		page_dir_set(after, MALLOC_FOLLOW);
	}
	if (before != NULL && before + before->free.npages == first) {
		run_remove(before);
		npages += before->free.npages;
		first = before;
	}
	run_insert(first, npages);
}

/* The length of the free run that ends at the limit of an arena. */
static size_t
top_npages(const struct arena *a)
{
	const struct pginfo *end = a->page_dir + (a->limit >> malloc_pageshift);
	const struct pginfo *last = pgfree_before(&tree, end);

	return last != NULL && last + last->free.npages == end ? last->free.npages : 0;
}

/*
 * Gets npages in one run from the kernel, as a free run at the limit of an arena; in 1996 this
 * was the call to brk. The new pages enter as free, and the caller searches again.
 */
static bool
map_pages(size_t npages)
{
	struct arena *a = NULL;
	size_t room = 0, top = 0, more, step;

	for (unsigned i = 0; i < arena_count; i++) {
		a = &arenas[i];
		room = a->npages - (a->limit >> malloc_pageshift);
		top = top_npages(a);
		if (room != 0 && top + room >= npages)
			break;
		a = NULL;
	}
	if (a == NULL) {
		a = arena_add(npages);
		if (a == NULL)
			return false;
		room = a->npages;
		top = 0;
	}
	more = npages > top ? npages - top : 1;
	/* In proportion to what is there, so that the number of calls is logarithmic. */
	step = page_layer.nused / 8;
	step = step < COMMIT_STEP_MIN ? COMMIT_STEP_MIN : step;
	step = step > COMMIT_STEP_MAX ? COMMIT_STEP_MAX : step;
	step = step < more ? more : step;
	step = step > room ? room : step;

	struct pginfo *at = a->page_dir + (a->limit >> malloc_pageshift);
	if (!arena_commit(a, step)) {
		step = more;
		if (!arena_commit(a, step))
			return false;
	}
	run_give(at, step);
	return true;
}

/* Cuts [at, at + npages) out of a free run and marks it as in use. */
static void
run_cut(struct pginfo *run, struct pginfo *at, size_t npages)
{
	size_t total = run->free.npages;
	size_t head = (size_t)(at - run);

	ASSERT(head + npages <= total);
	run_remove(run);
	if (head != 0)
		run_insert(run, head);
	if (head + npages < total)
		run_insert(at + npages, total - head - npages);
	page_layer.nused += npages;
	if (page_layer.nused > peak)
		peak = page_layer.nused;
}

static struct pginfo *
aligned_in(struct pginfo *run, size_t align)
{
	uintptr_t page_no = (uintptr_t)page_address(run) >> malloc_pageshift;

	return run + (round_up(page_no, align) - page_no);
}

/* --- giving memory back ------------------------------------------------------------------ */

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

/* Purges runs from the highest down until at most `keep` pages are dirty. Page lock held. */
static bool
purge_down_to(size_t keep)
{
	bool any = false;

	while (page_layer.ndirty > keep) {
		struct pginfo *run = highest_dirty(tree.root);
		struct pginfo *first = run;
		size_t npages, n, half, excess = page_layer.ndirty - keep;

		ASSERT(run != NULL);
		npages = run->free.npages;
		/* Only as much of the end of a long run as has to go. */
		while ((half = npages / 2) != 0 && dirty_count(first + half, npages - half) >= excess) {
			first += half;
			npages -= half;
		}
		n = dirty_count(first, npages);
		run_remove(run);
		if (first != run)
			run_insert(run, (size_t)(first - run));
		page_dir_set(first, MALLOC_FREE);
		first->free.npages = (uint32_t)npages;
		first->free.purging = true;
		lock_drop(LOCK_PAGE);
		bool done = vm_purge(page_address(first), npages << malloc_pageshift);
		lock_take(LOCK_PAGE);
		if (done) {
			dirty_set(first, npages, false);
			page_layer.npurged += n;
			any = true;
		}
		run_give(first, npages);
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

/* Applies the cap and the decay. Page lock held; dropped and taken again around system calls. */
static void
purge_due(void)
{
	size_t cap = dirty_cap();
	uint64_t now;

	if (page_layer.ndirty > cap)
		purge_down_to(cap - cap / 4);
	if (page_layer.ndirty == 0)
		return;
	now = env_clock_ms();
	if (now < decay_at)
		return;
	if (decay_at != 0 && decay_floor != 0 && page_layer.ndirty >= decay_floor)
		purge_down_to(page_layer.ndirty - decay_floor);
	peak -= (peak - page_layer.nused) / 4;
	decay_at = now + DECAY_MS;
	decay_floor = page_layer.ndirty;
}

/* --- the interface ----------------------------------------------------------------------- */

/* A run of npages is taken out of the free ones and marked as in use. Page lock held. */
static struct pginfo *
run_take(size_t npages, size_t align)
{
	size_t need = npages + align - 1;
	struct pginfo *run, *first;

	while ((run = pgfree_first_fit(&tree, need)) == NULL)
		if (!map_pages(need))
			return NULL;
	if (page_random)
		run = pgfree_random_fit(&tree, need, env_random());
	first = align == 1 ? run : aligned_in(run, align);
	if (page_random && align == 1)
		first += env_random() % (run->free.npages - need + 1);
	run_cut(run, first, npages);
	first->large.npages = (uint32_t)npages;
	first->large.guard = GUARD_NONE;
	first->large.moved = first->large.concealed = first->large.canary = false;
	first->large.allocated = first->large.freed = 0;
	first->large.family = 0;
	first->large.sampled = 0;
	first->large.start = 0;
	first->large.nbytes = npages << malloc_pageshift;
	page_dir_set(first, MALLOC_FIRST);
	return first;
}

/* What was taken can be used, and its guard is set; else it is given back. */
static struct pginfo *
run_ready(struct pginfo *first, size_t npages)
{
	if (page_traps && !vm_unguard(page_address(first), npages << malloc_pageshift)) {
		lock_take(LOCK_PAGE);
		page_layer.nused -= npages;
		run_give(first, npages);
		lock_drop(LOCK_PAGE);
		return NULL;
	}
	if (page_guards)
		guard_set(first);
	return first;
}

struct pginfo *
pages_take(size_t npages, size_t align, bool *zero)
{
	struct pginfo *first;

	npages += page_guards;
	if (npages == 0 || npages + align > UINT32_MAX / 2)
		return NULL;
	lock_take(LOCK_PAGE);
	first = run_take(npages, align);
	*zero = first != NULL && !vm_lazy && dirty_count(first, npages) == 0;
	lock_drop(LOCK_PAGE);
	if (first != NULL && UNLIKELY(page_guards | page_traps))
		first = run_ready(first, npages);
	return first;
}

void
pages_give(struct pginfo *first, size_t npages)
{
	bool zero;

	if (page_guards)
		npages += guard_clear(first + npages);
	zero = guard_free(first, npages);
	lock_take(LOCK_PAGE);
	dirty_set(first, npages, !zero);
	page_layer.nused -= npages;
	run_give(first, npages);
	purge_due();
	lock_drop(LOCK_PAGE);
}

void
pages_give_clean(struct pginfo *first, size_t npages)
{
	if (page_guards)
		npages += guard_clear(first + npages);
	(void)guard_free(first, npages);
	lock_take(LOCK_PAGE);
	page_layer.nused -= npages;
	run_give(first, npages);
	lock_drop(LOCK_PAGE);
}

bool
pages_grow(struct pginfo *first, size_t more, bool *zero)
{
	size_t npages = first->large.npages;
	struct pginfo *run;
	bool done = false;

	if (page_guards || page_traps)
		return false;
	lock_take(LOCK_PAGE);
	run = pgfree_after(&tree, first);
	if (run == first + npages && run->free.npages >= more) {
		run_cut(run, run, more);
		*zero = !vm_lazy && dirty_count(run, more) == 0;
		page_dir_set(run, MALLOC_FOLLOW);
		first->large.npages = (uint32_t)(npages + more);
		done = true;
	}
	lock_drop(LOCK_PAGE);
	return done;
}

void
pages_shrink(struct pginfo *first, size_t npages)
{
	size_t less;

	ASSERT(!page_guards);
	ASSERT(!page_traps);
	lock_take(LOCK_PAGE);
	less = first->large.npages - npages;
	first->large.npages = (uint32_t)npages;
	dirty_set(first + npages, less, true);
	page_layer.nused -= less;
	run_give(first + npages, less);
	purge_due();
	lock_drop(LOCK_PAGE);
}

bool
pages_trim(void)
{
	bool any;

	lock_take(LOCK_PAGE);
	any = purge_down_to(0);
	lock_drop(LOCK_PAGE);
	return any;
}

bool
pages_decommit(void)
{
	bool any = false;

	lock_take(LOCK_PAGE);
	for (unsigned i = 0; i < arena_count; i++) {
		struct arena *a = &arenas[i];
		size_t npages = top_npages(a), half = npages / 2;
		struct pginfo *end = a->page_dir + (a->limit >> malloc_pageshift), *run = end - npages;

		if (half == 0)
			continue;
		run_remove(run);
		if (arena_decommit(a, half)) {
			dirty_set(end - half, half, false);
			npages -= half;
			any = true;
		}
		run_insert(run, npages);
	}
	lock_drop(LOCK_PAGE);
	return any;
}

void *
pages_meta_take(size_t nbytes)
{
	void *p;

	lock_take(LOCK_PAGE);
	p = meta_take(nbytes);
	lock_drop(LOCK_PAGE);
	return p;
}

void
pages_meta_give(void *p, size_t nbytes)
{
	lock_take(LOCK_PAGE);
	meta_give(p, nbytes);
	lock_drop(LOCK_PAGE);
}

void *
pages_meta_swap(void *old, size_t old_nbytes, size_t nbytes)
{
	void *p;

	lock_take(LOCK_PAGE);
	p = meta_take(nbytes);
	if (p != NULL)
		meta_give(old, old_nbytes);
	lock_drop(LOCK_PAGE);
	return p;
}

struct pginfo *
page_take_for_chunks(size_t nbytes, void **meta)
{
	struct pginfo *first = NULL;

	lock_take(LOCK_PAGE);
	*meta = meta_take(nbytes);
	if (*meta != NULL) {
		first = run_take(1U + page_guards, 1);
		if (first != NULL)
			page_dir_set(first, page_guards ? MALLOC_RUN_MOVING : MALLOC_PAGE_MOVING);
	}
	lock_drop(LOCK_PAGE);
	if (first != NULL && UNLIKELY(page_guards | page_traps))
		first = run_ready(first, 1U + page_guards);
	if (first == NULL && *meta != NULL)
		pages_meta_give(*meta, nbytes);
	return first;
}

void
page_give_for_chunks(struct pginfo *pg, void *meta, size_t nbytes)
{
	size_t npages = 1;
	bool zero;

	if (page_guards)
		npages += guard_clear(pg + 1);
	zero = guard_free(pg, npages);
	lock_take(LOCK_PAGE);
	store_relaxed(&pg->recip, 0);
	meta_give(meta, nbytes);
	dirty_set(pg, npages, !zero);
	page_layer.nused -= npages;
	run_give(pg, npages);
	purge_due();
	lock_drop(LOCK_PAGE);
}
