/*
 * page_alloc.c: runs of pages are taken and given back; see page_alloc.h. Protected by the page
 * lock, which is taken here.
 */
#include "page/page_alloc.h"

#include "os/lock.h"
#include "os/vm.h"
#include "page/arena.h"
#include "page/block.h"
#include "page/dirty.h"
#include "page/guard.h"
#include "page/purge.h"
#include "page/runs.h"

/* What was taken can be used, and its guard is set; else it is given back. */
static struct pginfo *
run_ready(struct pginfo *first, size_t npages)
{
	if (page_traps && !vm_unguard(page_address(first), npages << malloc_pageshift)) {
		lock_take(LOCK_PAGE);
		page_layer.nused -= npages;
		run_give(first, npages, dirty_count(first, npages));
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
	size_t ndirty;

	npages += page_guards;
	if (npages == 0 || npages + align > UINT32_MAX / 2)
		return NULL;
	lock_take(LOCK_PAGE);
	first = run_take(npages, align, &ndirty);
	*zero = first != NULL && !vm_lazy && ndirty == 0;
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
		npages += guard_clear(first, npages);
	zero = guard_free(first, npages);
	lock_take(LOCK_PAGE);
	dirty_set(first, npages, !zero);
	page_layer.nused -= npages;
	run_give(first, npages, zero ? 0 : npages);
	purge_due(npages);
	lock_drop(LOCK_PAGE);
}

void
pages_give_clean(struct pginfo *first, size_t npages)
{
	if (page_guards)
		npages += guard_clear(first, npages);
	(void)guard_free(first, npages);
	lock_take(LOCK_PAGE);
	page_layer.nused -= npages;
	run_give(first, npages, dirty_count(first, npages));
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
	run = pgfree_after(page_tree(), first);
	if (run == first + npages && run->free.npages >= more) {
		*zero = run_cut(run, run, more) == 0 && !vm_lazy;
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
	run_give(first + npages, less, less);
	purge_due(less);
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
		size_t npages = run_top(a), half = npages / 2;
		struct pginfo *end = a->page_dir + (a->limit >> malloc_pageshift), *run = end - npages;

		if (half == 0)
			continue;
		run_remove(run);
		if (arena_decommit(a, half)) {
			dirty_set(end - half, half, false);
			npages -= half;
			any = true;
		}
		run_insert(run, npages, dirty_count(run, npages));
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

void
pages_after_fork(void)
{
	lock_take(LOCK_PAGE);
	runs_recover();
	lock_drop(LOCK_PAGE);
}

struct pginfo *
page_take_for_chunks(size_t nbytes, bool dense, void **meta)
{
	struct pginfo *first = NULL;
	size_t ndirty;

	lock_take(LOCK_PAGE);
	*meta = meta_take(nbytes);
	if (*meta != NULL) {
		if (dense)
			block_bring();
		first = run_take(1U + page_guards, 1, &ndirty);
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
		npages += guard_clear(pg, 1);
	zero = guard_free(pg, npages);
	lock_take(LOCK_PAGE);
	store_relaxed(&pg->recip, 0);
	meta_give(meta, nbytes);
	dirty_set(pg, npages, !zero);
	page_layer.nused -= npages;
	run_give(pg, npages, zero ? 0 : npages);
	purge_due(npages);
	lock_drop(LOCK_PAGE);
}
