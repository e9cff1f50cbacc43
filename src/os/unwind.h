/*
 * unwind.h: the return addresses above the caller.
 */
#ifndef PHK_UNWIND_H
#define PHK_UNWIND_H

#include "base/base.h"

/*
 * Fills frames with the callers outside this library, innermost first; returns how many, 0 when
 * the thread is in here already. The first call may allocate.
 */
unsigned unwind(void **frames, unsigned max);
/*
 * The file an address was loaded from and the offset in it; allocates nothing. False for code of
 * this library and for addresses that are in no file.
 */
bool unwind_module(void *address, const char **module, uintptr_t *offset);

#endif
