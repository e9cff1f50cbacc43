/*
 * chunk.h: taking and freeing chunks: the two paths that programs spend their time in.
 *
 *   page      | chunk 0 | chunk 1 | chunk 2 | ...            | slack |
 *   counts    countdown, started
 *   bits      word 0: 64 chunks, word 1: the next 64 ...     1 = free
 *   remote    the same, freed by other threads and not yet collected
 *
 * bits is the only truth about a chunk, and is exact at any time: there is no cache of chunks
 * that are free and still marked in use. The functions with an owner argument may be called by
 * whoever may touch that owner (owner.h).
 */
#ifndef PHK_CHUNK_H
#define PHK_CHUNK_H

#include "chunk/owner.h"
#include "diag/fault.h"

/*
 * What the owner counts of a page, right before bits: in a line with them, and not in the entry,
 * which other threads read each time they free a chunk of the page.
 */
struct page_counts {
	int16_t countdown; /* frees until the owner has to look at the page */
	int16_t started;   /* what countdown was set to */
	uint32_t unused;
};

_Static_assert(sizeof(struct page_counts) == PAGE_COUNTS_NBYTES, "there is room for them");

ALWAYS_INLINE struct page_counts *
page_counts(const struct pginfo *pg)
{
	return (struct page_counts *)pg->bits - 1;
}

enum page_state {
	PAGE_CURRENT, /* malloc takes chunks from it; frees are not counted towards anything */
	PAGE_AVAIL,   /* in the heap of pages with free chunks; countdown ends when it is empty */
	PAGE_FULL,    /* too few free chunks; in no list; countdown ends when they are worth a visit */
	PAGE_SPARE,   /* empty and kept by the owner; its owner word has PGINFO_SPARE */
};

/*
 * Takes the lowest free chunk of the slot's word; false when the word has none.
 * Cache lines: the slot, the word. No atomic read-modify-write.
 */
ALWAYS_INLINE bool
chunk_take(struct slot *slot, void **chunk)
{
	uint64_t word = load_once(slot->word);

	if (UNLIKELY(word == slot->none))
		return false;
	store_relaxed(slot->word, word & (word - 1));
	*chunk = slot->base + lowest_bit(word) * slot->size;
	return true;
}

/* The bits of word w of a page of this class that stand for no chunk. */
ALWAYS_INLINE uint64_t
chunk_none(const struct size_class *c, unsigned w)
{
	return w + 1U == c->nwords ? c->last_none : 0;
}

/* The first word from w on, below end, that is not 0; end when there is none. */
ALWAYS_INLINE unsigned
chunk_word(const uint64_t *bits, unsigned w, unsigned end)
{
	/* Most words are used up when this is asked. */
	while (w + 4 <= end && (bits[w] | bits[w + 1] | bits[w + 2] | bits[w + 3]) == 0)
		w += 4;
	while (w < end && bits[w] == 0)
		w++;
	return w;
}

/* Points the slot to word w of its page. */
ALWAYS_INLINE void
slot_set(struct slot *slot, unsigned w)
{
	slot->word = &slot->bits[w];
	slot->none = chunk_none(&size_classes[slot->class_no], w);
	/* From where it is: modulo 2^64 it does not matter which way. */
	slot->base += ((size_t)w - slot->at) * 64 * slot->size;
	slot->at = (uint8_t)w;
}

/* Chunks at the start of a wholly free word that are asked for together. */
#define FETCH_COUNT 8U

/*
 * What was freed as a whole has mostly left the caches when it is used again, from one end to the
 * other. To ask for it is no access: where there is no memory it has no effect.
 */
ALWAYS_INLINE void
chunk_fetch(const struct slot *slot)
{
	if (load_once(slot->word) == ~(uint64_t)0)
		for (unsigned i = 0; i < FETCH_COUNT; i++)
			__builtin_prefetch(slot->base + i * slot->size, 1);
}

