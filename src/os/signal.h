/*
 * signal.h: being told of accesses that trap.
 */
#ifndef PHK_SIGNAL_H
#define PHK_SIGNAL_H

#include "base/base.h"

/*
 * Calls handler with the address of each access that fails (SIGSEGV, SIGBUS), in the signal
 * handler. When it returns false, what the program had set for the signal happens. Once. hard is
 * as in vm_seal.
 */
void signal_trap(bool (*handler)(void *address), bool hard);

#endif
