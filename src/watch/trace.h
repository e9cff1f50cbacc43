/*
 * trace.h: every operation, written down in a file (option U).
 *
 * Records are written into the mapped file itself, so what was recorded is there whatever ends the
 * process; trace_format.h has their bytes. Each thread writes to a block of its own without a lock.
 * A child of fork goes on in the same file as a process of its own.
 *
 * Order. A record has a time of a counter that is the same for all threads, or of the clock. What
 * allocates takes it after the allocation, what frees before the memory is free. So of two records
 * of which one had to happen before the other, the first has not the later time, but for as much as
 * processors run ahead, which readers put right by the addresses.
 *
 * Thread-safe. With a full disk, or when nothing can be written for other reasons, that is said
 * once and the program goes on unrecorded. Called with no lock held.
 */
#ifndef PHK_TRACE_H
#define PHK_TRACE_H

#include "base/base.h"
#include "watch/trace_format.h"

/* At start, when the option is on: opens the file. */
void trace_init(void);
/* After p was allocated, NULL when it was not. */
void trace_alloc(enum trace_op op, const void *p, size_t n, size_t alignment);
/* Before p is freed. */
void trace_free(const void *p, enum trace_freed by);
/* Before p is resized: what trace_resized has to be given. */
uint64_t trace_resizing(void);
/* After p was resized to n bytes at `to`, NULL when it was not. */
void trace_resized(const void *p, const void *to, size_t n, uint64_t start);
/* At the end of the process, and in the child of fork. */
void trace_exit(void);
void trace_fork_child(void);

#endif
