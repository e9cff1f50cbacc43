/*
 * remote.c: frees by threads that do not own the page, without a lock.
 *
 * A remote free sets the chunk's bit in the page's remote bitmap: one atomic read-modify-write
 * in the common case. The first to do so since the owner last looked sets PGINFO_PENDING and
 * pushes the page on the owner's inbox, a list that many threads push to and one drains.
 *
 * Orders. Both sides store first and load second, so all four are sequentially consistent:
 *   freeing thread   or into remote (R1), then read PGINFO_PENDING (R2)
 *   owner            clear PGINFO_PENDING (O1), then read remote (O2)
 * If R2 sees it still set, R1 is before O1 and O2 finds the bit; else the thread pushes the page.
 * test/model has this as a state machine.
 */
#include "chunk/chunk.h"

#include "os/env.h"

/* An owner that has not drained its inbox for so long may be waiting for something. */
#define ASLEEP_MS 50U

/* Pushes a page whose PGINFO_PENDING the caller has just set. */
static void
inbox_push(struct owner *o, struct pginfo *pg)
{
	struct pginfo *head = load_relaxed(&o->inbox);

	do
		pg->chunk.inbox_next = head;
	/* Release: pairs with the exchange in chunk_drain, which reads inbox_next. */
	while (!__atomic_compare_exchange_n(&o->inbox, &head, pg, true, __ATOMIC_SEQ_CST,
	    __ATOMIC_RELAXED));
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

/*
 * A word of the page is wholly free: when the others are too and the owner, which would release
 * the page, has not looked for long, the memory goes back in its place.
 */
static NOINLINE void
word_emptied(struct pginfo *pg)
{
	uintptr_t owner = load_relaxed(&pg->owner);
	const struct size_class *c;

	if (!owner_is(owner) ||
	    env_clock_ms() - load_relaxed(&owner_of_word(owner)->drained_ms) < ASLEEP_MS)
		return;
	c = &size_classes[pg->chunk.class_no];
	for (unsigned w = 0; w < c->nwords; w++)
		if ((load_relaxed(&pg->bits[w]) | load_relaxed(&chunk_remote(pg)[w])) !=
		    ~(uint64_t)0)
			return;
	(void)chunk_purge(pg);
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

/* One atomic read-modify-write, unless the page has to be pushed. */
ALWAYS_INLINE enum ptr_fault
remote_free(struct owner *self, struct pginfo *pg, const void *p, size_t i)
{
	uint64_t bit = (uint64_t)1 << (i % 64), bits = load_relaxed(&pg->bits[i / 64]), before;
	struct owner *o;

	if (UNLIKELY((bits & bit) != 0))
		return chunk_verify(pg, p);
	before = __atomic_fetch_or(&chunk_remote(pg)[i / 64], bit, __ATOMIC_SEQ_CST);
	if (UNLIKELY((before & bit) != 0))
		return PTR_FREE_CHUNK;
	o = claim(pg);
	if (UNLIKELY(o != NULL)) {
		inbox_push(o, pg);
		if (__atomic_load_n(&o->state, __ATOMIC_SEQ_CST) == OWNER_PARKED)
			owner_adopt_page(o, pg);
		/* A thread that only frees looks at its own inbox here. */
		if (self != &owner_none && load_relaxed(&self->inbox) != NULL)
			chunk_drain(self);
	} else if (UNLIKELY((bits | before | bit) == ~(uint64_t)0)) {
		word_emptied(pg);
	}
	return PTR_OK;
}

/* The owner's own free to a page that is pending: the remote bitmap has its say too. */
static NOINLINE enum ptr_fault
local_free(struct owner *o, struct pginfo *pg, const void *p, size_t i)
{
	enum ptr_fault fault = chunk_verify(pg, p);

	if (UNLIKELY(fault != PTR_OK))
		return fault;
	store_relaxed(&pg->bits[i / 64], pg->bits[i / 64] | (uint64_t)1 << (i % 64));
	if (--pg->chunk.countdown <= 0)
		chunk_event(o, pg);
	return PTR_OK;
}

enum ptr_fault
chunk_free_slow(struct owner *o, struct pginfo *pg, const void *p)
{
	/* Acquire: pairs with the release in page_new, so the fields of the page are there. */
	uintptr_t word = load_acquire(&pg->owner);
	size_t i;

	if (UNLIKELY(!chunk_index(pg, p, &i)))
		return PTR_MODIFIED_CHUNK;
	if (owner_of_word(word) == o)
		return local_free(o, pg, p, i);
	return remote_free(o, pg, p, i);
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

static void
page_collect(struct owner *o, struct pginfo *pg)
{
	const struct size_class *c = &size_classes[pg->chunk.class_no];
	uint64_t *remote = chunk_remote(pg);
	int n = 0;

	__atomic_fetch_and(&pg->owner, ~(uintptr_t)PGINFO_PENDING, __ATOMIC_SEQ_CST);
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
	pg->chunk.countdown = (int16_t)(pg->chunk.countdown - n);
	/* Empty already and not released only because it was pending: try again. */
	if (pg->chunk.countdown <= 0)
		chunk_event(o, pg);
}

void
chunk_drain(struct owner *o)
{
	/* Acquire: pairs with inbox_push. */
	struct pginfo *pg = __atomic_exchange_n(&o->inbox, NULL, __ATOMIC_SEQ_CST);

	store_relaxed(&o->drained_ms, env_clock_ms());
	while (pg != NULL) {
		struct pginfo *next = pg->chunk.inbox_next;

		page_collect(o, pg);
		pg = next;
	}
}
