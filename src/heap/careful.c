/*
 * careful.c: allocation under options; see careful.h. The ring of held-back memory is protected
 * by LOCK_DELAY; a note by whoever holds the chunk, and its state by compare-and-swap, which
 * decides between two that free at once.
 */
#include "heap/careful.h"

#include "conf/conf.h"
#include "diag/fill.h"
#include "diag/stack.h"
#include "heap/imalloc.h"
#include "large/large.h"
#include "os/env.h"
#include "os/lock.h"
#include "os/vm.h"
#include "page/page_alloc.h"

#include <string.h>

#define CANARY_NBYTES ((size_t)16)
#define RING_MAX 8192U

enum note_state { NOTE_NEW, NOTE_USED, NOTE_DELAYED, NOTE_FREED };

struct note {
	uint32_t asked;     /* bytes */
	uint32_t allocated; /* stacks */
	uint32_t freed;
	uint32_t state;     /* enum note_state; a word, so that every machine can exchange it */
};

_Static_assert(sizeof(struct note) == CHUNK_NOTE_NBYTES, "metadata of a page has room for notes");

/* Freed and held back; in order of being freed. */
static struct {
	void *p;
	size_t nbytes;
} ring[RING_MAX];
static unsigned ring_first, ring_count;
static size_t ring_nbytes;

static struct note *
note_of(const struct pginfo *pg, const void *p)
{
	size_t i = 0;

	(void)chunk_index(pg, p, &i);
	return (struct note *)chunk_notes(pg) + i;
}

/* --- filling and checking ------------------------------------------------------------------ */

static void
check_freed(struct pginfo *pg, const void *p, size_t nbytes, const char *func)
{
	struct place place = {.kind = PLACE_UNKNOWN};
	size_t at;

	if (opt.junk == 0 && !opt.delay)
		return;
	at = fill_check_junk(p, nbytes);
	if (at == FILL_WHOLE)
		return;
	place.written = (uintptr_t)p + at;
	chunk_place(pg, p, &place);
	careful_place(pg, p, &place);
	fault_report(func, PTR_WRITTEN_FREE, p, &place);
}

static void
check_canary(struct pginfo *pg, const void *p, size_t asked, size_t end, const char *func)
{
	struct place place = {.kind = PLACE_UNKNOWN};
	size_t at;

	if (!opt.canary)
		return;
	at = fill_check_canary(p, asked, end, opt.secret);
	if (at == FILL_WHOLE)
		return;
	place.written = (uintptr_t)p + at;
	heap_place(pg, p, &place);
	fault_report(func, PTR_CANARY, p, &place);
}

static void
fill_new(void *p, size_t n, size_t end, bool zero)
{
	if (zero || opt.zero)
		memset(p, 0, n);
	else if (opt.junk >= 2)
		fill_junk(p, n, JUNK_NEW);
	if (opt.canary)
		fill_canary(p, n, end, opt.secret);
}

/* Where the canary of a large allocation ends: it is not worth touching more pages. */
static size_t
large_canary_end(const struct pginfo *pg)
{
	size_t end = pg->large.nbytes + CANARY_NBYTES;

	return end < large_usable(pg) ? end : large_usable(pg);
}

/* --- chunks --------------------------------------------------------------------------------- */

static void *
alloc_chunk(unsigned class_no, size_t n, bool zero)
{
	void *p = opt.random ? malloc_bytes_random(class_no) : malloc_bytes(class_no);
	struct pginfo *pg = p == NULL ? NULL : page_dir_find(p);
	struct note *note;

	if (p == NULL)
		return NULL;
	note = note_of(pg, p);
	if (note->state == NOTE_FREED)
		check_freed(pg, p, size_classes[class_no].size, "malloc");
	note->asked = (uint32_t)n;
	note->freed = 0;
	note->allocated = opt.stacks ? stack_record(STACK_DEPTH) : 0;
	fill_new(p, n, size_classes[class_no].size, zero);
	store_release(&note->state, NOTE_USED);
	return p;
}

static void
release_chunk(struct pginfo *pg, void *p, const char *func)
{
	struct note *note = note_of(pg, p);
	enum ptr_fault fault;

	check_freed(pg, p, chunk_size(pg), func);
	store_release(&note->state, opt.junk != 0 || opt.delay ? NOTE_FREED : NOTE_NEW);
	fault = chunk_free_slow(owner_self, pg, p);
	ASSERT(fault == PTR_OK);
}