/* Takes a chunk of the pass's next word that has one; false at the end of the pass. */
ALWAYS_INLINE bool
chunk_advance(struct slot *slot, void **chunk)
{
	/* The slot's own word too: it may have been taken away so that this is called. */
	unsigned w = slot->at;

	/* Where many were freed at once the page starts over: its first part was used last. */
	if (UNLIKELY(slot->bits[0] == ~(uint64_t)0))
		w = 0;
	w = chunk_word(slot->bits, w, slot->end);

	if (w >= slot->end)
		return false;
	slot_set(slot, w);
	chunk_fetch(slot);
	return chunk_take(slot, chunk);
}

/* The chunk of a page that contains p: *index is its number. False when p is not its start. */
ALWAYS_INLINE bool
chunk_index(const struct pginfo *pg, const void *p, size_t *index)
{
	uint64_t recip = load_once(&pg->recip);
	/*
	 * Multiplying by the reciprocal gives the quotient in the high half, and a low half below
	 * the reciprocal exactly when there is no remainder (Lemire, Kaser and Kurz, 2019).
	 */
	uint64_t low;

	*index = multiply_high((uintptr_t)p & malloc_pagemask, recip, &low);
	return low < recip;
}

/* Frees in a current page until the class's next allocation is on the slow path; set at start. */
extern uint32_t chunk_poke;

/* What has to be done when countdown has reached 0 or less. */
NOINLINE void chunk_event(struct owner *o, struct pginfo *pg);

/*
 * Frees chunk i of a page that is the caller's own and not pending; false when it is free already,
 * or is none.
 */
ALWAYS_INLINE bool
chunk_put(struct owner *o, struct pginfo *pg, uint64_t i)
{
	uint64_t *bits = pg->bits, word = load_once(&bits[i / 64]);

	/* The bit of the slack behind the last chunk is always 1, so it ends here too. */
	if (UNLIKELY(set_bit(&word, i)))
		return false;
	store_relaxed(&bits[i / 64], word);
	if (UNLIKELY(--((struct page_counts *)bits - 1)->countdown == 0))
		chunk_event(o, pg);
	return true;
}

/*
 * Frees a chunk of the caller's own page; false when anything is out of the ordinary, and
 * nothing has changed then: chunk_free_slow finds out what.
 * Cache lines: the entry, the bitmap word. No atomic read-modify-write.
 */
ALWAYS_INLINE bool
chunk_free(struct owner *o, struct pginfo *pg, const void *p)
{
	uint64_t i;

	if (UNLIKELY(load_once(&pg->owner) != (uintptr_t)o))
		return false;
	if (UNLIKELY(!chunk_index(pg, p, &i)))
		return false;
	return chunk_put(o, pg, i);
}

/* The first remote free to a page since it was collected: somebody has to tell the owner. */
NOINLINE void chunk_page_push(struct owner *self, struct pginfo *pg);
/*
 * A word of the page is wholly free: when the others are too and the owner, which would release
 * the page, has not looked for long, the memory goes back in its place; else perhaps later, see
 * chunk_emptied_again.
 */
NOINLINE void chunk_word_emptied(struct pginfo *pg);

/*
 * Frees chunk i of a page whose owner word was `word`: of another thread's page, or of the
 * caller's own while that is pending, so that the remote bitmap has its say too. False when the
 * chunk is free. One atomic read-modify-write for a remote free, unless the page has to be pushed.
 */
ALWAYS_INLINE bool
chunk_free_at(struct owner *self, struct pginfo *pg, uintptr_t word, size_t i)
{
	uint64_t *at = &pg->bits[i / 64], *remote = at + pg->chunk.remote;
	uint64_t bit = (uint64_t)1 << (i % 64), bits = load_relaxed(at);

	if (UNLIKELY((bits & bit) != 0))
		return false;
	if (owner_of_word(word) == self) {
		if (UNLIKELY((load_relaxed(remote) & bit) != 0))
			return false;
		store_relaxed(at, bits | bit);
		if (UNLIKELY(--page_counts(pg)->countdown <= 0))
			chunk_event(self, pg);
		return true;
	}
	if (UNLIKELY((__atomic_fetch_or(remote, bit, __ATOMIC_SEQ_CST) & bit) != 0))
		return false;
	if (UNLIKELY((__atomic_load_n(&pg->owner, __ATOMIC_SEQ_CST) & PGINFO_PENDING) == 0))
		chunk_page_push(self, pg);
	else if (UNLIKELY((bits | load_relaxed(remote)) == ~(uint64_t)0))
		chunk_word_emptied(pg);
	return true;
}

