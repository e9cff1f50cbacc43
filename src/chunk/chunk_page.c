/*
 * chunk_page.c: pages of chunks come and go; see chunk_page.h. Protected by being the owner, or by
 * the lock that lets the caller touch a parked or late owner; who gives spare pages of others back
 * touches no more than their owner words.
 */
#include "chunk/chunk_page.h"

#include "chunk/kept.h"
#include "os/env.h"
#include "os/lock.h"
#include "page/guard.h"
#include "page/page_alloc.h"

/* An owner that has not emptied a page for so long gives its spare ones up. */
#define SPARE_MS 500U

/* Pages that a thread has used up before it is taken to fill the next: 4 MiB. */
#define DENSE_VISITS 64U

/* When owners are looked at again, in milliseconds of the clock. */
static uint64_t spare_due;

/* Metadata of a page of the owner. */
static size_t
meta_nbytes(const struct owner *o, unsigned class_no)
{
	return size_class_meta_nbytes(class_no,
	    o->state == OWNER_SAMPLED ? CHUNK_SAMPLED_NBYTES : chunk_note_nbytes);
}

/* Makes an entry that is nobody's a page of chunks of the owner, with zeroed metadata. */
static void
page_init(struct owner *o, struct pginfo *pg, unsigned class_no, void *meta)
{
	const struct size_class *c = &size_classes[class_no];

	/* Pairs with the fence of chunk_word_emptied: who sees what follows sees it was nobody's. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	store_relaxed(&pg->bits, (uint64_t *)((char *)meta + PAGE_COUNTS_NBYTES));
	for (unsigned w = 0; w < c->nwords; w++)
		pg->bits[w] = ~(uint64_t)0;
	pg->chunk.nchunks = c->nchunks;
	pg->chunk.remote = c->remote;
	store_relaxed(&pg->chunk.class_no, (uint8_t)class_no);
	pg->chunk.state = PAGE_AVAIL;
	store_relaxed(&pg->recip, c->recip);
	/* Pairs with the acquire of a thread that frees remotely: the fields above are set. */
	store_release(&pg->owner, owner_word(o));
}

/* Takes the word of an entry over from one value; false when it has another by now. */
static bool
word_exchange(struct pginfo *pg, uintptr_t from, uintptr_t to)
{
	return __atomic_compare_exchange_n(&pg->owner, &from, to, false, __ATOMIC_SEQ_CST,
	    __ATOMIC_RELAXED);
}

/* Makes a spare page one of the class. False when it is spare no more, or there is no memory. */
static bool
spare_use(struct owner *o, struct pginfo *pg, unsigned class_no)
{
	uintptr_t word = (uintptr_t)o | PGINFO_SPARE;
	size_t had, nbytes;
	void *meta;

	if (load_relaxed(&pg->owner) != word)
		return false;
	if (pg->chunk.class_no == class_no) {
		if (!word_exchange(pg, word, (uintptr_t)o))
			return false;
		page_state_set(pg, PAGE_AVAIL);
		return true;
	}
	if (!word_exchange(pg, word, MALLOC_PAGE_MOVING))
		return false;
	had = meta_nbytes(o, pg->chunk.class_no);
	nbytes = meta_nbytes(o, class_no);
	meta = pages_meta_swap(page_counts(pg), had, nbytes);
	if (meta == NULL) {
		store_release(&pg->owner, word);
		return false;
	}
	page_init(o, pg, class_no, meta);
	return true;
}

/* Whether the page is still one that the owner keeps, though it may be pending. */
static bool
is_spare(const struct owner *o, const struct pginfo *pg)
{
	uintptr_t word = pg == NULL ? MALLOC_NOT_MINE : load_relaxed(&pg->owner);

	return owner_of_word(word) == o && (word & PGINFO_SPARE) != 0;
}

/* The spare page that was kept last, of the same class if there is one, or NULL. */
static struct pginfo *
spare_take(struct owner *o, unsigned class_no)
{
	for (int any = 0; any < 2; any++)
		for (unsigned i = SPARE_MAX; i-- > 0;) {
			struct pginfo *pg = o->spare[i];

			if (is_spare(o, pg) && (any || pg->chunk.class_no == class_no) &&
			    spare_use(o, pg, class_no)) {
				store_relaxed(&o->spare[i], NULL);
				return pg;
			}
		}
	return NULL;
}

struct pginfo *
chunk_page_new(struct owner *o, unsigned class_no)
{
	struct pginfo *pg = spare_take(o, class_no);
	void *meta;

	if (pg != NULL)
		return pg;
	if (o == owner_self)
		chunk_emptied_again(true);
	pg = page_take_for_chunks(meta_nbytes(o, class_no),
	    size_classes[class_no].size <= DENSE_MAX && o->nvisits >= DENSE_VISITS, &meta);
	if (pg != NULL)
		page_init(o, pg, class_no, meta);
	return pg;
}

bool
chunk_page_release(struct owner *o, struct pginfo *pg)
{
	if (UNLIKELY(chunk_keep))
		chunk_page_ends(pg);
	if (!word_exchange(pg, owner_word(o), MALLOC_PAGE_MOVING))
		return false;
	page_give_for_chunks(pg, page_counts(pg), meta_nbytes(o, pg->chunk.class_no));
	return true;
}

bool
chunk_spare_release(struct owner *o, struct pginfo *pg)
{
	if (!word_exchange(pg, (uintptr_t)o | PGINFO_SPARE, MALLOC_PAGE_MOVING))
		return false;
	page_give_for_chunks(pg, page_counts(pg), meta_nbytes(o, pg->chunk.class_no));
	return true;
}

bool
owner_release_spare(struct owner *o)
{
	bool any = false;

	for (unsigned i = 0; i < SPARE_MAX; i++) {
		struct pginfo *pg = load_relaxed(&o->spare[i]);

		any |= is_spare(o, pg) && chunk_spare_release(o, pg);
	}
	any |= kept_release(o);
	return any;
}

/* Those of owners that have been quiet since the last time, and of nobody while it is not due. */
static void
spare_decay(uint64_t now)
{
	uint64_t due = load_relaxed(&spare_due);

	if (now < due || !__atomic_compare_exchange_n(&spare_due, &due, now + SPARE_MS, false,
	    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	lock_take(LOCK_PARKED);
	for (struct owner *o = owner_list; o != NULL; o = o->next)
		if (load_relaxed(&o->spare_ms) + SPARE_MS < now)
			(void)owner_release_spare(o);
	lock_drop(LOCK_PARKED);
}

void
chunk_spare_used(struct owner *o)
{
	store_relaxed(&o->spare_ms, env_clock_ms());
	spare_decay(o->spare_ms);
}

bool
chunk_spare_put(struct owner *o, struct pginfo *pg)
{
	unsigned i = 0;

	/* Others act for owners with locks held. */
	if (o != owner_self || owner_tag != 0 || chunk_keep || page_traps)
		return false;
	chunk_spare_used(o);
	while (i < SPARE_MAX && is_spare(o, o->spare[i]))
		i++;
	if (i == SPARE_MAX)
		return false;
	page_state_set(pg, PAGE_SPARE);
	if (!word_exchange(pg, (uintptr_t)o, (uintptr_t)o | PGINFO_SPARE)) {
		page_state_set(pg, PAGE_AVAIL);
		return false;
	}
	store_relaxed(&o->spare[i], pg);
	return true;
}
