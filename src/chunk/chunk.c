/*
 * chunk.c: pages of chunks: where the next chunk comes from, and what happens to a page as its
 * chunks are freed; see chunk.h. Protected by being the owner, or by the lock that lets the
 * caller touch a parked or late owner. User memory is never touched.
 *
 *           chunk_page_new                    all taken
 *   (run) ------------------> PAGE_CURRENT ---------------> PAGE_FULL
 *     ^                            ^                            |
 *     |  the last chunk freed      | lowest when one is needed  | wake chunks freed
 *     +--------------------- PAGE_AVAIL <-----------------------+
 *
 * On its way back to the page layer an empty page may be PAGE_SPARE for a while (chunk_page.h).
 *
 * A full page sleeps until an eighth of it is free, so that malloc finds more than one chunk
 * when it comes and free does not move pages about for each chunk. countdown tells the time
 * without malloc having to count anything: no chunk is taken from a page that is not current.
 */
#include "chunk/chunk.h"

#include "chunk/chunk_page.h"
#include "chunk/pgheap.h"
#include "os/env.h"
#include "os/lock.h"
#include "page/page_alloc.h"

#include <string.h>

/*
 * A current page is not waited for, but now and then malloc's next one has to go the slow way: a
 * loop that uses one chunk again and again would never see that a profile was switched on.
 */
#define POKE 8192U
/* While much free memory is there a program looks sooner whether it still needs it. */
#define POKE_SOON 8U
uint32_t chunk_poke = POKE;
bool chunk_keep;
uint32_t chunk_note_nbytes;
/* Words of a new page that are used from one look at what is taken of it to the next. */
#define LOOK_NWORDS 8U
/* With POKE_SOON there are this many looks for each one that there would be with chunk_poke. */
#define LOOK_SHARE 8U

static void
countdown_set(struct owner *o, struct pginfo *pg, size_t n)
{
	struct page_counts *k = page_counts(pg);

	o->nfreed[pg->chunk.class_no] += (uint64_t)(k->started - k->countdown);
	k->started = k->countdown = (int16_t)n;
}

size_t
chunk_live(const struct pginfo *pg)
{
	const struct size_class *c = &size_classes[pg->chunk.class_no];
	size_t nfree = 0;

	for (unsigned w = 0; w < c->nwords; w++)
		nfree += count_bits(load_relaxed(&pg->bits[w]) &
		    ~chunk_none(c, w));
	return c->nchunks - nfree;
}

static void
slot_clear(struct slot *slot)
{
	slot->word = &owner_nothing;
	slot->none = 0;
	slot->page = NULL;
	slot->bits = &owner_nothing;
	slot->at = slot->end = 0;
}

/* Up to so many words are all counted, rather than found out which are worth it. */
#define COUNT_NWORDS 4U

/* Free chunks in the words below end of a page of the class. */
static size_t
count_free(const struct size_class *c, const uint64_t *bits, unsigned end)
{
	size_t n = 0;

	if (end <= COUNT_NWORDS) {
		for (unsigned w = 0; w < end; w++)
			n += count_bits(bits[w]);
		return n - (end == c->nwords ? count_bits(c->last_none) : 0);
	}
	for (unsigned w = 0; (w = chunk_word(bits, w, end)) < end; w++)
		n += count_bits(bits[w] & ~chunk_none(c, w));
	return n;
}

/* nfree chunks are free in the words up to the pass's end, exactly or at most. */
static NOINLINE void
pass_look(struct owner *o, const struct slot *slot, size_t nfree, bool exact)
{
	const struct size_class *c = &size_classes[slot->class_no];
	size_t upto = (size_t)slot->end * 64;

	if (!exact)
		nfree = count_free(c, slot->bits, slot->end);
	watch_look(o, slot->page, nfree + (upto < c->nchunks ? c->nchunks - upto : 0));
}

/*
 * At the end of a pass over the current page: starts the next one, and returns whether there is
 * one. A page is gone over again when enough was freed in it meanwhile. Else words at its end that
 * are wholly free come in, one at a time, so that a page is touched from its start on.
 */
