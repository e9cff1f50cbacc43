/*
 * sample.c: sampled allocations before guard pages; see sample.h.
 *
 *   | trap | slot 0 | trap | slot 1 | trap | ...      a slot is one OS page
 *                ^allocation^canary^
 *
 * All pages trap from the start, the slots but for those in use: two kernel calls a sample. A freed
 * slot traps until it is used again, the longest freed first.
 */
#include "heap/sample.h"

#include "conf/conf.h"
#include "diag/fill.h"
#include "diag/stack.h"
#include "os/env.h"
#include "os/lock.h"
#include "os/vm.h"

#include <string.h>

#define SLOT_COUNT 256U
#define MALLOC_ALIGNMENT ((size_t)16)

enum slot_state { SLOT_NEVER, SLOT_USED, SLOT_FREED };

static struct sample {
	uint8_t state;
	uint32_t nbytes;
	uint32_t start; /* from the slot's page */
	uint32_t allocated;
	uint32_t freed;
	int thread;
} samples[SLOT_COUNT];

struct sample_counts sample_counts;

static char *pool; /* NULL when sampling is off */
/* Slots not in use, those never used and the longest freed first. */
static uint16_t unused[SLOT_COUNT];
static unsigned unused_first, unused_count;

static size_t
pool_nbytes(void)
{
	return (2 * SLOT_COUNT + 1) * vm_pagesize;
}

static char *
slot_page(size_t i)
{
	return pool + (2 * i + 1) * vm_pagesize;
}

USUAL bool
sample_owns(const void *p)
{
	char *base = load_acquire(&pool);

	return base != NULL && (uintptr_t)p - (uintptr_t)base < pool_nbytes();
}

/* The slot that an address in the pool is in or next to. */
static size_t
slot_near(const void *p)
{
	size_t half = ((uintptr_t)p - (uintptr_t)pool) / vm_pagesize;
	size_t i = half == 0 ? 0 : (half - 1) / 2;

	/* In a trap between two slots: nearer the one behind it? */
	if (half % 2 == 0 && half != 0 && i + 1 < SLOT_COUNT &&
	    ((uintptr_t)p & (vm_pagesize - 1)) >= vm_pagesize / 2)
		i++;
	return i;
}

static void
place_of(const struct sample *s, struct place *place)
{
	place->kind = PLACE_SAMPLED;
	place->nbytes = s->nbytes;
	place->start = (uintptr_t)slot_page((size_t)(s - samples)) + s->start;
	place->end = place->start + s->nbytes;
	place->thread = s->thread;
	place->allocated = s->allocated;
	place->freed = s->freed;
}

void
sample_place(const void *p, struct place *place)
{
	place_of(&samples[slot_near(p)], place);
}

void
sample_trapped(void *address)
{
	struct place place = {.kind = PLACE_UNKNOWN};
	const struct sample *s = &samples[slot_near(address)];
	enum ptr_fault fault;

	place_of(s, &place);
	if (s->state == SLOT_FREED)
		fault = PTR_USED_FREE;
	else
		fault = (uintptr_t)address < place.start ? PTR_UNDERFLOW : PTR_OVERFLOW;
	fault_report("program", fault, address, &place);
}

void
sample_init(void)
{
	char *base = vm_reserve(pool_nbytes(), vm_pagesize);

	if (base == NULL)
		return;
	if (!vm_commit(base, pool_nbytes()) || !vm_guard(base, pool_nbytes())) {
		(void)vm_unreserve(base, pool_nbytes());
		return;
	}
	for (unsigned i = 0; i < SLOT_COUNT; i++)
		unused[i] = (uint16_t)i;
	unused_count = SLOT_COUNT;
	/* Pairs with the acquires of pool: its list is whole. */
	store_release(&pool, base);
}

/* A slot to use, or NULL. LOCK_SAMPLE held. */
static struct sample *
slot_take(void)
{
	struct sample *s;

	if (unused_count == 0)
		return NULL;
	s = &samples[unused[unused_first]];
	unused_first = (unused_first + 1) % SLOT_COUNT;
	unused_count--;
	return s;
}

