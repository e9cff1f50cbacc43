/*
 * lock.h: a small lock on a futex: one word, no initialisation, no allocation.
 *
 * The locks of the library and the order they are taken in are the enum lock_rank; a thread never
 * takes a lock of a lower or equal rank than one it holds. fork takes them all in that order. A
 * signal handler that allocates while it interrupts malloc may come to do so: it is told and ends,
 * where it would wait for its own thread.
 */
#ifndef PHK_LOCK_H
#define PHK_LOCK_H

#include "base/base.h"

enum lock_rank {
	LOCK_INIT,   /* start of the heap, once */
	LOCK_SAMPLE, /* sampled allocations */
	LOCK_SAMPLED, /* the owner of what a profile follows, and the profile's tables */
	LOCK_LATE,   /* the owner that serves threads past their end */
	LOCK_PARKED, /* the list of owners, and all of an owner that has no thread */
	LOCK_PURGE,  /* one thread at a time gives back memory in pages of other threads */
	LOCK_GUARD,  /* freed memory is made to trap, or canaries and junk are read by the checker */
	LOCK_PAGE,   /* page_dir entries of free runs, the run tree, the metadata pool, arenas */
	LOCK_STACK,  /* the table of stacks */
	LOCK_TRACE,  /* a process's place in its trace */
	LOCK_COUNT,
};

/* Says that the library was called while its own thread was in it, and ends; in diag/. */
NORETURN COLD void lock_recursive(void);

/* How often threads had to wait for each; a hint. */
extern uint32_t lock_nwaits[LOCK_COUNT] HIDDEN;

void lock_take(enum lock_rank rank);
void lock_drop(enum lock_rank rank);
/* In the child of fork: the locks are as at start, whoever held them. */
void lock_reset_all(void);
void lock_take_all(void);
void lock_drop_all(void);

#endif