static bool
pass_again(struct owner *o, struct slot *slot, size_t *nfree)
{
	const struct size_class *c = &size_classes[slot->class_no];
	int32_t countdown = page_counts(slot->page)->countdown;
	size_t freed = (size_t)(slot->pass_start - countdown);
	size_t enough = (size_t)slot->end * 64 / 8;

	if (enough > c->wake)
		enough = c->wake;
	/* What was freed may have been taken again, but no more than that is free. */
	*nfree = freed == 0 ? 0 : freed >= enough || slot->end == c->nwords ?
	    count_free(c, slot->bits, slot->end) : freed;
	/* Not after each word that comes in. */
	if (UNLIKELY(load_relaxed(&owner_watch.any) != 0) && (slot->end % LOOK_NWORDS == 0 ||
	    *nfree >= enough || slot->end == c->nwords))
		pass_look(o, slot, *nfree, freed == 0 || freed >= enough || slot->end == c->nwords);
	if (*nfree >= enough) {
		slot->pass_start = countdown;
		slot_set(slot, 0);
		return true;
	}
	if (slot->end == c->nwords)
		return false;
	slot_set(slot, slot->end++);
	return true;
}

/* --- pages come and go ------------------------------------------------------------------- */

static uint32_t
poke_count(void)
{
	return load_relaxed(&page_surplus) && chunk_poke > POKE_SOON ? POKE_SOON : chunk_poke;
}

/*
 * Frees of the current page until the next look: any number, so as to follow no loop's step. Where
 * looks are frequent for another reason, what is sampled is looked for in some of them only.
 */
static void
poke_set(struct owner *o, struct slot *slot)
{
	struct pginfo *pg = slot->page;
	int32_t before = page_counts(pg)->countdown;
	uint32_t n = poke_count();
	uint64_t r;

	if (LIKELY(load_relaxed(&owner_watch.any) == 0)) {
		countdown_set(o, pg, n);
	} else {
		r = env_random();
		if (n == chunk_poke || (uint32_t)(r >> 32) % chunk_poke < LOOK_SHARE * n)
			watch_look(o, pg, pg->chunk.nchunks - chunk_live(pg));
		countdown_set(o, pg, n / 2 + (uint32_t)r % n + 1);
		watch_moved(o, pg, page_counts(pg)->countdown - before);
	}
	slot->pass_start += page_counts(pg)->countdown - before;
}

void
chunk_hurry(struct owner *o)
{
	if (o->hurried || o == &owner_none)
		return;
	o->hurried = true;
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		if (o->slots[c].page != NULL)
			poke_set(o, &o->slots[c]);
}

/* There is free memory that the program may need no more. */
static void
look_after(const struct owner *o)
{
	page_tick();
	/* Who holds a lock for the owner leaves it to others. */
	if (load_relaxed(&page_rest) && o == owner_self)
		chunk_rest();
}

/* An available page in no list has no chunk in use: kept if it may be spare, else given back. */
static void
page_done(struct owner *o, struct pginfo *pg, bool spare)
{
	if ((!spare || !chunk_spare_put(o, pg)) && !chunk_page_release(o, pg))
		pgheap_insert(&o->slots[pg->chunk.class_no].avail, pg);
}

/* The same for one in its heap. */
static void
page_empty(struct owner *o, struct pginfo *pg, bool spare)
{
	pgheap_remove(&o->slots[pg->chunk.class_no].avail, pg);
	page_done(o, pg, spare);
	if (UNLIKELY(load_relaxed(&page_surplus)))
		chunk_hurry(o);
}

void
chunk_event(struct owner *o, struct pginfo *pg)
{
	const struct size_class *c = &size_classes[pg->chunk.class_no];
	struct slot *slot = &o->slots[pg->chunk.class_no];
	int nused;

	switch ((enum page_state)pg->chunk.state) {
	case PAGE_CURRENT:
		if (UNLIKELY(o->hurried))
			look_after(o);
		o->hurried = load_relaxed(&page_surplus);
		poke_set(o, slot);
		if (!o->hurried || o->alert) {
			slot->word = &owner_nothing;
			slot->none = 0;
		}
		return;
	case PAGE_FULL:
		page_state_set(pg, PAGE_AVAIL);
		pgheap_insert(&slot->avail, pg);
		/* wake chunks are free now, and those that countdown went below 0 by. */
		nused = c->nchunks - c->wake + page_counts(pg)->countdown;
		countdown_set(o, pg, (size_t)nused);
		break;
	case PAGE_AVAIL:
		ASSERT(page_counts(pg)->countdown == 0);
		countdown_set(o, pg, 0);
		break;
	case PAGE_SPARE:
		/* Pending when it should have been given back. */
		if (o->state != OWNER_LIVE)
			(void)chunk_spare_release(o, pg);
		return;
	}
	if (page_counts(pg)->countdown == 0)
		page_empty(o, pg, true);
}

