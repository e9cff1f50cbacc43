/*
 * arena.h: reservations of addresses, and memory for metadata.
 *
 * An arena is as large as the limits of the process leave room for, from 1 TiB down. Pages and
 * metadata are committed in steps, never all at once. All functions: page lock held.
 */
#ifndef PHK_ARENA_H
#define PHK_ARENA_H

#include "page/page.h"

/* Adds an arena with room for npages at least; NULL when there is no address space for it. */
struct arena *arena_add(size_t npages);
/*
 * Commits npages more at the limit of an arena, and the metadata for them. False when the kernel
 * refuses or the reservation ends there; nothing has changed then.
 */
bool arena_commit(struct arena *a, size_t npages);

/* Gives npages up to the limit back to the kernel for good, limit and charge with them. */
bool arena_decommit(struct arena *a, size_t npages);

/*
 * Metadata, zeroed, aligned to a cache line, never given back to the kernel; nbytes is at most
 * 128 KiB. NULL when there is none. meta_give keeps it for the next meta_take of the same size.
 */
void *meta_take(size_t nbytes);
void meta_give(void *p, size_t nbytes);

/* Bytes committed for metadata in all arenas. */
size_t meta_committed(void);

#endif
