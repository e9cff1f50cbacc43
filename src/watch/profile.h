/*
 * profile.h: which stacks the heap's bytes come from, by following a few allocations exactly.
 *
 * An allocation is sampled for every so many bytes on average. What is sampled is a chunk in a page
 * of its own owner (OWNER_SAMPLED), which every thread's free() meets on the slow path, or a large
 * allocation with a number in its entry: so the others cost nothing, and it is known of each
 * sample when it is freed. Samples are summed by stack and size in a table that tools read from
 * outside (phkmalloc_inspect.h); nothing here knows what a symbol is.
 *
 * Thread-safe; tables are protected by LOCK_SAMPLED, sums are atomic. A child of fork goes on with
 * what its parent had, as it does with the memory.
 */
#ifndef PHK_PROFILE_H
#define PHK_PROFILE_H

#include "chunk/owner.h"
#include "diag/fault.h"
#include "phkmalloc_inspect.h"

extern struct phkmalloc_profile profile;

/* A chunk of the class for n bytes that is a sample; NULL when it cannot be one. */
void *profile_alloc(size_t n, unsigned class_no, uint32_t weight);
/* Makes the new large allocation pg of n bytes one. */
void profile_large(struct pginfo *pg, size_t n);
/* A large allocation's note, taken out before it is freed, and what to do after it was. */
struct profile_note {
	uint32_t site;
	uint32_t weight;  /* samples that it stands for */
	uint32_t tenths;  /* of a second, from the profile's start to its allocation */
	uint32_t nbytes;  /* asked for, or UINT32_MAX when that is more */
};
void profile_gone(const struct profile_note *note, size_t nbytes);

/* Frees a chunk of a page of the sampled owner. */
enum ptr_fault profile_free(struct pginfo *pg, const void *p);
ALWAYS_INLINE bool
profile_has(uintptr_t owner_word)
{
	return owner_of_word(owner_word) == load_relaxed(&owner_sampled);
}
/* Gives back what pages of samples hold free in vain. */
bool profile_trim(void);

#endif