/* Makes a page with free chunks, in no list, the one that malloc takes from. */
static void
page_make_current(struct owner *o, struct slot *slot, struct pginfo *pg)
{
	unsigned end = size_classes[slot->class_no].nwords;
	size_t nfree;

	/* Sequentially consistent: pairs with chunk_purge, which does the same the other way. */
	__atomic_store_n(&pg->chunk.state, PAGE_CURRENT, __ATOMIC_SEQ_CST);
	if (UNLIKELY((__atomic_load_n(&pg->owner, __ATOMIC_SEQ_CST) & PGINFO_PURGING) != 0)) {
		lock_take(LOCK_PURGE);
		lock_drop(LOCK_PURGE);
	}
	nfree = pg->chunk.nchunks - (size_t)page_counts(pg)->countdown;
	countdown_set(o, pg, poke_count());
	if (UNLIKELY(load_relaxed(&owner_watch.any) != 0)) {
		if (o->watch != NULL)
			o->watch->seen[slot->class_no] = WATCH_UNSEEN;
		watch_look(o, pg, nfree);
	}
	if (nfree == pg->chunk.nchunks)
		end = 1;
	while (end > 1 && load_relaxed(&pg->bits[end - 1]) == ~(uint64_t)0)
		end--;
	slot->page = pg;
	slot->bits = pg->bits;
	slot->base = page_address(pg);
	slot->pass_start = page_counts(pg)->countdown;
	slot->at = 0;
	slot->end = (uint8_t)end;
	slot_set(slot, 0);
}

/* A page with few free chunks is left alone until there are enough of them. */
static void
page_sleep(struct owner *o, struct slot *slot, size_t nfree)
{
	struct pginfo *pg = slot->page;

	ASSERT(nfree < size_classes[slot->class_no].wake);
	slot_clear(slot);
	page_state_set(pg, PAGE_FULL);
	countdown_set(o, pg, size_classes[slot->class_no].wake - nfree);
}

/* At the end of a pass: the next pass or another page. False when there is no memory. */
static NOINLINE bool
page_next(struct owner *o, struct slot *slot)
{
	struct pginfo *pg;
	size_t nfree = 0;

	if (UNLIKELY(++o->nvisits % COLLAPSE_VISITS == 0) && o == owner_self) {
		chunk_collapse(o->nvisits);
		chunk_emptied_again(false);
	}
	/* Late, so that many frees of other threads are collected at once. */
	if (load_relaxed(&o->inbox[slot->class_no]) != NULL)
		chunk_drain_class(o, slot->class_no);
	if (slot->page != NULL) {
		if (pass_again(o, slot, &nfree))
			return true;
		page_sleep(o, slot, nfree);
	}
	/* Before there is another page, those that others have emptied make room. */
	if (slot->avail == NULL && load_relaxed(&o->pushed))
		chunk_drain(o);
	pg = slot->avail;
	if (pg != NULL)
		pgheap_remove(&slot->avail, pg);
	else
		pg = owner_adopt(o, slot->class_no);
	if (pg == NULL)
		pg = chunk_page_new(o, slot->class_no);
	if (pg == NULL)
		return false;
	page_make_current(o, slot, pg);
	return true;
}

/* One of the allocations that are looked at: n bytes get a chunk of the class. */
static void
note_rounding(struct owner *o, unsigned class_no, size_t n)
{
	struct rounding *r = &o->rounding[class_no];

	r->nbytes += size_classes[class_no].size - (uint32_t)n;
	if (UNLIKELY(++r->nlooks == ROUNDING_LOOKS_MAX)) {
		r->nlooks /= 2;
		r->nbytes /= 2;
	}
}

/* When a sample of the class is due soon the next ones are to be asked about. */
static void
look_at_next(const struct owner *o, struct slot *slot)
{
	if (UNLIKELY(o->alert) && o->watch != NULL && o->watch->skip[slot->class_no] != 0) {
		slot->word = &owner_nothing;
		slot->none = 0;
	}
}

void *
chunk_take_next(struct owner *o, struct slot *slot, size_t n)
{
	void *chunk;

	note_rounding(o, slot->class_no, n);
	do
		if (!page_next(o, slot))
			return NULL;
	while (!chunk_take(slot, &chunk) && !chunk_advance(slot, &chunk));
	look_at_next(o, slot);
	return chunk;
}

void *
chunk_take_slow(struct owner *o, struct slot *slot, size_t n)
{
	void *chunk;

	if (UNLIKELY(load_relaxed(&page_surplus)))
		look_after(o);
	if (!chunk_advance(slot, &chunk))
		return chunk_take_next(o, slot, n);
	look_at_next(o, slot);
	return chunk;
}

