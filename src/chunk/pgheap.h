/*
 * pgheap.h: the pages of one class and owner that have free chunks, lowest address first.
 *
 * A pairing heap (Fredman, Sedgewick, Sleator and Tarjan, 1986) through the entries: inserting is
 * two stores, taking the lowest or any other is logarithmic on average. prev of a first child is
 * its parent, of others the sibling before. Whoever may touch the owner.
 */
#ifndef PHK_PGHEAP_H
#define PHK_PGHEAP_H

#include "page/page.h"

void pgheap_insert(struct pginfo **root, struct pginfo *pg);
void pgheap_remove(struct pginfo **root, struct pginfo *pg);
/* Visits every page of a heap; returns how many there are. */
size_t pgheap_walk(struct pginfo *root, void (*visit)(struct pginfo *pg, void *arg), void *arg);

#endif
