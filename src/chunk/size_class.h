/*
 * size_class.h: the sizes of chunks.
 *
 * Steps of 16 bytes up to 128, then four sizes to each doubling, up to malloc_maxsize:
 *
 *   class   0  1  2 .. 7   |  8   9  10  11 | 12  13  14  15 | ..  39
 *   bytes  16 32 48 .. 128 | 160 192 224 256| 320 384 448 512| ..  32768
 *
 * A request is rounded up by less than a fifth of what it gets above 128 bytes, by 8 bytes on
 * average below. Each size is a multiple of 16, and a power of two divides the page, so chunks
 * are aligned to 16 bytes, and chunks of a power of two to their size. Pure functions and a
 * constant table that a unit test compares with the formulas.
 */
#ifndef PHK_SIZE_CLASS_H
#define PHK_SIZE_CLASS_H

#include "base/base.h"

#define malloc_minsize ((size_t)16)
#define malloc_maxsize ((size_t)32768)
#define CLASS_COUNT 40U
#define CLASS_NONE CLASS_COUNT
/* Requests up to this find their slot by an index of 16-byte steps. */
#define CLASS_DIRECT_MAX ((size_t)1024)
#define CLASS_DIRECT_COUNT (CLASS_DIRECT_MAX / 16 + 1)

/* Before the bitmaps of a page stands what its owner counts of it. */
#define PAGE_COUNTS_NBYTES sizeof(uint64_t)

struct size_class {
	uint64_t recip;      /* 2^64 / size, rounded up */
	uint32_t size;       /* bytes of a chunk */
	uint16_t nchunks;    /* in a page */
	uint16_t nwords;     /* of the bitmap */
	uint16_t remote;     /* words from bits to the remote bitmap: on other lines, or all on one */
	uint16_t wake;       /* free chunks for which a full page is visited again */
	uint64_t last_none;  /* bits of the last word that stand for no chunk */
};

extern const struct size_class size_classes[CLASS_COUNT] HIDDEN;

/* The class of the smallest chunk for n bytes; n is at most malloc_maxsize. */
ALWAYS_INLINE unsigned
size_class_of(size_t n)
{
	size_t last;
	unsigned e;

	if (n <= 128)
		return n == 0 ? 0 : (unsigned)((n - 1) >> 4);
	last = n - 1;
	e = log2_floor(last);
	return 8 + (e - 7) * 4 + (unsigned)(last >> (e - 2) & 3);
}

/* The class for n bytes at a multiple of alignment, or CLASS_NONE when only pages will do. */
unsigned size_class_aligned(size_t n, size_t alignment);

/* Bytes from a page's bits to what lies behind both bitmaps, which is aligned to 16 bytes. */
ALWAYS_INLINE size_t
size_class_bitmaps_nbytes(unsigned class_no)
{
	const struct size_class *c = &size_classes[class_no];

	return round_up(((size_t)c->remote + c->nwords) * sizeof(uint64_t) + PAGE_COUNTS_NBYTES, 16) -
	    PAGE_COUNTS_NBYTES;
}

/* Bytes of metadata for a page of this class, with so many for the notes of each chunk. */
ALWAYS_INLINE size_t
size_class_meta_nbytes(unsigned class_no, size_t note_nbytes)
{
	return PAGE_COUNTS_NBYTES + size_class_bitmaps_nbytes(class_no) +
	    size_classes[class_no].nchunks * note_nbytes;
}

#endif
