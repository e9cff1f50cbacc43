/*
 * core.h: the memory of a process that a core file kept; the other half of target.h.
 */
#ifndef TOOLS_CORE_H
#define TOOLS_CORE_H

#include "target.h"

/* True when all of it is in the core file, or in a file that was mapped there and never written. */
bool core_read(struct target *t, uint64_t address, void *to, size_t nbytes);

#endif
