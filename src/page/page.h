/*
 * page.h: the words of the page layer, the page_dir entry, and how to get from an address to it.
 *
 *   page        64 KiB of user memory at a multiple of 64 KiB; the unit of page_dir.
 *               (An OS page, the kernel's, is what is meant when the text says OS page.)
 *   run         consecutive pages.
 *   pgfree      a free run; described by the page_dir entry of its first page.
 *   chunk       a part of a page; all chunks of a page have one size class.
 *   pginfo      the page_dir entry; for a page of chunks it describes the chunks.
 *   large       an allocation of whole pages.
 *   arena       one reservation of addresses and the page_dir for it.
 *
 *     arena   origin                                limit              origin + npages * 64 KiB
 *               | page 0 | page 1 | page 2 |  ...     |   PROT_NONE        |
 *     page_dir  | entry  | entry  | entry  |  ...     |   PROT_NONE        |   elsewhere
 *
 * page_dir is outside the pages it describes, and the pages themselves are never read or written
 * by the allocator. In 1996 an entry was MALLOC_NOT_MINE, MALLOC_FREE, MALLOC_FIRST, MALLOC_FOLLOW
 * or a pointer to a pginfo; here the entry is the pginfo, and its first word is one of those four
 * or the owner of a page of chunks.
 *
 * Invariants, walked by page_check():
 *   P1  limit <= npages * 64 KiB, and page_dir is readable for every page below limit.
 *   P2  From origin to limit, free runs, large runs and pages of chunks follow each other without
 *       gap or overlap.
 *   P3  A page that starts none of them has the entry MALLOC_NOT_MINE or MALLOC_FOLLOW.
 *   P4  Two free runs that are neighbours are one, but for a run that is lent (runs.h).
 *   P5  Each free run that is not lent is in the run tree once; the tree is ordered by address, and
 *       max is the longest run of the subtree.
 *   P6  ndirty of a free run is the number of dirty bits of its pages; the sums are page_layer's.
 */
#ifndef PHK_PAGE_H
#define PHK_PAGE_H

#include "base/base.h"

#define malloc_pageshift 16U
#define malloc_pagesize ((size_t)1 << malloc_pageshift)
#define malloc_pagemask (malloc_pagesize - 1)

/* What a page_dir entry says when it is not an owner. */
#define MALLOC_NOT_MINE 0U
#define MALLOC_FREE 1U
#define MALLOC_FIRST 2U
#define MALLOC_FOLLOW 3U
/* On its way between free and in use, in nobody's lists: one page, or a run of large.npages. */
#define MALLOC_PAGE_MOVING 4U
#define MALLOC_RUN_MOVING 5U
/* Free, and whoever exchanges this word has it: a run of large.npages that a thread keeps. */
#define MALLOC_RUN_KEPT 6U
/* Owners are aligned, so their low bits can carry flags: the page waits in its owner's inbox; */
#define PGINFO_PENDING 1U
/* the page must not become current, since another thread gives back memory in it. */
#define PGINFO_PURGING 4U
/* the page is empty, and whoever takes this flag away has it. */
#define PGINFO_SPARE 8U
/* (2 is the tag of owners whose options look at each allocation.) */
#define PGINFO_FLAGS 63U

/*
 * The entry of page_dir: one cache line.
 *
 *   0        8        16       24
 *   | owner  | bits   | recip  | by kind ................................ |
 *
 * The first 24 bytes mean the same in each kind: an entry whose first word is no owner has recip 0
 * and is never believed to hold chunks.
 */
