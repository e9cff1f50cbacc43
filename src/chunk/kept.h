/*
 * kept.h: runs of pages that a thread keeps, for its next large allocations of the same length.
 *
 * Without it each of them takes the page lock twice, and threads that go on at once pass the lines
 * of the run tree to and fro. So it is done where threads have met there lately. A kept run has
 * the entry MALLOC_RUN_KEPT: its memory is free, and who exchanges that word has it: its thread, to
 * use it again, or any thread, to give it back. What owner.kept says is a hint and may be out of
 * date; the run may even be kept by another by now. Pages are never read or written here.
 */
#ifndef PHK_KEPT_H
#define PHK_KEPT_H

#include "chunk/owner.h"

/* A run of npages, as pages_take gives one; NULL when none is kept. The caller's owner. */
struct pginfo *kept_take(struct owner *o, size_t npages);
/* Keeps a run that is MALLOC_RUN_MOVING; false when that is not to be. The caller's owner. */
bool kept_put(struct owner *o, struct pginfo *pg);
/* Gives back what an owner keeps; any thread, for any owner. True when there was any. */
bool kept_release(struct owner *o);

#endif
