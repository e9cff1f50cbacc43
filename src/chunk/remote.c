/*
 * remote.c: frees by threads that do not own the page, without a lock.
 *
 * A remote free sets the chunk's bit in the page's remote bitmap: one atomic read-modify-write
 * in the common case. The first to do so since the owner last looked sets PGINFO_PENDING and
 * pushes the page on the owner's inbox of the class, a list that many threads push to and one
 * drains: late, when it needs another page, so that there are many frees in each page by then.
 *
 * Orders. Both sides store first and load second, so all four are sequentially consistent:
 *   freeing thread   or into remote (R1), then read PGINFO_PENDING (R2)
 *   owner            clear PGINFO_PENDING (O1), then read remote (O2)
 * If R2 sees it still set, R1 is before O1 and O2 finds the bit; else the thread pushes the page.
 * test/model has this as a state machine.
 *
 * A page whose owner sleeps stays on the inbox, but when all of it is free its memory goes back,
 * at once or, since who slept for a moment only may go on, some 50 milliseconds later.
 */
#include "chunk/chunk.h"
#include "chunk/chunk_page.h"

#include "os/env.h"

/* An owner that has not drained its inbox for so long may be waiting for something. */
#define ASLEEP_MS 50U
/* The same when there is memory to be taken from the kernel otherwise. */
#define DROWSY_MS 5U
/* Pages a thread pushes on others' inboxes until it looks at its own. */
#define PUSHES 64U

/*
 * Pages that were emptied before their owner was known to be asleep, which are looked at again
 * later: 16 MiB, so that this takes no more than some milliseconds. One more takes the place of
 * the oldest. No lock: they are hints.
 */
#define EMPTIED_MAX 256U
static struct pginfo *emptied[EMPTIED_MAX];
static unsigned nemptied; /* since they were looked at last */
static uint64_t emptied_ms; /* when that was */

/* Pushes a page whose PGINFO_PENDING the caller has just set. */
static void
inbox_push(struct owner *o, struct pginfo *pg, unsigned class_no)
{
	struct pginfo **inbox = &o->inbox[class_no];
	struct pginfo *head = load_relaxed(inbox);

	do
		pg->chunk.inbox_next = head;
	/* Release: pairs with the exchange in chunk_drain_class, which reads inbox_next. */
	while (!__atomic_compare_exchange_n(inbox, &head, pg, true, __ATOMIC_SEQ_CST,
	    __ATOMIC_RELAXED));
	/* Sequentially consistent, with the owner's store: who finds it set has pushed in time. */
	if (!__atomic_load_n(&o->pushed, __ATOMIC_SEQ_CST))
		store_relaxed(&o->pushed, true);
}

