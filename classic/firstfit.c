/*
 * firstfit.c: first fit with boundary tags, in the manner of the allocators before 1996.
 *
 * The scheme of Knuth's section 2.5 (The Art of Computer Programming, volume 1: boundary tags,
 * algorithms A and C) and of the storage allocator in Kernighan and Ritchie's book, which most
 * Unix allocators of the time descend from: the whole heap is a row of blocks, each with its
 * size in front of it and behind it, and the free ones are on a list that runs through them.
 * malloc walks the list to the first block that is large enough and cuts off what it needs; free
 * looks at the tags on both sides and joins the block with free neighbours.
 *
 * It wastes little: 16 bytes a block and no rounding to speak of. What it costs is seen when
 * memory is short. The list visits every free block, wherever it is; to step over a block is to
 * read from its page. So a search touches all the memory that is NOT in use, and to free a
 * block touches it and both its neighbours. phkmalloc was written against that.
 *
 *	 tag                                                                        tag
 *	┌────────┬───────────────────────────────────────────────────────────────┬────────┐
 *	│ size|1 │ payload (aligned to 16)                                       │ size|1 │ in use
 *	├────────┼────────┬────────┬─────────────────────────────────────────────┼────────┤
 *	│ size   │ next   │ prev   │                                             │ size   │ free
 *	└────────┴────────┴────────┴─────────────────────────────────────────────┴────────┘
 *	 8 bytes
 *
 *	heap:  0|1 │ block │ block │ ... │ block │ 0|1        two tags in use at the ends, so that
 *	       └ the break's start                └ the break      no neighbour is ever missing
 *
 * Invariants, which check() walks:
 * B1  a block's two tags are the same, and its size a multiple of the unit, at least MIN;
 * B2  no two free blocks are neighbours;
 * B3  the blocks reach from the first tag to the last, which ends at the break;
 * B4  the list holds exactly the free blocks, and prev is the inverse of next;
 * B5  the list is in order of addresses, unless FIRSTFIT_ORDER=next;
 * B6  the rover is the list's head or on the list.
 *
 * How it errs: it believes every pointer. A second free, or a write past the end of a block,
 * ruins tags and list, and the program crashes later, elsewhere. Nothing is ever given back.
 *
 * The list is in order of addresses, and every search begins at its start. With
 * FIRSTFIT_ORDER=next in the environment a search goes on where the last one ended, as Knuth
 * advises and K&R do, and freed blocks are put in there, in no order: far fewer steps when there
 * are many small holes, and worse reuse.
 *
 * K&R's and Knuth's units are one header; here sizes are multiples of 16, as programs on x86-64
 * need payloads aligned to 16 (CLASSIC_ALIGN=8: of 8). memalign is an addition, and so is
 * growing in place. The lock is the shim's.
 */
#include "shim.h"

#include <string.h>

#define USED ((size_t)1)
#define TAG_NBYTES sizeof(size_t)
/* Tag, next, prev, tag: a block must be able to become free. */
#define MIN_NBYTES ((size_t)32)
/* Core is asked for in at least this much, as in K&R. */
#define CORE_NBYTES ((size_t)16384)

struct block {
	size_t tag;			/* bytes, tags included; and USED */
	struct block *next, *prev;	/* when free */
};

/* The list's head; only its links are used. */
static struct block free_list;
/* Searches begin after it: always the head, but for FIRSTFIT_ORDER=next. */
static struct block *rover = &free_list;
/* NULL until the first call. */
static struct block *first_block;
static size_t unit;
static bool next_fit;

static size_t
size_of(const struct block *b)
{
	return b->tag & ~USED;
}

static struct block *
block_at(void *p)
{
	return p;
}

static struct block *
block_of(void *payload)
{
	return block_at((char *)payload - TAG_NBYTES);
}

static void *
payload_of(struct block *b)
{
	return (char *)b + TAG_NBYTES;
}

static struct block *
right_of(struct block *b)
{
	return block_at((char *)b + size_of(b));
}

/* The tag behind the left neighbour is the word in front of this block. */
static size_t
left_tag(const struct block *b)
{
	return ((const size_t *)b)[-1];
}

static struct block *
left_of(struct block *b)
{
	return block_at((char *)b - left_tag(b));
}

static void
set_tags(struct block *b, size_t nbytes, size_t used)
{
	b->tag = nbytes | used;
	*(size_t *)((char *)b + nbytes - TAG_NBYTES) = nbytes | used;
}

