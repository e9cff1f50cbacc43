/*
 * kingsley.c: Chris Kingsley's allocator (Caltech 1982, 4.2BSD), written afresh.
 *
 * The allocator that BSD systems came with until 1996. A request is rounded up, with its
 * header, to a power of two; every power of two has a list of free blocks, last in first out;
 * malloc takes the first one, free puts it back. Nothing is ever split, joined, moved between
 * lists or given back to the system. That makes it fast, by a survey of its time nearly twice
 * as fast as the next, and wasteful: half the memory when programs ask for powers of two, and
 * what one size needed at its peak is lost for all others.
 *
 * The lists run through the free memory. So whoever frees writes to each block, and whoever
 * cuts up a new page writes to all of it: with more data than memory, each is a page fault.
 *
 * A block, H bytes of header and the rest for the program:
 *
 *	block                       payload, H bytes on
 *	 │ (H = 16: 8 bytes unused)  │
 *	 ├─────────────┬─────────────┼───────────────────────────────── ... ──┐
 *	 │             │ struct      │                                        │
 *	 │             │ header      │                                        │
 *	 └─────────────┴─────────────┴───────────────────────────────── ... ──┘
 *	                in use:  magic 0xef, bucket, distance (memalign)
 *	                free:    next header of the list, over the same bytes
 *
 *	next_free[k] ──> header ──> header ──> NULL       blocks of 8 << k bytes, k = 2, 3, ...
 *
 * From the size of a page on, a block is 8 << k bytes and one page more: so that a program
 * that asks for a power of two, as many do, gets on with the next smaller bucket.
 *
 * Invariants, which check() walks:
 * K1  a listed header lies in the heap, and its payload is aligned;
 * K2  a listed header is not in use: its first byte is not the magic one;
 * K3  of a bucket's blocks, made = listed + in use; in particular no list has a loop.
 *
 * How it errs: a pointer whose header has no magic is ignored without a word. That hides double
 * frees (the list's link has overwritten the magic) and frees of static data, and did so in
 * Unix for a decade.
 *
 * What differs from the original: H is 16, because programs on x86-64 need payloads aligned to
 * 16 (CLASSIC_ALIGN=8 gives the original's header, a word); memalign, which it had not; a
 * failed realloc keeps the block (the original freed it first); none of its debugging options.
 * The lock is the shim's.
 */
#include "shim.h"

#include <string.h>

#define MAGIC 0xef
#define NBUCKETS 48
/* How far into each list realloc looks for a block that was freed already. */
#define REALLOC_SEARCH 4

struct header {
	union {
		struct header *next;
		struct {
			uint8_t magic;
			uint8_t bucket;
			/*
			 * After memalign: the payload is this many times 8 bytes above the
			 * place where the block's own payload would be.
			 */
			uint32_t distance;
		};
	};
};
_Static_assert(sizeof(struct header) == 8, "one word, at every alignment");

static struct header *next_free[NBUCKETS];
/* For check() only. */
static size_t nmade[NBUCKETS], nused[NBUCKETS];
/* 0 until the first call. */
static size_t page_nbytes;
static size_t header_nbytes;
static const char *heap;		/* where it starts */

static struct header *
header_of(void *p)
{
	return (struct header *)p - 1;
}

static bool
in_use(const struct header *h)
{
	return h->magic == MAGIC && h->bucket < NBUCKETS;
}

static size_t
block_nbytes(unsigned k)
{
	size_t n = (size_t)8 << k;

	return n < page_nbytes ? n : n + page_nbytes;
}

/* What a program can have of a block. */
static size_t
room(unsigned k)
{
	return block_nbytes(k) - header_nbytes;
}

static unsigned
bucket_for(size_t nbytes)
{
	unsigned k = 0;

	while (block_nbytes(k) < nbytes + header_nbytes)
		k++;
	return k;
}

static void
start(void)
{
	page_nbytes = shim_pagesize();
	header_nbytes = shim_align();
	heap = shim_break();
}

/* Fills an empty list: with a page full of blocks, or with one large block. */
static bool
more_core(unsigned k)
{
	size_t each = block_nbytes(k);
	size_t nbytes = each < page_nbytes ? page_nbytes : each;
	char *base = shim_sbrk(nbytes);

	if (base == NULL)
		return false;
	for (size_t at = 0; at < nbytes; at += each) {
		struct header *h = header_of(base + at + header_nbytes);

		h->next = at + each < nbytes ? header_of(base + at + each + header_nbytes) : NULL;
		nmade[k]++;
	}
	next_free[k] = header_of(base + header_nbytes);
	return true;
}

