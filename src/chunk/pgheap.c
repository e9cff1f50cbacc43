/*
 * pgheap.c: pairing heaps of pages; see pgheap.h.
 */
#include "chunk/pgheap.h"

/* Joins two heaps, neither of which has siblings. */
static struct pginfo *
meld(struct pginfo *a, struct pginfo *b)
{
	if (a == NULL)
		return b;
	if (b == NULL)
		return a;
	if (b < a) {
		struct pginfo *t = a;

		a = b;
		b = t;
	}
	b->chunk.prev = a;
	b->chunk.next = a->chunk.child;
	if (a->chunk.child != NULL)
		a->chunk.child->chunk.prev = b;
	a->chunk.child = b;
	a->chunk.next = a->chunk.prev = NULL;
	return a;
}

/* Joins a list of siblings to one heap: in pairs first, then the pairs from the last on. */
static struct pginfo *
meld_siblings(struct pginfo *list)
{
	struct pginfo *pairs = NULL, *root = NULL;

	while (list != NULL) {
		struct pginfo *a = list, *b = a->chunk.next, *pair;

		list = b == NULL ? NULL : b->chunk.next;
		a->chunk.next = a->chunk.prev = NULL;
		if (b != NULL)
			b->chunk.next = b->chunk.prev = NULL;
		pair = meld(a, b);
		pair->chunk.next = pairs;
		pairs = pair;
	}
	while (pairs != NULL) {
		struct pginfo *next = pairs->chunk.next;

		pairs->chunk.next = NULL;
		root = meld(root, pairs);
		pairs = next;
	}
	return root;
}

void
pgheap_insert(struct pginfo **root, struct pginfo *pg)
{
	pg->chunk.child = pg->chunk.next = pg->chunk.prev = NULL;
	*root = meld(*root, pg);
}

void
pgheap_remove(struct pginfo **root, struct pginfo *pg)
{
	struct pginfo *below = meld_siblings(pg->chunk.child);

	if (pg == *root) {
		*root = below;
	} else {
		struct pginfo *prev = pg->chunk.prev, *next = pg->chunk.next;

		if (prev->chunk.child == pg)
			prev->chunk.child = next;
		else
			prev->chunk.next = next;
		if (next != NULL)
			next->chunk.prev = prev;
		*root = meld(*root, below);
	}
	pg->chunk.child = pg->chunk.next = pg->chunk.prev = NULL;
}

size_t
pgheap_walk(struct pginfo *root, void (*visit)(struct pginfo *pg, void *arg), void *arg)
{
	size_t n = 0;
	struct pginfo *pg = root;

	/* Depth first without a stack: down to children, along siblings, back up by prev. */
	while (pg != NULL) {
		n++;
		visit(pg, arg);
		if (pg->chunk.child != NULL) {
			pg = pg->chunk.child;
			continue;
		}
		while (pg != NULL && pg != root && pg->chunk.next == NULL) {
			while (pg->chunk.prev != NULL && pg->chunk.prev->chunk.child != pg)
				pg = pg->chunk.prev;
			pg = pg->chunk.prev;
		}
		pg = pg == NULL || pg == root ? NULL : pg->chunk.next;
	}
	return n;
}