static void
slot_give(const struct sample *s)
{
	unused[(unused_first + unused_count++) % SLOT_COUNT] = (uint16_t)(s - samples);
}

void *
sample_alloc(size_t n, size_t alignment)
{
	size_t align = alignment < MALLOC_ALIGNMENT ? MALLOC_ALIGNMENT : alignment;
	uint32_t stack;
	struct sample *s;
	char *page;

	n = n == 0 ? 1 : n;
	if (load_acquire(&pool) == NULL || n > vm_pagesize || align > vm_pagesize ||
	    load_relaxed(&unused_count) == 0)
		return NULL;
	stack = stack_record(STACK_DEPTH);
	lock_take(LOCK_SAMPLE);
	s = slot_take();
	page = s == NULL ? NULL : slot_page((size_t)(s - samples));
	if (page != NULL && !vm_unguard(page, vm_pagesize)) {
		slot_give(s);
		page = NULL;
	}
	if (page == NULL) {
		lock_drop(LOCK_SAMPLE);
		return NULL;
	}
	s->state = SLOT_USED;
	s->nbytes = (uint32_t)n;
	s->start = (uint32_t)((vm_pagesize - n) & ~(align - 1));
	s->allocated = stack;
	s->freed = 0;
	s->thread = owner_self != &owner_none ? owner_self->thread : env_thread();
	store_relaxed(&sample_counts.live_nbytes, sample_counts.live_nbytes + n);
	store_relaxed(&sample_counts.nmalloc, sample_counts.nmalloc + 1);
	fill_canary(page + s->start, n, vm_pagesize - s->start, opt.secret);
	lock_drop(LOCK_SAMPLE);
	return page + s->start;
}

static enum ptr_fault
verify(const struct sample *s, const void *p)
{
	if (s->state == SLOT_NEVER || p != slot_page((size_t)(s - samples)) + s->start)
		return PTR_MODIFIED_CHUNK;
	return s->state == SLOT_USED ? PTR_OK : PTR_FREE_CHUNK;
}

enum ptr_fault
sample_size(const void *p, size_t *nbytes)
{
	const struct sample *s = &samples[slot_near(p)];

	*nbytes = s->nbytes;
	return verify(s, p);
}

enum ptr_fault
sample_free(void *p, const char *func)
{
	struct sample *s = &samples[slot_near(p)];
	struct place place = {.kind = PLACE_UNKNOWN};
	uint32_t stack = stack_record(STACK_DEPTH);
	size_t at = FILL_WHOLE;
	enum ptr_fault fault;
	char *page;

	lock_take(LOCK_SAMPLE);
	fault = verify(s, p);
	if (fault == PTR_OK) {
		page = slot_page((size_t)(s - samples));
		place_of(s, &place);
		at = fill_check_canary(p, s->nbytes, vm_pagesize - s->start, opt.secret);
		s->state = SLOT_FREED;
		s->freed = stack;
		store_relaxed(&sample_counts.live_nbytes, sample_counts.live_nbytes - s->nbytes);
		store_relaxed(&sample_counts.nfree, sample_counts.nfree + 1);
		/* If the kernel refuses, the slot is readable until it is used again. */
		(void)vm_guard(page, vm_pagesize);
		slot_give(s);
	}
	lock_drop(LOCK_SAMPLE);
	place.written = (uintptr_t)p + at;
	if (at != FILL_WHOLE)
		fault_report(func, PTR_CANARY, p, &place);
	return fault;
}

void
sample_check(struct broken *b)
{
	if (load_acquire(&pool) == NULL)
		return;
	lock_take(LOCK_SAMPLE);
	for (size_t i = 0; i < SLOT_COUNT; i++) {
		const struct sample *s = &samples[i];
		const char *p = slot_page(i) + s->start;
		struct place *place;
		size_t at;

		if (s->state != SLOT_USED)
			continue;
		at = fill_check_canary(p, s->nbytes, vm_pagesize - s->start, opt.secret);
		if (at == FILL_WHOLE)
			continue;
		place = broken_add(b, PTR_CANARY);
		place_of(s, place);
		place->written = (uintptr_t)p + at;
	}
	lock_drop(LOCK_SAMPLE);
}