static void
list_insert(struct block *b, struct block *after)
{
	b->next = after->next;
	b->prev = after;
	after->next = b;
	if (b->next != NULL)
		b->next->prev = b;
}

static void
list_remove(struct block *b)
{
	if (rover == b)
		rover = b->prev;
	b->prev->next = b->next;
	if (b->next != NULL)
		b->next->prev = b->prev;
}

/* Where in the list a block belongs that has no free neighbour: here is the long walk. */
static struct block *
list_place(const struct block *b)
{
	struct block *at = rover;

	if (!next_fit)
		while (at->next != NULL && at->next < b)
			at = at->next;
	return at;
}

static void
rove_to(struct block *b)
{
	if (next_fit)
		rover = b;
}

/*
 * Makes a block free and joins it with its neighbours. One that joins takes the neighbour's
 * place in the list, which keeps the order without a walk. Returns the block that it is now
 * part of.
 */
static struct block *
put(struct block *b)
{
	size_t nbytes = size_of(b);
	struct block *right = right_of(b);
	bool left_free = (left_tag(b) & USED) == 0;
	bool right_free = (right->tag & USED) == 0;

	if (right_free)
		nbytes += size_of(right);
	if (left_free) {
		struct block *left = left_of(b);

		if (right_free)
			list_remove(right);
		set_tags(left, size_of(left) + nbytes, 0);
		rove_to(left->prev);
		return left;
	}
	if (right_free) {
		struct block *before = right->prev;

		list_remove(right);
		list_insert(b, before);
	} else {
		list_insert(b, list_place(b));
	}
	set_tags(b, nbytes, 0);
	rove_to(b->prev);
	return b;
}

/* Two tags at the start of the heap, so arranged that payloads will be aligned. */
static bool
start(void)
{
	const char *order = shim_getenv("FIRSTFIT_ORDER");
	char *base = shim_sbrk(2 * TAG_NBYTES);

	if (base == NULL)
		return false;
	unit = shim_align();
	next_fit = order != NULL && strcmp(order, "next") == 0;
	*(size_t *)base = 0 | USED;
	first_block = block_at(base + TAG_NBYTES);
	first_block->tag = 0 | USED;
	return true;
}

/* A free block of at least nbytes at the end of the heap. The last tag moves up. */
static struct block *
more_core(size_t nbytes)
{
	struct block *b;
	char *end;

	if (nbytes < CORE_NBYTES)
		nbytes = CORE_NBYTES;
	end = shim_sbrk(nbytes);
	if (end == NULL)
		return NULL;
	b = block_at(end - TAG_NBYTES);
	set_tags(b, nbytes, USED);
	right_of(b)->tag = 0 | USED;
	return put(b);
}

/*
 * Gives the low end of a free block to the caller; the rest takes its place in the list. The
 * books cut from the high end, which spares the list the change: but then the rest of each
 * piece of core never meets the next piece, and programs that ask for 8 KB waste half of it.
 */
static void *
cut(struct block *b, size_t nbytes)
{
	size_t rest = size_of(b) - nbytes;
	struct block *before = b->prev;

	list_remove(b);
	rove_to(before);
	if (rest < MIN_NBYTES) {
		set_tags(b, size_of(b), USED);
		return payload_of(b);
	}
	set_tags(b, nbytes, USED);
	set_tags(right_of(b), rest, 0);
	list_insert(right_of(b), before);
	return payload_of(b);
}

/* The block for a request: tags and rounding. */
static size_t
block_nbytes(size_t nbytes)
{
	size_t n = (nbytes + 2 * TAG_NBYTES + unit - 1) & ~(unit - 1);

	return n < MIN_NBYTES ? MIN_NBYTES : n;
}

/* The first block after `from` that is large enough; NULL if there is none up to `last`. */
static struct block *
search(const struct block *from, const struct block *last, size_t nbytes)
{
	while (from != last && from->next != NULL) {
		from = from->next;
		if (from->tag >= nbytes)
			return block_at((void *)(uintptr_t)from);
	}
	return NULL;
}

static void *
firstfit_malloc(size_t nbytes)
{
	struct block *b;

	if (first_block == NULL && !start())
		return NULL;
	nbytes = block_nbytes(nbytes);
	b = search(rover, NULL, nbytes);
	if (b == NULL && rover != &free_list)
		b = search(&free_list, rover, nbytes);
	if (b == NULL)
		b = more_core(nbytes);
	return b == NULL ? NULL : cut(b, nbytes);
}