static void *
kingsley_malloc(size_t nbytes)
{
	struct header *h;
	unsigned k;

	if (page_nbytes == 0)
		start();
	k = bucket_for(nbytes);
	if (k >= NBUCKETS || (next_free[k] == NULL && !more_core(k)))
		return NULL;
	h = next_free[k];
	next_free[k] = h->next;
	nused[k]++;
	h->magic = MAGIC;
	h->bucket = (uint8_t)k;
	h->distance = 0;
	return h + 1;
}

/*
 * Only the block's own header can go on a list; the second one that memalign made is wiped, as
 * the list's link wipes the first one's magic.
 */
static void
kingsley_free(void *p)
{
	struct header *h = header_of(p);
	unsigned k = h->bucket;

	if (!in_use(h))
		return;
	if (h->distance != 0) {
		struct header *own = h - h->distance;

		h->magic = 0;
		h = own;
	}
	h->next = next_free[k];
	next_free[k] = h;
	nused[k]--;
}

/*
 * Room for the alignment in front, and a second header before the aligned payload that tells
 * how far the block's own one is.
 */
static void *
kingsley_memalign(size_t alignment, size_t nbytes)
{
	char *base = kingsley_malloc(alignment <= shim_align() ? nbytes : nbytes + alignment);
	struct header *h;
	size_t distance;

	if (base == NULL || alignment <= shim_align())
		return base;
	distance = -(uintptr_t)base & (alignment - 1);
	if (distance == 0)
		return base;
	if (distance / 8 > UINT32_MAX) {
		kingsley_free(base);
		return NULL;
	}
	h = header_of(base + distance);
	h->magic = MAGIC;
	h->bucket = header_of(base)->bucket;
	h->distance = (uint32_t)(distance / 8);
	return h + 1;
}

static size_t
kingsley_usable(void *p)
{
	const struct header *h = header_of(p);

	return in_use(h) ? room(h->bucket) - (size_t)h->distance * 8 : 0;
}

/* What a block can hold that is free, but near the front of its list. False if none is that. */
static bool
listed_room(const struct header *wanted, size_t *nbytes)
{
	for (unsigned k = 0; k < NBUCKETS; k++) {
		const struct header *h = next_free[k];

		for (int i = 0; h != NULL && i < REALLOC_SEARCH; i++, h = h->next)
			if (h == wanted) {
				*nbytes = room(k);
				return true;
			}
	}
	return false;
}

/*
 * "Storage compaction": V7 programs freed a block and gave it to realloc afterwards, relying on
 * its contents, to have their data moved together. So a block that was freed a moment ago is
 * taken too. It stays listed, and may be what malloc returns: then nothing is to be copied.
 */
static void *
kingsley_realloc(void *p, size_t nbytes)
{
	struct header *h = header_of(p);
	bool was_in_use = in_use(h);
	size_t had = was_in_use ? kingsley_usable(p) : 0;
	void *to;

	if (!was_in_use && !listed_room(h, &had))
		return NULL;
	/* Stays unless it would not fit, or a smaller block would do. */
	if (was_in_use && nbytes <= had && bucket_for(nbytes) == h->bucket)
		return p;
	to = kingsley_malloc(nbytes);
	if (to == NULL || to == p)
		return to;
	memcpy(to, p, had < nbytes ? had : nbytes);
	if (was_in_use)
		kingsley_free(p);
	return to;
}

static size_t
broken(const char *invariant, unsigned k)
{
	say("kingsley: %s is broken in bucket %zu\n", invariant, (size_t)k);
	return 1;
}

static size_t
check(void)
{
	const char *end = shim_break();
	size_t bad = 0;

	for (unsigned k = 0; k < NBUCKETS; k++) {
		const struct header *h = next_free[k];
		size_t nlisted = 0;

		for (; h != NULL && nlisted <= nmade[k]; h = h->next, nlisted++) {
			uintptr_t payload = (uintptr_t)(h + 1);

			if ((const char *)h < heap || (const char *)h >= end ||
			    payload % header_nbytes != 0) {
				bad += broken("K1", k);
				break;	/* its link is nobody's */
			}
			if (h->magic == MAGIC)
				bad += broken("K2", k);
		}
		if (nmade[k] != nlisted + nused[k])
			bad += broken("K3", k);
	}
	return bad;
}

const struct allocator allocator = {
	.name = "kingsley",
	.malloc = kingsley_malloc,
	.free = kingsley_free,
	.realloc = kingsley_realloc,
	.memalign = kingsley_memalign,
	.usable = kingsley_usable,
	.check = check,
};