struct pginfo {
	uintptr_t owner;      /* MALLOC_*, or struct owner * with PGINFO_PENDING; atomic */
	uint64_t *bits;       /* a bit for each chunk: 1 free; remote frees lie behind them */
	uint64_t recip;       /* 2^64 / chunk size, rounded up */
	union {
		struct {
			uint16_t nchunks;
			uint16_t remote;      /* words from bits to the remote bitmap */
			uint8_t class_no;
			uint8_t state;        /* enum page_state */
			struct pginfo *child; /* pairing heap of pages with free chunks */
			struct pginfo *next;
			struct pginfo *prev;
			struct pginfo *inbox_next;
		} chunk;
		struct {
			uint32_t npages;
			uint32_t ndirty;
			struct pginfo *left;
			struct pginfo *right;
			uint32_t max;
			const void *lent;     /* to the thread that asks the kernel about it, or NULL */
		} free;
		struct {
			uint32_t npages;
			bool moved;         /* its mapping was moved here by the kernel */
			uint8_t guard;      /* enum guard: no allocation, but a page that traps */
			bool concealed;     /* left out of core dumps, cleared when freed */
			bool canary;        /* a canary stands behind it */
			uint32_t start;     /* bytes from the page to the allocation, below 64 KiB */
			uint32_t allocated; /* stacks */
			uint32_t freed;
			uint8_t family;     /* enum family */
			size_t nbytes;      /* asked for */
			uint32_t sampled;   /* in the profile: its site, or 0 */
			uint32_t sampled_tenths;
		} large;
	};
} ALIGNED(CACHE_LINE);

_Static_assert(sizeof(struct pginfo) == CACHE_LINE, "free() finds the entry by shift and mask");

enum guard {
	GUARD_NONE,
	GUARD_IDLE,  /* it could not be made to trap: a page that nobody uses */
	GUARD_TRAPS,
};

struct arena {
	char *origin;
	size_t limit; /* bytes from origin that are committed; only grows */
	struct pginfo *page_dir;
	size_t npages;           /* reserved */
	uint64_t *dirty;         /* a bit for each page: may differ from zero */
	size_t page_dir_nbytes;  /* committed, likewise below */
	size_t dirty_nbytes;
	char *pool;              /* metadata of other kinds */
	size_t pool_size;
	size_t pool_nbytes;
	size_t pool_used;
	char *meta;              /* the whole reservation around page_dir, dirty and pool */
	size_t meta_nbytes;
} ALIGNED(CACHE_LINE);

#define ARENA_MAX 256U

/* arenas[0] is the one that fast paths know; others exist when it is full or had to be small. */
extern struct arena arenas[ARENA_MAX] HIDDEN;
extern unsigned arena_count HIDDEN;

/* Whether the entry begins a run of large.npages that is no allocation, and not in the tree. */
ALWAYS_INLINE bool
page_dir_is_idle(uintptr_t kind)
{
	return kind == MALLOC_RUN_MOVING || kind == MALLOC_RUN_KEPT;
}

/* Says what a page is. Page lock held, or the page is nobody's but the caller's. */
ALWAYS_INLINE void
page_dir_set(struct pginfo *pg, uintptr_t kind)
{
	/*
	 * Nobody may act on an entry that is no owner without the page lock, so the order of
	 * these stores matters only to a thread that passes a wrong pointer at this moment;
	 * with recip 0 it finds no chunk there. Release: pairs with the acquire of owner by who
	 * walks the heap, and finds the fields of this kind.
	 */
	store_relaxed(&pg->recip, 0);
	store_release(&pg->owner, kind);
}

/* Finds the entry of the page that contains p in the first arena; false when it is not there. */
ALWAYS_INLINE bool
page_dir_get(const void *p, struct pginfo **pg)
{
	size_t offset = (size_t)((uintptr_t)p - (uintptr_t)arenas[0].origin);

	if (UNLIKELY(offset >= load_once(&arenas[0].limit)))
		return false;
	*pg = (struct pginfo *)((char *)arenas[0].page_dir +
	    ((offset >> (malloc_pageshift - 6)) & ~(size_t)63));
	return true;
}

/* The same in any arena. */
struct pginfo *page_dir_find(const void *p);
/* The arena of an entry. */
struct arena *arena_of(const struct pginfo *pg);
/* The first byte of the page that an entry describes. */
char *page_address(const struct pginfo *pg);

#endif
