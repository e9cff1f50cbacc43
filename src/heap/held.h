/*
 * held.h: freed memory that is held back before it may be used again (option F).
 *
 * A ring for each owner, in the order of being freed, used by its thread alone. All of them
 * together hold opt.delay_nbytes_max, and at least HELD_NBYTES_MIN each. Addresses only: nothing
 * here looks at the memory.
 */
#ifndef PHK_HELD_H
#define PHK_HELD_H

#include "chunk/owner.h"

#define HELD_NBYTES_MIN ((size_t)64 << 10)

/* Holds p back, which counts as nbytes. False when there is no room for it. */
bool held_put(struct owner *o, void *p, size_t nbytes);
/* Takes the longest held out when there are more than `keep` bytes, or no room; else NULL. */
void *held_take(struct owner *o, size_t keep);
/* Bytes that the owner may hold. */
size_t held_limit(void);

#endif
