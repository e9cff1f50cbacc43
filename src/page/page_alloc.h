/*
 * page_alloc.h: runs of pages, taken and given back: the lowest run that is long enough.
 *
 * Thread-safe: these functions take the page lock themselves, and ask the kernel for nothing
 * while they hold it except more committed memory. Pages are never read or written here.
 */
#ifndef PHK_PAGE_ALLOC_H
#define PHK_PAGE_ALLOC_H

#include "os/vm.h"
#include "page/page.h"

/*
 * Set before the first run is taken: the run that fits is chosen at random; and what part of the
 * pages in use may be cached. See also guard.h.
 */
extern bool page_random;
extern int page_cache_shift;
/*
 * Set at start when blocks of pages may be huge pages: those for small chunks come so, see
 * block.c, or become so, see collapse.c.
 */
extern bool page_blocks;
#define BLOCK_NPAGES (VM_HUGE_NBYTES / malloc_pagesize)
/*
 * Much of what is free is backed by memory: who takes chunks on a slow path then calls page_tick,
 * which gives back what nobody needed meanwhile. Set under the page lock, read as a hint.
 */
extern bool page_surplus HIDDEN;
NOINLINE COLD void page_tick(void);
/*
 * Set when for a whole interval no memory came or went: the program is at rest, and memory inside
 * pages of chunks can go back, too. page_surplus stays until somebody tells that this is over.
 */
extern bool page_rest HIDDEN;
void page_rest_over(void);

/* Figures of the page layer, in pages unless said otherwise; read them under the page lock. */
struct page_layer {
	size_t nfree;     /* in free runs */
	size_t ndirty;    /* in free runs, and perhaps still backed by memory */
	size_t nused;     /* large and pages of chunks */
	size_t nused_max; /* the most there ever were */
	size_t npurged;   /* ever given back to the kernel */
	size_t nlarge;    /* large allocations */
	size_t large_npages;
};
extern struct page_layer page_layer;

/*
 * Takes npages whose first page is a multiple of align pages. The entry of the first is
 * MALLOC_FIRST with large.npages set, of the others MALLOC_FOLLOW. *zero tells whether every byte
 * is known to be zero. NULL when the kernel gives no more.
 */
struct pginfo *pages_take(size_t npages, size_t align, bool *zero);
/* A run that is nobody's but the caller's becomes a large allocation that nothing is known of. */
void run_reset(struct pginfo *first, size_t npages);
/* Gives a run back: n entries from first, which is MALLOC_FIRST. */
void pages_give(struct pginfo *first, size_t npages);
/* The same for pages that were taken and never written, or are zero again. */
void pages_give_clean(struct pginfo *first, size_t npages);
/* Makes a large run longer in place by the start of the free run behind it. */
bool pages_grow(struct pginfo *first, size_t more, bool *zero);
/* Makes a large run shorter in place. */
void pages_shrink(struct pginfo *first, size_t npages);
/* Gives the memory of all free runs back to the kernel; true when there was any. */
bool pages_trim(void);

/*
 * A page for chunks with nbytes of zeroed metadata, in one step: MALLOC_PAGE_MOVING until the
 * caller makes it its own. dense: every OS page of it is likely to be written. NULL when there is
 * no memory. And back: the entry is MALLOC_PAGE_MOVING again.
 */
struct pginfo *page_take_for_chunks(size_t nbytes, bool dense, void **meta);
void page_give_for_chunks(struct pginfo *pg, void *meta, size_t nbytes);

/*
 * Gives half of the free pages at the end of each arena up, so that what they are charged can be
 * had for other things; true when there were any.
 */
bool pages_decommit(void);

/* In the child of fork: runs that other threads had in hand just then are free, too. */
void pages_after_fork(void);

/* Metadata with the page lock taken here; see meta_take. */
void *pages_meta_take(size_t nbytes);
void pages_meta_give(void *p, size_t nbytes);
/* Takes nbytes and gives the old ones back; NULL when there are none, and old stays. */
void *pages_meta_swap(void *old, size_t old_nbytes, size_t nbytes);

/*
 * Walks every arena and the run tree and checks P1 to P6. Returns the number of broken
 * invariants, each said to complain.
 */
size_t page_check(void (*complain)(const char *what, const void *where));

#endif
