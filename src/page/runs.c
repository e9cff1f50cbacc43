/*
 * runs.c: the free runs; see runs.h. Protected by the page lock.
 */
#include "page/runs.h"

#include "os/env.h"
#include "page/arena.h"
#include "page/dirty.h"
#include "page/page_alloc.h"
#include "page/purge.h"

#define COMMIT_STEP_MIN ((size_t)16)    /* 1 MiB */
#define COMMIT_STEP_MAX ((size_t)1024)  /* 64 MiB */

struct page_layer page_layer;
bool page_random;

static struct pgfree_tree tree;

/* Runs that are lent, linked by free.left; and an address that is another one in each thread. */
static struct pginfo *lent;
static __thread char here __attribute__((tls_model("initial-exec")));

const struct pgfree_tree *
page_tree(void)
{
	return &tree;
}

void
run_insert(struct pginfo *run, size_t npages, size_t ndirty)
{
	page_dir_set(run, MALLOC_FREE);
	/* Atomic here and in run_reset: a thread that took it for a page of chunks may still read. */
	store_relaxed(&run->free.npages, (uint32_t)npages);
	store_relaxed(&run->free.ndirty, (uint32_t)ndirty);
	run->free.left = run->free.right = NULL;
	run->free.lent = NULL;
	pgfree_insert(&tree, run);
	page_layer.nfree += npages;
	page_layer.ndirty += run->free.ndirty;
}

void
run_remove(struct pginfo *run)
{
	pgfree_remove(&tree, run);
	page_layer.nfree -= run->free.npages;
	page_layer.ndirty -= run->free.ndirty;
	purge_saw_dirty();
}

void
run_give(struct pginfo *first, size_t npages, size_t ndirty)
{
	struct pginfo *before = pgfree_before(&tree, first);
	struct pginfo *after = pgfree_after(&tree, first);

	page_dir_set(first, MALLOC_FOLLOW);
	if (after != NULL && first + npages == after) {
		run_remove(after);
		npages += after->free.npages;
		ndirty += after->free.ndirty;
		page_dir_set(after, MALLOC_FOLLOW);
	}
	if (before != NULL && before + before->free.npages == first) {
		run_remove(before);
		npages += before->free.npages;
		ndirty += before->free.ndirty;
		first = before;
	}
	run_insert(first, npages, ndirty);
}

void
run_lend(struct pginfo *first, size_t npages)
{
	first->free.npages = (uint32_t)npages;
	first->free.lent = &here;
	first->free.left = lent;
	lent = first;
	page_dir_set(first, MALLOC_FREE);
}

void
run_return(struct pginfo *first, size_t ndirty)
{
	struct pginfo **at = &lent;

	while (*at != first)
		at = &(*at)->free.left;
	*at = first->free.left;
	run_give(first, first->free.npages, ndirty);
}

void
runs_recover(void)
{
	struct pginfo **at = &lent, *run;

	while ((run = *at) != NULL) {
		/* The caller's own: a signal came in between, and its handler forked. */
		if (run->free.lent == &here) {
			at = &run->free.left;
			continue;
		}
		*at = run->free.left;
		/* It may have memory or not. */
		dirty_set(run, run->free.npages, true);
		run_give(run, run->free.npages, run->free.npages);
	}
}

size_t
run_top(const struct arena *a)
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
		top = run_top(a);
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
	run_give(at, step, 0);
	return true;
}

size_t
run_cut(struct pginfo *run, struct pginfo *at, size_t npages)
{
	size_t total = run->free.npages;
	size_t head = (size_t)(at - run), ndirty, rest;

	ASSERT(head + npages <= total);
	run_remove(run);
	/* What is left is long most often, so it is not counted. */
	ndirty = run->free.ndirty == 0 ? 0 : dirty_count(at, npages);
	rest = run->free.ndirty - ndirty;
	if (head != 0) {
		size_t n = head + npages < total ? dirty_count(run, head) : rest;

		run_insert(run, head, n);
		rest -= n;
	}
	if (head + npages < total)
		run_insert(at + npages, total - head - npages, rest);
	page_layer.nused += npages;
	purge_saw_used();
	return ndirty;
}

static struct pginfo *
aligned_in(struct pginfo *run, size_t align)
{
	uintptr_t page_no = (uintptr_t)page_address(run) >> malloc_pageshift;

	return run + (round_up(page_no, align) - page_no);
}

void
run_reset(struct pginfo *first, size_t npages)
{
	store_relaxed(&first->large.npages, (uint32_t)npages);
	store_relaxed(&first->large.moved, false);
	store_relaxed(&first->large.guard, GUARD_NONE);
	store_relaxed(&first->large.concealed, false);
	store_relaxed(&first->large.canary, false);
	first->large.allocated = first->large.freed = 0;
	first->large.family = 0;
	first->large.sampled = 0;
	first->large.start = 0;
	first->large.nbytes = npages << malloc_pageshift;
	page_dir_set(first, MALLOC_FIRST);
}

struct pginfo *
run_take(size_t npages, size_t align, size_t *ndirty)
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
	*ndirty = run_cut(run, first, npages);
	run_reset(first, npages);
	return first;
}