/* --- large allocations ---------------------------------------------------------------------- */

void *
careful_alloc_pages(size_t n, size_t alignment, bool zero)
{
	bool known;
	size_t end = n + (opt.canary ? CANARY_NBYTES : 0);
	char *p = end < n ? NULL : pages_or_trim(end, alignment, &known);
	struct pginfo *pg = p == NULL ? NULL : page_dir_find(p);

	if (p == NULL)
		return NULL;
	pg->large.nbytes = n;
	pg->large.allocated = opt.stacks ? stack_record(STACK_DEPTH) : 0;
	if (opt.page_end) {
		size_t room = large_usable(pg) - (end == 0 ? 1 : end);
		size_t align = alignment < malloc_minsize ? malloc_minsize : alignment;

		pg->large.start = (uint32_t)(room & ~(align - 1));
		p += pg->large.start;
	}
	if (zero && known)
		fill_new(p + n, 0, large_canary_end(pg) - n, false);
	else
		fill_new(p, n, large_canary_end(pg), zero);
	return p;
}

/* --- held back ------------------------------------------------------------------------------ */

/* Takes the oldest out when the ring is over `keep` bytes. */
static void *
ring_take(size_t keep)
{
	void *p = NULL;

	lock_take(LOCK_DELAY);
	if (ring_count != 0 && (ring_nbytes > keep || ring_count == RING_MAX)) {
		p = ring[ring_first].p;
		ring_nbytes -= ring[ring_first].nbytes;
		ring_first = (ring_first + 1) % RING_MAX;
		ring_count--;
	}
	lock_drop(LOCK_DELAY);
	return p;
}

static bool
ring_put(void *p, size_t nbytes)
{
	bool room;

	lock_take(LOCK_DELAY);
	room = ring_count < RING_MAX;
	if (room) {
		unsigned at = (ring_first + ring_count++) % RING_MAX;

		ring[at].p = p;
		ring[at].nbytes = nbytes;
		ring_nbytes += nbytes;
	}
	lock_drop(LOCK_DELAY);
	return room;
}

/* Pages that were held back trap; they can be used again before they are given back. */
static void
release_large(struct pginfo *pg)
{
	size_t nbytes = (size_t)pg->large.npages << malloc_pageshift;

	/* If the kernel does not let them be used, they stay as they are. */
	if (vm_unguard(page_address(pg), nbytes) || vm_renew(page_address(pg), nbytes))
		large_release(pg);
}

static bool
ring_drain(size_t keep)
{
	bool any = false;
	void *p;

	while ((p = ring_take(keep)) != NULL) {
		struct pginfo *pg = page_dir_find(p);

		if (owner_is(load_relaxed(&pg->owner)))
			release_chunk(pg, p, "free");
		else
			release_large(pg);
		any = true;
	}
	return any;
}

/* Frees a large allocation; held back, it traps at each access and takes addresses only. */
static enum ptr_fault
free_large(struct pginfo *pg, const void *p)
{
	size_t nbytes = (size_t)pg->large.npages << malloc_pageshift;
	char *page = page_address(pg);
	enum ptr_fault fault;

	if (!opt.delay || pg->large.concealed)
		return large_free(pg, p);
	fault = large_claim(pg, p);
	if (fault != PTR_OK)
		return fault;
	ring_drain(opt.delay_nbytes_max - malloc_pagesize);
	if (!vm_guard(page, nbytes))
		large_release(pg);
	else if (!ring_put(page, malloc_pagesize))
		release_large(pg);
	return PTR_OK;
}

bool
careful_flush(void)
{
	return opt.delay && ring_drain(0);
}

/* --- the interface -------------------------------------------------------------------------- */

void *
careful_alloc(size_t n, size_t alignment, bool zero)
{
	size_t end = n + (opt.canary ? CANARY_NBYTES : 0);
	unsigned class_no;
	void *p;

	if (n == 0 && opt.zero_is_null)
		return NULL;
	class_no = end < n ? CLASS_NONE : size_class_aligned(end, alignment);
	if (class_no == CLASS_NONE)
		return careful_alloc_pages(n, alignment, zero);
	p = alloc_chunk(class_no, n, zero);
	if (p == NULL && careful_flush())
		p = alloc_chunk(class_no, n, zero);
	return p;
}

