/*
 * page_check.c: walks the arenas and the run tree and checks P1 to P6 of page.h.
 */
#include "os/lock.h"
#include "page/dirty.h"
#include "page/page_alloc.h"
#include "page/runs.h"
#include "page/pgfree.h"

typedef void (*complain_t)(const char *what, const void *where);

struct walk {
	complain_t complain;
	size_t broken;
	size_t nfree;   /* pages of free runs seen in page_dir and not being purged */
	size_t nused;
	size_t ndirty;
	size_t runs;
};

static void
expect(struct walk *k, bool right, const char *what, const void *where)
{
	if (right)
		return;
	k->broken++;
	k->complain(what, where);
}

static size_t
check_free(struct walk *k, const struct pginfo *pg, const struct pginfo *end, bool after_free)
{
	size_t npages = pg->free.npages;

	expect(k, npages > 0 && pg + npages <= end, "P2: free run of wrong length", pg);
	if (pg->free.lent != NULL)
		return npages;
	expect(k, !after_free, "P4: two free runs are neighbours", pg);
	expect(k, pgfree_before(page_tree(), pg + 1) == pg, "P5: free run not in the tree", pg);
	expect(k, pg->free.ndirty == dirty_count(pg, npages), "P6: dirty pages miscounted", pg);
	k->runs++;
	k->nfree += npages;
	k->ndirty += pg->free.ndirty;
	return npages;
}

static void
check_arena(struct walk *k, const struct arena *a)
{
	const struct pginfo *end = a->page_dir + (a->limit >> malloc_pageshift);
	bool after_free = false;

	expect(k, a->limit <= a->npages << malloc_pageshift, "P1: limit beyond the arena", a);
	for (const struct pginfo *pg = a->page_dir; pg < end;) {
		uintptr_t kind = load_acquire(&pg->owner);
		size_t npages = 1;

		if (kind == MALLOC_FREE) {
			npages = check_free(k, pg, end, after_free);
			after_free = pg->free.lent == NULL;
		} else {
			after_free = false;
			if (kind == MALLOC_FIRST || page_dir_is_idle(kind))
				npages = pg->large.npages;
			expect(k, kind > MALLOC_FREE && kind != MALLOC_FOLLOW,
			    "P2: page belongs to nothing", pg);
			expect(k, npages > 0 && pg + npages <= end, "P2: run of wrong length", pg);
			k->nused += npages;
		}
		if (npages == 0)
			break;
		for (size_t i = 1; i < npages && pg + i < end; i++) {
			kind = load_relaxed(&pg[i].owner);
			expect(k, kind == MALLOC_NOT_MINE || kind == MALLOC_FOLLOW,
			    "P3: page inside a run starts something", pg + i);
		}
		pg += npages;
	}
}

/* Checks order and max below a run; returns the longest. */
static size_t
check_tree(struct walk *k, const struct pginfo *run, const struct pginfo *low,
    const struct pginfo *high)
{
	size_t max, below;

	if (run == NULL)
		return 0;
	expect(k, (low == NULL || run > low) && (high == NULL || run < high),
	    "P5: run tree out of order", run);
	k->runs--;
	max = run->free.npages;
	below = check_tree(k, run->free.left, low, run);
	max = below > max ? below : max;
	below = check_tree(k, run->free.right, run, high);
	max = below > max ? below : max;
	expect(k, max == run->free.max, "P5: longest run of a subtree is wrong", run);
	return max;
}

size_t
page_check(complain_t complain)
{
	struct walk k = {.complain = complain};

	lock_take(LOCK_PAGE);
	for (unsigned i = 0; i < arena_count; i++)
		check_arena(&k, &arenas[i]);
	check_tree(&k, page_tree()->root, NULL, NULL);
	expect(&k, k.runs == 0, "P5: tree and page_dir have different runs", page_tree());
	expect(&k, k.nfree == page_layer.nfree, "P6: sum of free pages is wrong", &page_layer);
	expect(&k, k.ndirty == page_layer.ndirty, "P6: sum of dirty pages is wrong", &page_layer);
	expect(&k, k.nused == page_layer.nused, "P2: sum of used pages is wrong", &page_layer);
	lock_drop(LOCK_PAGE);
	return k.broken;
}
