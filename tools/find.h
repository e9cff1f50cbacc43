/*
 * find.h: where the library's descriptor lies in a process or core.
 *
 * Looks at the memory itself and not for a symbol in files: so it works for a program that was
 * linked with the static library and stripped, for a library that was replaced since the program
 * started, and for a process in a container whose files are not here.
 */
#ifndef TOOLS_FIND_H
#define TOOLS_FIND_H

#include "target.h"

#include "phkmalloc_inspect.h"

/* False, with the target's status and why, when there is none that this command understands. */
bool find_descriptor(struct target *t, struct phkmalloc_descriptor *d);

#endif
