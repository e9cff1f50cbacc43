/*
 * next.h: the allocator that would serve the process without this one, for pointers that are its
 * (option O): those of libraries that reach it past us.
 */
#ifndef PHK_NEXT_H
#define PHK_NEXT_H

#include "base/base.h"

/*
 * Looks for it, once, in the constructor, never when a pointer is freed; false when there is none.
 * hard is as in vm_seal.
 */
bool next_init(bool hard);
/* Whether it was found. The others may be called then. */
bool next_is(void);
void next_free(void *p);
void *next_realloc(void *p, size_t n);
size_t next_usable(void *p);

#endif
