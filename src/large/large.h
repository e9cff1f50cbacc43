/*
 * large.h: allocations of whole pages: what is larger than malloc_maxsize, or aligned to more.
 *
 * Thread-safe. A large allocation starts at its first page, whose page_dir entry describes it,
 * so its pointer is a multiple of 64 KiB and nothing else is a valid one.
 */
#ifndef PHK_LARGE_H
#define PHK_LARGE_H

#include "diag/fault.h"
#include "page/page.h"

/*
 * Pages for n bytes at a multiple of alignment, a power of two. *zero tells whether they are
 * known to be zero. NULL when there is no memory.
 */
void *malloc_pages(size_t n, size_t alignment, bool *zero);
/* pg is the entry of the page that contains p and is MALLOC_FIRST. */
enum ptr_fault large_free(struct pginfo *pg, const void *p);
/* The two halves of it: from the first on the pointer is one to free pages. */
enum ptr_fault large_claim(struct pginfo *pg, const void *p);
void large_release(struct pginfo *pg);
enum ptr_fault large_verify(const struct pginfo *pg, const void *p);
/* Clears concealed memory, which is dumped again then; for others nothing. */
void large_forget(struct pginfo *pg);
/* What a message says of a large allocation, in use or claimed. */
void large_place(const struct pginfo *pg, struct place *place);
/* Bytes up to the end of the pages. */
size_t large_usable(const struct pginfo *pg);
/*
 * Makes a large allocation hold n bytes, n above malloc_maxsize: in place, or by letting the
 * kernel move its pages. NULL when neither can be done: nothing has changed then.
 */
void *large_resize(struct pginfo *pg, void *p, size_t n);

/* Operations so far, of threads without an owner; see owner.h for the others. */
extern uint64_t large_nmalloc;
extern uint64_t large_nfree;

#endif
