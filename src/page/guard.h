/*
 * guard.h: pages that trap at each access: guards behind runs, and with page_traps free pages.
 *
 * Neither is a promise: where the kernel refuses, or would have to split too many mappings, the
 * pages do not trap. These functions take the locks that they need themselves.
 */
#ifndef PHK_GUARD_H
#define PHK_GUARD_H

#include "page/page.h"

/* Set before the first run is taken: each run is followed by a guard; free pages trap. */
extern bool page_guards;
extern bool page_traps;

/* Splits the last page off a run that nobody knows of yet, and makes it a guard. */
void guard_set(struct pginfo *first);
/*
 * A run of npages is to be given back, and has nobody else's. The pages to give back with it: its
 * guard, 1, which is part of it from here on, if it can be made usable again, else 0.
 */
size_t guard_clear(struct pginfo *first, size_t npages);
/* With page_traps, makes pages about to be given back trap; true when they are zero after that. */
bool guard_free(struct pginfo *first, size_t npages);

#endif
