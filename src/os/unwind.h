/*
 * unwind.h: the return addresses above the caller.
 *
 * A walk over the stack by the unwind tables (cfi.h), and by frame pointers where there are none.
 * It reads the stack only where that is known not to trap, so it may be called on any stack, of
 * threads, signal handlers and coroutines, in whatever state it is: a stack that cannot be
 * understood gives fewer frames. Allocates nothing, takes no lock, leaves errno alone.
 */
#ifndef PHK_UNWIND_H
#define PHK_UNWIND_H

#include "base/base.h"

/* Before it there are no frames; again is harmless. First called in the program's first thread. */
void unwind_init(void);
/* Fills frames with the callers outside this library, innermost first; returns how many. */
unsigned unwind(void **frames, unsigned max);
/*
 * The file an address was loaded from and the offset in it; allocates nothing. False for code of
 * this library and for addresses that are in no file.
 */
bool unwind_module(void *address, const char **module, uintptr_t *offset);

#endif
