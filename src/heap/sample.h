/*
 * sample.h: one allocation in so many stands at the end of an OS page of its own, with a page
 * that traps behind it, and traps itself once it is freed.
 *
 * So production finds overflows and uses after free, at a cost that the rate sets. The signal
 * handler says where the memory was allocated and freed and ends the process. The pages lie in a
 * reservation of their own. Thread-safe; the table is protected by LOCK_SAMPLE.
 */
#ifndef PHK_SAMPLE_H
#define PHK_SAMPLE_H

#include "chunk/owner.h"
#include "diag/fault.h"
#include "heap/careful.h"

/* Reserves the pages; once, in the constructor. */
void sample_init(void);
/* NULL when n or the alignment is too large or all pages are in use. */
void *sample_alloc(size_t n, size_t alignment);
/* Whether p is an address in the pages, used or not. */
bool sample_owns(const void *p);
/* Bytes asked for at p, the start of a sampled allocation in use; else a fault. */
enum ptr_fault sample_size(const void *p, size_t *nbytes);
enum ptr_fault sample_free(void *p, const char *func);
/* Adds the canaries of allocations in use that were written to. */
void sample_check(struct broken *b);
/* What tools read too (phkmalloc_inspect.h): changes with LOCK_SAMPLE held, each word at once. */
struct sample_counts {
	uint64_t nmalloc;
	uint64_t nfree;
	uint64_t live_nbytes; /* asked for, and in use */
};
extern struct sample_counts sample_counts HIDDEN;
/* Reports an access to the pages that trapped. */
void sample_trapped(void *address);
void sample_place(const void *p, struct place *place);

#endif
