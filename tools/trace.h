/*
 * trace.h: what the subcommands that read traces share. These functions exit with a message when
 * there is nothing to go on with.
 */
#ifndef TOOLS_TRACE_H
#define TOOLS_TRACE_H

#include "trace_order.h"

/* Opens a trace; what cannot be read of it is said on standard error. */
void trace_need(struct trace_file *f, const char *path);
/*
 * The number of a process: the one given, or if that is 0 the largest with this pid, or if that is
 * 0 the largest.
 */
uint32_t trace_choose(const struct trace_file *f, const char *path, uint32_t process, int pid);

#endif
