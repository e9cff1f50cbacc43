/*
 * purge.h: what memory free pages may keep. Within page/ only; the page lock is held in
 * each of these, and dropped around system calls.
 */
#ifndef PHK_PURGE_H
#define PHK_PURGE_H

#include "base/base.h"

/* page_layer.ndirty has become less, page_layer.nused more. */
void purge_saw_dirty(void);
void purge_saw_used(void);
/* Purges runs from the highest down until at most `keep` pages are dirty; true if any was. */
bool purge_down_to(size_t keep);
/* Applies the cap and the decay, when so many pages have just been given back in one run. */
void purge_due(size_t npages);

#endif
