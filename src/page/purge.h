/*
 * purge.h: what memory free pages may keep, and what pages get it before they are used. Within
 * page/ only; the page lock is held in each of these, and dropped around system calls.
 */
#ifndef PHK_PURGE_H
#define PHK_PURGE_H

#include "base/base.h"

/* page_layer.ndirty has become less, page_layer.nused more. */
void purge_saw_dirty(void);
void purge_saw_used(void);
/* Purges runs from the highest down until at most `keep` pages are dirty; true if any was. */
bool purge_down_to(size_t keep);
/* Applies the cap and the decay. */
void purge_due(void);
/*
 * Before a page for small chunks is taken from the lowest run. In a large heap such pages come in
 * blocks, each of which the kernel backs by one huge page at once: a third of the time of a fault
 * for each OS page, and less to look up for the processor. The block is about to be used in any
 * case, so at most one stands idle, and nothing becomes huge behind the program's back.
 */
void block_populate(void);

#endif
