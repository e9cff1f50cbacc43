/*
 * pgfree.h: the tree of free runs, ordered by address.
 *
 * A treap (Seidel and Aragon, 1996): a search tree by address that is a heap by a hash of the
 * address, so its depth is logarithmic whatever the order of calls. Each node knows the longest
 * run below it, so the lowest run that is long enough is found in one descent; the 1996 list of
 * free runs, also in address order, was walked. The nodes are the page_dir entries of the runs'
 * first pages. Page lock held in all functions.
 */
#ifndef PHK_PGFREE_H
#define PHK_PGFREE_H

#include "page/page.h"

struct pgfree_tree {
	struct pginfo *root;
};

void pgfree_insert(struct pgfree_tree *t, struct pginfo *run);
void pgfree_remove(struct pgfree_tree *t, struct pginfo *run);
/* The lowest run of at least npages, or NULL. */
struct pginfo *pgfree_first_fit(const struct pgfree_tree *t, size_t npages);
/* Any run of at least npages, chosen by random bits. */
struct pginfo *pgfree_random_fit(const struct pgfree_tree *t, size_t npages, uint64_t random);
/* The nearest run below pg, and the nearest above; NULL when there is none. */
struct pginfo *pgfree_before(const struct pgfree_tree *t, const struct pginfo *pg);
struct pginfo *pgfree_after(const struct pgfree_tree *t, const struct pginfo *pg);

#endif
