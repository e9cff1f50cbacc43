/*
 * pgfree.c: the tree of free runs; see pgfree.h. Touches page_dir entries of free runs only.
 */
#include "page/pgfree.h"

static uint64_t
priority(const struct pginfo *run)
{
	return ((uintptr_t)run >> 6) * 0x9e3779b97f4a7c15U;
}

static uint32_t
max_of(const struct pginfo *run)
{
	return run == NULL ? 0 : run->free.max;
}

static void
update(struct pginfo *run)
{
	uint32_t max = run->free.npages;

	if (max_of(run->free.left) > max)
		max = max_of(run->free.left);
	if (max_of(run->free.right) > max)
		max = max_of(run->free.right);
	run->free.max = max;
}

/* Splits a tree into the runs below pg and the runs above it. */
static void
split(struct pginfo *tree, const struct pginfo *pg, struct pginfo **low, struct pginfo **high)
{
	if (tree == NULL) {
		*low = *high = NULL;
	} else if (tree < pg) {
		split(tree->free.right, pg, &tree->free.right, high);
		update(tree);
		*low = tree;
	} else {
		split(tree->free.left, pg, low, &tree->free.left);
		update(tree);
		*high = tree;
	}
}

/* Joins two trees of which every run of the first lies below every run of the second. */
static struct pginfo *
join(struct pginfo *low, struct pginfo *high)
{
	if (low == NULL)
		return high;
	if (high == NULL)
		return low;
	if (priority(low) > priority(high)) {
		low->free.right = join(low->free.right, high);
		update(low);
		return low;
	}
	high->free.left = join(low, high->free.left);
	update(high);
	return high;
}

static struct pginfo *
insert(struct pginfo *tree, struct pginfo *run)
{
	if (tree == NULL || priority(run) > priority(tree)) {
		split(tree, run, &run->free.left, &run->free.right);
		update(run);
		return run;
	}
	if (run < tree)
		tree->free.left = insert(tree->free.left, run);
	else
		tree->free.right = insert(tree->free.right, run);
	update(tree);
	return tree;
}

static struct pginfo *
remove_from(struct pginfo *tree, struct pginfo *run)
{
	ASSERT(tree != NULL);
	if (tree == run)
		return join(tree->free.left, tree->free.right);
	if (run < tree)
		tree->free.left = remove_from(tree->free.left, run);
	else
		tree->free.right = remove_from(tree->free.right, run);
	update(tree);
	return tree;
}

void
pgfree_insert(struct pgfree_tree *t, struct pginfo *run)
{
	t->root = insert(t->root, run);
}

void
pgfree_remove(struct pgfree_tree *t, struct pginfo *run)
{
	t->root = remove_from(t->root, run);
	run->free.left = run->free.right = NULL;
}

struct pginfo *
pgfree_first_fit(const struct pgfree_tree *t, size_t npages)
{
	struct pginfo *run = t->root;

	if (max_of(run) < npages)
		return NULL;
	for (;;) {
		if (max_of(run->free.left) >= npages)
			run = run->free.left;
		else if (run->free.npages >= npages)
			return run;
		else
			run = run->free.right;
	}
}

struct pginfo *
pgfree_random_fit(const struct pgfree_tree *t, size_t npages, uint64_t random)
{
	struct pginfo *run = t->root;

	if (max_of(run) < npages)
		return NULL;
	for (;;) {
		bool here = run->free.npages >= npages;
		bool left = max_of(run->free.left) >= npages;
		bool right = max_of(run->free.right) >= npages;
		unsigned ways = (unsigned)here + left + right;
		unsigned way = (unsigned)(random % ways);

		/* Each way is as likely: of two runs, neither is what comes most of the time. */
		random /= ways;
		if (here && way-- == 0)
			return run;
		run = left && way == 0 ? run->free.left : run->free.right;
	}
}

struct pginfo *
pgfree_before(const struct pgfree_tree *t, const struct pginfo *pg)
{
	struct pginfo *best = NULL;

	for (struct pginfo *run = t->root; run != NULL;) {
		if (run < pg) {
			best = run;
			run = run->free.right;
		} else {
			run = run->free.left;
		}
	}
	return best;
}

struct pginfo *
pgfree_after(const struct pgfree_tree *t, const struct pginfo *pg)
{
	struct pginfo *best = NULL;

	for (struct pginfo *run = t->root; run != NULL;) {
		if (run > pg) {
			best = run;
			run = run->free.left;
		} else {
			run = run->free.right;
		}
	}
	return best;
}
