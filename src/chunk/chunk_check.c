/*
 * chunk_check.c: walks every page of chunks and checks C1 to C7 of owner.h.
 *
 * Pages of other live threads change under the walk, so of those only what never changes while
 * they exist is checked (C1, C2); all of it is checked for the caller's own and parked pages.
 */
#include "chunk/chunk.h"
#include "chunk/pgheap.h"
#include "os/env.h"
#include "os/lock.h"

/* How long a thread in the midst of a free may be put aside. */
#define AWAY_MS 1000U

typedef void (*complain_t)(const char *what, const void *where);

struct walk {
	complain_t complain;
	size_t broken;
	const struct owner *owner;
	unsigned class_no;
};

static void
expect(struct walk *k, bool right, const char *what, const void *where)
{
	if (right)
		return;
	k->broken++;
	k->complain(what, where);
}

/* C1 and C2, for any page; false when the rest makes no sense. */
static bool
check_shape(struct walk *k, const struct pginfo *pg)
{
	const struct size_class *c;
	uint64_t last, last_remote;

	expect(k, pg->chunk.class_no < CLASS_COUNT, "C1: no such size class", pg);
	if (pg->chunk.class_no >= CLASS_COUNT)
		return false;
	c = &size_classes[pg->chunk.class_no];
	expect(k, pg->recip == c->recip && pg->chunk.nchunks == c->nchunks,
	    "C1: reciprocal or count is not the class's", pg);
	last = load_relaxed(&pg->bits[c->nwords - 1]);
	last_remote = load_relaxed(&chunk_remote(pg)[c->nwords - 1]);
	expect(k, (last & c->last_none) == c->last_none, "C2: a chunk that does not exist", pg);
	expect(k, (last_remote & c->last_none) == 0, "C2: a remote chunk that does not exist", pg);
	return true;
}

/* A thread may be about to claim the page, for which it needs no lock that is held here. */
static bool
is_claimed(const struct pginfo *pg)
{
	for (unsigned ms = 0; (load_relaxed(&pg->owner) & PGINFO_PENDING) == 0; ms++) {
		if (ms == AWAY_MS)
			return false;
		env_sleep_ms(1);
	}
	return true;
}

/* C3, C4 and C6, for a page of an owner that stands still. */
static void
check_content(struct walk *k, const struct pginfo *pg)
{
	const struct size_class *c = &size_classes[pg->chunk.class_no];
	size_t live = chunk_live(pg);
	bool remote = false;

	for (unsigned w = 0; w < c->nwords; w++) {
		uint64_t freed = load_relaxed(&chunk_remote(pg)[w]);

		expect(k, (freed & pg->bits[w]) == 0, "C3: a chunk free twice", pg);
		remote |= freed != 0;
	}
	/* While not all was found again, a thread that fork did not copy may have been about to. */
	expect(k, !remote || load_relaxed(&owner_lost) || is_claimed(pg),
	    "C4: remote frees that nobody will collect", pg);
	if (pg->chunk.state == PAGE_AVAIL)
		expect(k, page_counts(pg)->countdown >= 0 && (size_t)page_counts(pg)->countdown == live,
		    "C6: countdown of an available page", pg);
	expect(k, (pg->chunk.state == PAGE_SPARE) ==
	    ((load_relaxed(&pg->owner) & PGINFO_SPARE) != 0) &&
	    (pg->chunk.state != PAGE_SPARE || live == 0), "C8: spare or not", pg);
	if (pg->chunk.state == PAGE_FULL)
		expect(k, page_counts(pg)->countdown > 0 &&
		    (size_t)page_counts(pg)->countdown + (c->nchunks - live) == c->wake,
		    "C6: countdown of a full page", pg);
}

static void
check_avail(struct pginfo *pg, void *arg)
{
	struct walk *k = arg;

	expect(k, pg->chunk.class_no == k->class_no && pg->chunk.state == PAGE_AVAIL &&
	    owner_of_word(load_relaxed(&pg->owner)) == k->owner, "C5: wrong page in a heap", pg);
}

/* C5, C7 and C9: the owner's lists; returns the pages in them. */
static size_t
check_owner(struct walk *k, struct owner *o)
{
	size_t n = 0;

	k->owner = o;
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		const struct slot *slot = &o->slots[c];
		const struct pginfo *pg = slot->page;

		k->class_no = c;
		n += pgheap_walk(slot->avail, check_avail, k);
		if (pg == NULL) {
			expect(k, slot->word == &owner_nothing, "C7: slot without page", slot);
			continue;
		}
		n++;
		expect(k, pg->chunk.state == PAGE_CURRENT && pg->chunk.class_no == c &&
		    owner_of_word(load_relaxed(&pg->owner)) == o, "C5: wrong current page", pg);
		expect(k, slot->word == &owner_nothing || (slot->word >= pg->bits &&
		    slot->word < pg->bits + size_classes[c].nwords), "C7: slot's word", slot);
		for (unsigned w = slot->end; w < size_classes[c].nwords; w++)
			expect(k, load_relaxed(&pg->bits[w]) == ~(uint64_t)0, "C9: slot's end", slot);
	}
	return n;
}

static bool
stands_still(const struct owner *o)
{
	int state = load_relaxed(&o->state);

	return o == owner_self || state == OWNER_PARKED;
}

size_t
chunk_check(complain_t complain)
{
	struct walk k = {.complain = complain};
	size_t listed = 0, seen = 0;

	lock_take(LOCK_PARKED);
	for (struct owner *o = owner_list; o != NULL; o = o->next)
		if (stands_still(o))
			listed += check_owner(&k, o);
	lock_take(LOCK_PAGE);
	for (unsigned i = 0; i < arena_count; i++) {
		struct pginfo *end = arenas[i].page_dir + (arenas[i].limit >> malloc_pageshift);

		for (struct pginfo *pg = arenas[i].page_dir; pg < end; pg++) {
			uintptr_t word = load_acquire(&pg->owner);

			if (!owner_is(word))
				continue;
			if (!check_shape(&k, pg) || !stands_still(owner_of_word(word)))
				continue;
			check_content(&k, pg);
			seen += pg->chunk.state == PAGE_CURRENT || pg->chunk.state == PAGE_AVAIL;
		}
	}
	expect(&k, seen == listed, "C5: pages in lists and in page_dir differ in number", &k);
	lock_drop(LOCK_PAGE);
	lock_drop(LOCK_PARKED);
	return k.broken;
}