/* One of the bits set in a word, each as likely as any other. */
static uint64_t
random_bit(uint64_t word, uint32_t random)
{
	for (unsigned n = (unsigned)((uint64_t)random * count_bits(word) >> 32); n > 0; n--)
		word &= word - 1;
	return lowest_bit(word);
}

void *
chunk_take_random(struct owner *o, struct slot *slot, size_t n, uint64_t random)
{
	const struct size_class *c = &size_classes[slot->class_no];
	unsigned first = (unsigned)((random >> 32) * c->nwords >> 32);
	const struct pginfo *pg = slot->page;
	void *p;
	size_t i;

	for (unsigned k = 0; pg != NULL && k < c->nwords; k++) {
		unsigned w = first + k < c->nwords ? first + k : first + k - c->nwords;
		uint64_t word = pg->bits[w] & ~chunk_none(c, w);

		if (word == 0)
			continue;
		i = random_bit(word, (uint32_t)random);
		store_relaxed(&pg->bits[w], pg->bits[w] & ~((uint64_t)1 << i));
		slot->end = (uint8_t)c->nwords;
		/* From the slot's word: modulo 2^64 it does not matter which way. */
		return slot->base + (((size_t)w - slot->at) * 64 + i) * slot->size;
	}
	p = chunk_take_slow(o, slot, n);
	if (p == NULL)
		return NULL;
	/* The page is one with room now: put back what was taken, and choose. */
	pg = slot->page;
	ASSERT(pg != NULL);
	(void)chunk_index(pg, p, &i);
	store_relaxed(&pg->bits[i / 64], pg->bits[i / 64] | (uint64_t)1 << (i % 64));
	return chunk_take_random(o, slot, n, random);
}

/* --- pages change hands ------------------------------------------------------------------ */

void
chunk_unlink(struct owner *o, struct pginfo *pg)
{
	if (pg->chunk.state == PAGE_AVAIL)
		pgheap_remove(&o->slots[pg->chunk.class_no].avail, pg);
}

void
chunk_link(struct owner *o, struct pginfo *pg)
{
	if (pg->chunk.state == PAGE_AVAIL)
		pgheap_insert(&o->slots[pg->chunk.class_no].avail, pg);
}

void
chunk_settle(struct owner *o, struct pginfo *pg, size_t live, bool spare)
{
	const struct size_class *c = &size_classes[pg->chunk.class_no];

	if (c->nchunks - live < c->wake) {
		page_state_set(pg, PAGE_FULL);
		countdown_set(o, pg, c->wake - (c->nchunks - live));
		return;
	}
	page_state_set(pg, PAGE_AVAIL);
	countdown_set(o, pg, live);
	if (live == 0)
		page_done(o, pg, spare);
	else
		pgheap_insert(&o->slots[pg->chunk.class_no].avail, pg);
}

void
chunk_retire_all(struct owner *o, bool spare)
{
	for (unsigned class_no = 0; class_no < CLASS_COUNT; class_no++) {
		const struct size_class *c = &size_classes[class_no];
		struct slot *slot = &o->slots[class_no];
		struct pginfo *pg = slot->page;
		size_t used, live;

		if (pg == NULL)
			continue;
		/* What is behind the end has not been used. */
		used = slot->end == c->nwords ? c->nchunks : (size_t)slot->end * 64;
		live = used - count_free(c, slot->bits, slot->end);
		if (UNLIKELY(load_relaxed(&owner_watch.any) != 0))
			watch_look(o, pg, c->nchunks - live);
		slot_clear(slot);
		chunk_settle(o, pg, live, spare);
	}
}

struct batch {
	unsigned n;
	struct pginfo *pages[32];
};

static void
find_empty(struct pginfo *pg, void *arg)
{
	struct batch *batch = arg;

	if (page_counts(pg)->countdown == 0 && (load_relaxed(&pg->owner) & PGINFO_PENDING) == 0 &&
	    batch->n < sizeof(batch->pages) / sizeof(batch->pages[0]))
		batch->pages[batch->n++] = pg;
}

bool
chunk_release_empty(struct owner *o)
{
	bool any = owner_release_spare(o);

	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		struct batch batch;

		batch.n = 0;
		pgheap_walk(o->slots[c].avail, find_empty, &batch);
		for (unsigned i = 0; i < batch.n; i++)
			page_empty(o, batch.pages[i], false);
		any |= batch.n != 0;
	}
	return any;
}
