/*
 * phk1996.h: phkmalloc as it stood in August 1996 (OpenBSD malloc.c revision 1.4), written
 * afresh from descriptions of its behaviour. phk1996.c is the allocator, phk1996_talk.c all
 * that it says (warnings, option letters, dump) and the checker. Protected by the shim's lock.
 *
 * Poul-Henning Kamp's idea: on a machine with virtual memory the cost of an allocator is the
 * pages it touches, not the instructions it runs. So what is known about memory is kept away
 * from it. A directory, in memory of its own, says of every page what it is; a free run of pages
 * is described by a record elsewhere, and a page of chunks by a bitmap. To free memory is not
 * to touch it, and every pointer that comes back can be checked before it is believed.
 *
 *	heap          │ page │ page │ page │ page │ page │ ...                │
 *	              └ the first break                                       └ malloc_brk
 *	page_dir   [0 .. 11]  [12]  [13]   [14]   ...    [last_index]  [..] up to malloc_ninfo
 *	            │          MALLOC_NOT_MINE   beyond the break
 *	            │          MALLOC_FREE       part of a free run
 *	            │          MALLOC_FIRST      first page of an allocation of whole pages
 *	            │          MALLOC_FOLLOW     its other pages
 *	            │          struct pginfo *   cut into chunks
 *	            └ slot k: list of the pages of 2^k-byte chunks that have a free one
 *
 * Records and bitmaps are got "as with malloc", from the heap itself. A bitmap lies in the very
 * page that it describes where it would not take more than two of its chunks (16 to 64 bytes
 * here): for those sizes the idea fails, as to free a chunk touches its page.
 *
 * Free runs and pages of chunks are kept in order of addresses and taken lowest first, so that
 * the end of the heap drains; when more than malloc_cache is free there, the break is lowered.
 *
 * Invariants, which phk1996_check() walks:
 * P1  malloc_brk is the break; MALLOC_NOT_MINE are all entries above it, and none below;
 * P2  MALLOC_FOLLOW comes only after MALLOC_FIRST or MALLOC_FOLLOW;
 * P3  the free runs are in order of addresses, with something between any two, and cover
 *     exactly the MALLOC_FREE pages;
 * P4  a pginfo stands at its own page's index, and `free` is the number of bits set. All of
 *     them only if no chunk was used yet: the last one's free gives the page back;
 * P5  a page of chunks is in its list exactly when it has a free one, in order of addresses;
 * P6  there is a spare pgfree, so that a free never needs memory.
 *
 * Known defects of the revision, corrected here, and named where that is:
 * D1  sizes near SIZE_MAX wrapped round to 0 pages         D2  unknown option: read address 1
 * D3  option Z wrote to NULL when memory was out           D4  ran on 32-bit machines only
 * D5  lowered break: stale entries left in the directory   D6  options in set-uid programs
 * D7  internal functions exported: the build exports       D8  a page lost when memory was out
 *     libc's names only                                    D9  option D after fatal errors only
 * D10 not safe with threads: the shim's lock
 * Also: D11 lists not quite in the order meant; D12 the place of an in-page pginfo could be
 * freed; D13 a free could need memory; D14 a break raised in vain stayed raised.
 *
 * Added: memalign, malloc_usable_size. The break is the shim's emulation. Payloads are aligned
 * to 16, or their size, as they always were: CLASSIC_ALIGN changes nothing here.
 */
#ifndef CLASSIC_PHK1996_H
#define CLASSIC_PHK1996_H

#include "shim.h"

/* What a page_dir entry can be; above them all, it is a pginfo. */
#define MALLOC_NOT_MINE ((struct pginfo *)0)
#define MALLOC_FREE ((struct pginfo *)1)
#define MALLOC_FIRST ((struct pginfo *)2)
#define MALLOC_FOLLOW ((struct pginfo *)3)
#define MALLOC_MAGIC ((struct pginfo *)4)

#define MALLOC_BITS 32			/* in a word of bits[] */
#define MALLOC_MINSIZE 16

/* A page of chunks: lies in that page, or in a chunk elsewhere. */
struct pginfo {
	struct pginfo *next;		/* in page_dir[shift]'s list */
	char *page;
	uint16_t size;			/* of a chunk */
	uint16_t shift;
	uint16_t free;
	uint16_t total;			/* without those that the pginfo itself takes */
	uint32_t bits[];		/* 1 for a free chunk */
};

/* A run of free pages: a chunk of the heap. */
struct pgfree {
	struct pgfree *next, *prev;
	char *page, *end;
	size_t size;			/* bytes */
};

extern size_t malloc_pagesize, malloc_pageshift, malloc_pagemask, malloc_maxsize;
extern size_t malloc_origo;		/* page number of index 0 */
extern size_t malloc_ninfo;		/* slots in page_dir */
extern size_t last_index;		/* of the last page below the break */
extern struct pginfo **page_dir;
extern char *malloc_brk;
extern struct pgfree free_list;		/* the list's head */
extern struct pgfree *px;		/* spare records */
extern bool malloc_started;

static inline size_t
ptr2index(const void *ptr)
{
	return ((uintptr_t)ptr >> malloc_pageshift) - malloc_origo;
}

static inline char *
index2ptr(size_t index)
{
	return (char *)((index + malloc_origo) << malloc_pageshift);
}

/* ---- phk1996_talk.c ---- */

/* The letters A D J R Z of MALLOC_OPTIONS, set by malloc_options(). */
extern bool malloc_abort, malloc_stats, malloc_junk, malloc_realloc, malloc_zero;
extern bool suicide;			/* dying of a fatal error */

/* Every way in which a pointer can be wrong. */
enum fault { FINE, NEVER_CALLED, TOO_LOW, TOO_HIGH, FREE_PAGE, WRONG_PAGE, MODIFIED_PAGE,
	MODIFIED_CHUNK, FREE_CHUNK };

void malloc_options(const char *options);
_Noreturn void wrterror(const char *text);	/* says it and aborts */
void wrtwarning_free(enum fault fault);		/* says it; aborts with option A */
void wrtwarning_realloc(enum fault fault);
void malloc_dump(void);
void phk1996_finish(void);
size_t phk1996_check(void);

#endif