static void
firstfit_free(void *p)
{
	put(block_of(p));
}

static size_t
firstfit_usable(void *p)
{
	return size_of(block_of(p)) - 2 * TAG_NBYTES;
}

/* Frees what a block has beyond nbytes, if that is enough to be a block. */
static void
trim(struct block *b, size_t nbytes)
{
	size_t rest = size_of(b) - nbytes;

	if (rest < MIN_NBYTES)
		return;
	set_tags(b, nbytes, USED);
	set_tags(right_of(b), rest, USED);
	put(right_of(b));
}

/*
 * A block large enough to hold the request wherever the alignment falls; what is in front of
 * it becomes a block of its own, so it must be none or enough for one.
 */
static void *
firstfit_memalign(size_t alignment, size_t nbytes)
{
	size_t need, front;
	struct block *b, *aligned;
	char *p;

	if (first_block == NULL && !start())
		return NULL;
	if (alignment <= unit)
		return firstfit_malloc(nbytes);
	need = block_nbytes(nbytes);
	p = firstfit_malloc(need + alignment + MIN_NBYTES);
	if (p == NULL)
		return NULL;
	b = block_of(p);
	front = -(uintptr_t)p & (alignment - 1);
	while (front != 0 && front < MIN_NBYTES)
		front += alignment;
	if (front != 0) {
		size_t rest = size_of(b) - front;

		aligned = block_of(p + front);
		set_tags(b, front, USED);
		set_tags(aligned, rest, USED);
		put(b);
		b = aligned;
	}
	trim(b, need);
	return payload_of(b);
}

/* In place when the block, or it and its free right neighbour, is large enough. */
static void *
firstfit_realloc(void *p, size_t nbytes)
{
	struct block *b = block_of(p);
	struct block *right = right_of(b);
	size_t need = block_nbytes(nbytes);
	size_t had = firstfit_usable(p);
	void *to;

	if (size_of(b) < need && (right->tag & USED) == 0 &&
	    size_of(b) + size_of(right) >= need) {
		list_remove(right);
		set_tags(b, size_of(b) + size_of(right), USED);
	}
	if (size_of(b) >= need) {
		trim(b, need);
		return p;
	}
	to = firstfit_malloc(nbytes);
	if (to == NULL)
		return NULL;
	memcpy(to, p, had);
	firstfit_free(p);
	return to;
}

static size_t
broken(const char *invariant, const void *where)
{
	say("firstfit: %s is broken at %p\n", invariant, where);
	return 1;
}

/* The list alone: how many blocks it has. What is not in the heap is not looked into. */
static size_t
check_list(size_t *bad)
{
	const char *end = shim_break();
	const struct block *prev = &free_list;
	bool rover_seen = rover == &free_list;
	size_t n = 0;

	for (const struct block *b = free_list.next; b != NULL; prev = b, b = b->next, n++) {
		if (b < first_block || (const char *)b >= end) {
			*bad += broken("B4", b);
			break;
		}
		if (b->prev != prev || (b->tag & USED) != 0) {
			*bad += broken("B4", b);
			break;
		}
		if (!next_fit && prev != &free_list && prev > b)
			*bad += broken("B5", b);
		rover_seen |= rover == b;
	}
	if (!rover_seen)
		*bad += broken("B6", rover);
	return n;
}

static size_t
check(void)
{
	char *last = shim_break() - TAG_NBYTES;
	struct block *b = first_block;
	bool left_free = false;
	size_t nfree = 0, bad = 0;

	if (first_block == NULL)
		return 0;
	for (; (char *)b < last; b = right_of(b)) {
		bool is_free = (b->tag & USED) == 0;
		size_t nbytes = size_of(b);

		if (nbytes < MIN_NBYTES || nbytes % unit != 0 ||
		    nbytes > (size_t)(last - (char *)b) || left_tag(right_of(b)) != b->tag)
			return bad + broken("B1", b);
		if (is_free && left_free)
			bad += broken("B2", b);
		left_free = is_free;
		nfree += is_free;
	}
	if ((char *)b != last || b->tag != (0 | USED))
		bad += broken("B3", b);
	if (check_list(&bad) != nfree)
		bad += broken("B4", &free_list);
	return bad;
}

const struct allocator allocator = {
	.name = "firstfit",
	.malloc = firstfit_malloc,
	.free = firstfit_free,
	.realloc = firstfit_realloc,
	.memalign = firstfit_memalign,
	.usable = firstfit_usable,
	.check = check,
};