/* Claims the page for the caller to push: the owner to push to, or NULL when another does. */
static struct owner *
claim(struct pginfo *pg)
{
	uintptr_t word = __atomic_load_n(&pg->owner, __ATOMIC_SEQ_CST);

	do {
		/*
		 * No owner any more: the bit was collected by others' claim and the page was
		 * empty after it.
		 */
		if (!owner_is(word) || (word & PGINFO_PENDING) != 0)
			return NULL;
	} while (!__atomic_compare_exchange_n(&pg->owner, &word, word | PGINFO_PENDING, false,
	    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return owner_of_word(word);
}

/* Whether all chunks of a page of the class are free, in one bitmap or the other. */
static bool
is_empty(const struct size_class *c, const uint64_t *bits)
{
	/* The last word first: frees often go from one end to the other. */
	for (unsigned k = 0, w = c->nwords - 1U; k < c->nwords; w = k++)
		if ((load_relaxed(&bits[w]) | load_relaxed(&bits[c->remote + w])) != ~(uint64_t)0)
			return false;
	return true;
}

/* Of a page whose owner has not looked for so long the memory goes back. */
static void
word_emptied(struct pginfo *pg, uint64_t asleep_ms)
{
	uintptr_t owner = load_acquire(&pg->owner);
	uint64_t *bits = load_relaxed(&pg->bits);
	unsigned class_no = load_relaxed(&pg->chunk.class_no);

	/*
	 * Between the loads the page may have been given back, and its entry be something else.
	 * Pairs with the fence in page_init.
	 */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (!owner_is(owner) || class_no >= CLASS_COUNT || load_relaxed(&pg->owner) != owner ||
	    (owner & PGINFO_PENDING) == 0 || !is_empty(&size_classes[class_no], bits))
		return;
	if (env_clock_ms() - load_relaxed(&owner_of_word(owner)->drained_ms) >= asleep_ms)
		(void)chunk_purge(pg);
	else
		store_relaxed(&emptied[__atomic_fetch_add(&nemptied, 1, __ATOMIC_RELAXED) %
		    EMPTIED_MAX], pg);
}

void
chunk_word_emptied(struct pginfo *pg)
{
	word_emptied(pg, ASLEEP_MS);
}

void
chunk_emptied_again(bool growing)
{
	uint64_t now, last = load_relaxed(&emptied_ms), ms = growing ? DROWSY_MS : ASLEEP_MS;

	if (load_relaxed(&nemptied) == 0)
		return;
	now = env_clock_ms();
	if (now < last + ms || !__atomic_compare_exchange_n(&emptied_ms, &last, now, false,
	    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	/* First: those that are still empty, and their owners not known to be asleep, come back. */
	store_relaxed(&nemptied, 0);
	for (unsigned i = 0; i < EMPTIED_MAX; i++) {
		struct pginfo *pg = load_relaxed(&emptied[i]);

		store_relaxed(&emptied[i], NULL);
		if (pg != NULL)
			word_emptied(pg, ms);
	}
}

enum ptr_fault
chunk_verify(const struct pginfo *pg, const void *p)
{
	size_t i;

	if (!chunk_index(pg, p, &i) || i >= pg->chunk.nchunks)
		return PTR_MODIFIED_CHUNK;
	if (((load_relaxed(&pg->bits[i / 64]) | load_relaxed(&chunk_remote(pg)[i / 64])) &
	    (uint64_t)1 << (i % 64)) != 0)
		return PTR_FREE_CHUNK;
	return PTR_OK;
}

void
chunk_page_push(struct owner *self, struct pginfo *pg)
{
	struct owner *o = claim(pg);
	unsigned class_no;

	if (o == NULL)
		return;
	if (UNLIKELY(load_relaxed(&o->state) == OWNER_LOST)) {
		owner_take_lost_page(pg);
		return;
	}
	/* Once pushed, the page may be anything at any time. */
	class_no = pg->chunk.class_no;
	inbox_push(o, pg, class_no);
	if (__atomic_load_n(&o->state, __ATOMIC_SEQ_CST) == OWNER_PARKED)
		owner_adopt_page(o, pg, class_no);
	/* A thread that only frees looks at its own inboxes now and then. */
	if (self != &owner_none && ++self->npushes % PUSHES == 0 && load_relaxed(&self->pushed))
		chunk_drain(self);
}

void
chunk_page_tell(struct pginfo *pg)
{
	struct owner *o = claim(pg);
	unsigned class_no;

	if (o == NULL)
		return;
	class_no = pg->chunk.class_no;
	inbox_push(o, pg, class_no);
	if (load_relaxed(&o->state) == OWNER_PARKED)
		chunk_drain_class(o, class_no);
}

enum ptr_fault
chunk_free_slow(struct owner *o, struct pginfo *pg, const void *p)
{
	/* Acquire: pairs with the release in page_init, so the fields of the page are there. */
	uintptr_t word = load_acquire(&pg->owner);
	size_t i;

	if (UNLIKELY(!chunk_index(pg, p, &i)))
		return PTR_MODIFIED_CHUNK;
	if (LIKELY(chunk_free_at(o, pg, word, i)))
		return PTR_OK;
	return i >= pg->chunk.nchunks ? PTR_MODIFIED_CHUNK : PTR_FREE_CHUNK;
}

void
chunk_place(const struct pginfo *pg, const void *p, struct place *place)
{
	size_t size = chunk_size(pg);
	size_t offset = (uintptr_t)p & malloc_pagemask;
	uintptr_t page = (uintptr_t)p - offset;
	size_t i = offset / size;

	if (i >= pg->chunk.nchunks)
		i = pg->chunk.nchunks - 1U;
	place->kind = PLACE_CHUNK;
	place->nbytes = size;
	place->start = page + i * size;
	place->end = place->start + size;
	place->page = page;
	place->thread = owner_of_word(load_relaxed(&pg->owner))->thread;
}

/* A chunk freed by its owner and by another thread in the same moment. */
static COLD void
freed_twice(const struct pginfo *pg, unsigned w, uint64_t twice)
{
	size_t i = (size_t)w * 64 + lowest_bit(twice);
	const char *p = page_address(pg) + i * chunk_size(pg);
	struct place place = {.kind = PLACE_UNKNOWN};

	chunk_place(pg, p, &place);
	fault_report("free", PTR_FREE_CHUNK, p, &place);
}

int
chunk_collect(struct pginfo *pg)
{
	const struct size_class *c = &size_classes[pg->chunk.class_no];
	uint64_t *remote = chunk_remote(pg);
	int n = 0;

	for (unsigned w = 0; w < c->nwords; w++) {
		uint64_t freed;

		if (__atomic_load_n(&remote[w], __ATOMIC_SEQ_CST) == 0)
			continue;
		/* Acquire: what the freeing thread did to the chunk is over. */
		freed = __atomic_exchange_n(&remote[w], 0, __ATOMIC_ACQ_REL);
		if (UNLIKELY((pg->bits[w] & freed) != 0)) {
			freed_twice(pg, w, pg->bits[w] & freed);
			freed &= ~pg->bits[w];
		}
		store_relaxed(&pg->bits[w], pg->bits[w] | freed);
		n += (int)count_bits(freed);
	}
	return n;
}

static void
page_collect(struct owner *o, struct pginfo *pg)
{
	int n;

	__atomic_fetch_and(&pg->owner, ~(uintptr_t)PGINFO_PENDING, __ATOMIC_SEQ_CST);
	n = chunk_collect(pg);
	page_counts(pg)->countdown = (int16_t)(page_counts(pg)->countdown - n);
	/* Empty already and not released only because it was pending: try again. */
	if (page_counts(pg)->countdown <= 0)
		chunk_event(o, pg);
}

void
chunk_drain_class(struct owner *o, unsigned class_no)
{
	/* Acquire: pairs with inbox_push. */
	struct pginfo *pg = __atomic_exchange_n(&o->inbox[class_no], NULL, __ATOMIC_SEQ_CST);

	store_relaxed(&o->drained_ms, env_clock_ms());
	while (pg != NULL) {
		struct pginfo *next = pg->chunk.inbox_next;

		page_collect(o, pg);
		pg = next;
	}
}

void
chunk_drain(struct owner *o)
{
	/* First: who pushes after this says so again. */
	__atomic_store_n(&o->pushed, false, __ATOMIC_SEQ_CST);
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		if (__atomic_load_n(&o->inbox[c], __ATOMIC_SEQ_CST) != NULL)
			chunk_drain_class(o, c);
}
