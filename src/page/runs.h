/*
 * runs.h: runs of pages on their way between free and in use. Within page/ only; the page lock is
 * held in each of these.
 */
#ifndef PHK_RUNS_H
#define PHK_RUNS_H

#include "page/pgfree.h"

struct arena;

/* The free runs, by address. */
const struct pgfree_tree *page_tree(void);
/* Puts a run, of which ndirty pages are dirty, among the free ones as it is; and takes one out. */
void run_insert(struct pginfo *run, size_t npages, size_t ndirty);
void run_remove(struct pginfo *run);
/* Puts a run that is in no list among the free ones, joined with its neighbours. */
void run_give(struct pginfo *first, size_t npages, size_t ndirty);
/*
 * Marks a run that is in no list as lent to the calling thread, which is about to drop the page
 * lock and ask the kernel about its memory; and puts it among the free ones again.
 */
void run_lend(struct pginfo *first, size_t npages);
void run_return(struct pginfo *first, size_t ndirty);
/* In the child of fork: those that were lent to other threads are free, and may have memory. */
void runs_recover(void);
/* Cuts [at, at + npages) out of a free run and counts it as in use; returns its dirty pages. */
size_t run_cut(struct pginfo *run, struct pginfo *at, size_t npages);
/* Takes the lowest run that fits, from the kernel if there is none: MALLOC_FIRST, or NULL. */
struct pginfo *run_take(size_t npages, size_t align, size_t *ndirty);
/* The length of the free run that ends at the limit of an arena. */
size_t run_top(const struct arena *a);

#endif