enum ptr_fault
careful_free(struct pginfo *pg, void *p, const char *func)
{
	struct note *note;
	uint32_t used = NOTE_USED;
	bool hold = opt.delay;

	if (!owner_is(load_relaxed(&pg->owner))) {
		if (!pg->large.concealed)
			check_canary(pg, p, pg->large.nbytes, large_canary_end(pg), func);
		return free_large(pg, p);
	}
	note = note_of(pg, p);
	check_canary(pg, p, note->asked, chunk_size(pg), func);
	if (!__atomic_compare_exchange_n(&note->state, &used, NOTE_DELAYED, false,
	    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return PTR_FREE_CHUNK;
	if (opt.stacks)
		note->freed = stack_record(STACK_DEPTH);
	if (opt.junk != 0 || opt.delay)
		fill_junk(p, chunk_size(pg), JUNK_FREED);
	if (hold) {
		ring_drain(opt.delay_nbytes_max - chunk_size(pg));
		hold = ring_put(p, chunk_size(pg));
	}
	if (!hold)
		release_chunk(pg, p, func);
	return PTR_OK;
}

size_t
careful_size(const struct pginfo *pg, const void *p)
{
	return owner_is(load_relaxed(&pg->owner)) ? note_of(pg, p)->asked : pg->large.nbytes;
}

void *
careful_resize(struct pginfo *pg, void *p, size_t n, const char *func)
{
	size_t size, end = n + (opt.canary ? CANARY_NBYTES : 0);
	struct note *note;

	if (opt.realloc_moves || !owner_is(load_relaxed(&pg->owner)) || end < n)
		return NULL;
	size = chunk_size(pg);
	note = note_of(pg, p);
	if (end > size || (end <= size / 2 && size != malloc_minsize))
		return NULL;
	check_canary(pg, p, note->asked, size, func);
	if (n > note->asked)
		fill_new((char *)p + note->asked, n - note->asked, 0, false);
	if (opt.canary)
		fill_canary(p, n, size, opt.secret);
	note->asked = (uint32_t)n;
	return p;
}

bool
careful_is_delayed(const struct pginfo *pg, const void *p)
{
	return opt.careful && load_acquire(&note_of(pg, p)->state) == NOTE_DELAYED;
}

void
careful_place(const struct pginfo *pg, const void *p, struct place *place)
{
	if (!opt.careful)
		return;
	if (!owner_is(load_relaxed(&pg->owner))) {
		place->allocated = pg->large.allocated;
		return;
	}
	place->allocated = note_of(pg, p)->allocated;
	place->freed = note_of(pg, p)->freed;
}

/* The chunks of one page; those of other threads may change under the walk. */
static size_t
check_page(struct pginfo *pg, void (*complain)(const char *what, const void *where))
{
	const struct note *note = chunk_notes(pg);
	const char *p = page_address(pg);
	size_t broken = 0, size = chunk_size(pg);

	for (size_t i = 0; i < pg->chunk.nchunks; i++, p += size) {
		uint32_t state = load_acquire(&note[i].state);

		if (state == NOTE_USED && opt.canary &&
		    fill_check_canary(p, note[i].asked, size, opt.secret) != FILL_WHOLE) {
			complain("canary is corrupted, written past the end of", p);
			broken++;
		}
		if ((state == NOTE_DELAYED || state == NOTE_FREED) &&
		    fill_check_junk(p, size) != FILL_WHOLE) {
			complain("written after it was freed", p);
			broken++;
		}
	}
	return broken;
}

size_t
careful_check(void (*complain)(const char *what, const void *where))
{
	size_t broken = 0;

	if (!opt.careful)
		return 0;
	lock_take(LOCK_PAGE);
	for (unsigned i = 0; i < arena_count; i++) {
		struct pginfo *end = arenas[i].page_dir + (arenas[i].limit >> malloc_pageshift);

		for (struct pginfo *pg = arenas[i].page_dir; pg < end; pg++)
			if (owner_is(load_acquire(&pg->owner)))
				broken += check_page(pg, complain);
	}
	lock_drop(LOCK_PAGE);
	return broken;
}