/*
 * Frees a chunk that chunk_free did not, when nothing but the owner is out of the ordinary; else
 * false, and nothing has changed.
 */
ALWAYS_INLINE bool
chunk_free_other(struct owner *self, struct pginfo *pg, const void *p)
{
	/* Acquire: pairs with the release in page_init, so the fields of the page are there. */
	uintptr_t word = load_acquire(&pg->owner);
	size_t i;

	if (UNLIKELY((word & (PGINFO_FLAGS ^ PGINFO_PENDING)) != 0) ||
	    UNLIKELY(!owner_is(word)) || UNLIKELY(!chunk_index(pg, p, &i)))
		return false;
	return chunk_free_at(self, pg, word, i);
}

/* Takes a chunk for n bytes when the slot's word has none left. NULL when there is no memory. */
NOINLINE void *chunk_take_slow(struct owner *o, struct slot *slot, size_t n);
/* The same when chunk_advance has just found that the pass is over. */
NOINLINE void *chunk_take_next(struct owner *o, struct slot *slot, size_t n);

/* Takes any free chunk of the class's current page, chosen by random bits. */
void *chunk_take_random(struct owner *o, struct slot *slot, size_t n, uint64_t random);

/* Frees a chunk by any thread, in a page of chunks. */
enum ptr_fault chunk_free_slow(struct owner *o, struct pginfo *pg, const void *p);

/* Whether p is the start of a chunk in use; the page is one of chunks. */
enum ptr_fault chunk_verify(const struct pginfo *pg, const void *p);
/* The chunk around any address in a page of chunks, for messages. */
void chunk_place(const struct pginfo *pg, const void *p, struct place *place);

ALWAYS_INLINE size_t
chunk_size(const struct pginfo *pg)
{
	return size_classes[pg->chunk.class_no].size;
}

ALWAYS_INLINE uint64_t *
chunk_remote(const struct pginfo *pg)
{
	return pg->bits + pg->chunk.remote;
}

/* What options, or a profile, note of the chunks of a page. */
ALWAYS_INLINE void *
chunk_notes(const struct pginfo *pg)
{
	return (char *)pg->bits + size_class_bitmaps_nbytes(pg->chunk.class_no);
}

/* Chunks of the page not free in bits; exact for whoever may touch the owner. */
size_t chunk_live(const struct pginfo *pg);

/* Collects the frees of other threads, of all classes or one. */
void chunk_drain(struct owner *o);
void chunk_drain_class(struct owner *o, unsigned class_no);
/* Much of what is free is backed by memory: the owner looks after it from now on, see page_tick. */
void chunk_hurry(struct owner *o);
/* Gives up the owner's current pages: each becomes available, full, spare if so, or is released. */
void chunk_retire_all(struct owner *o, bool spare);
/* Takes a page that changes hands out of its owner's heap, or puts it into the new one's. */
void chunk_unlink(struct owner *o, struct pginfo *pg);
void chunk_link(struct owner *o, struct pginfo *pg);
/* Releases all empty pages that are available; true when there were any. */
bool chunk_release_empty(struct owner *o);
/* Bytes of metadata beside each chunk for the notes of options, set at start, and of a profile. */
extern uint32_t chunk_note_nbytes;
#define CHUNK_SAMPLED_NBYTES 16U
/* Set at start when free chunks hold junk that is checked later: their memory stays then, */
extern bool chunk_keep;
/* and a page that is given back is looked at for the last time. Provided by heap/. */
void chunk_page_ends(struct pginfo *pg);

/*
 * Gives the OS pages of a page back that hold no chunk in use; by any thread, for any entry.
 * True when there were any. The caller holds no lock from LOCK_PURGE on.
 */
bool chunk_purge(struct pginfo *pg);
/* The same for the owner's current pages, which only who may touch the owner can do. */
bool chunk_purge_current(struct owner *o);

/* Walks every page of chunks and checks C1 to C9; see page_check. */
size_t chunk_check(void (*complain)(const char *what, const void *where));

#endif
