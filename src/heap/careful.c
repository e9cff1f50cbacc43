/*
 * careful.c: chunks under options; see careful.h. A note is protected by whoever holds the chunk.
 * State: random numbers of each thread.
 */
#include "heap/careful.h"

#include "diag/stack.h"
#include "heap/content.h"
#include "heap/held.h"
#include "heap/imalloc.h"
#include "heap/note.h"
#include "large/large.h"
#include "os/env.h"

uint32_t note_offsets[CLASS_COUNT];
static __thread uint64_t random_state __attribute__((tls_model("initial-exec")));

USUAL void
careful_init(void)
{
	chunk_keep = opt.junk_freed;
	if (!opt.notes)
		return;
	chunk_note_nbytes = NOTE_NBYTES + (opt.stacks ? sizeof(struct note_stacks) : 0);
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		note_offsets[c] = (uint32_t)(size_class_bitmaps_nbytes(c) +
		    size_classes[c].nchunks * (chunk_note_nbytes - NOTE_NBYTES));
}

/* xorshift64* (Vigna 2016). */
static uint64_t
random_next(void)
{
	uint64_t x = random_state;

	while (x == 0)
		x = env_random();
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	random_state = x;
	return x * 0x2545f4914f6cdd1dU;
}

COLD void
report_written(struct pginfo *pg, const void *p, size_t at, enum ptr_fault fault, const char *func)
{
	struct place place = {.kind = PLACE_UNKNOWN, .written = (uintptr_t)p + at};

	if (owner_is(load_relaxed(&pg->owner)))
		chunk_place(pg, p, &place);
	else
		large_place(pg, &place);
	careful_place(pg, p, &place);
	fault_report(func, fault, p, &place);
}

static uint32_t
note_read(const struct pginfo *pg, const void *p)
{
	size_t i;

	(void)chunk_index(pg, p, &i);
	return load_acquire(note_of(pg, i));
}

/* --- chunks --------------------------------------------------------------------------------- */

/* A chunk of the class, and its page. */
ALWAYS_INLINE void *
take_chunk(unsigned class_no, size_t n, struct pginfo **pg)
{
	struct owner *o = owner_self;
	void *p;

	if (LIKELY(!opt.random) && LIKELY(chunk_take(&o->slots[class_no], &p))) {
		*pg = o->slots[class_no].page;
		return p;
	}
	p = opt.random ? malloc_bytes_random(class_no, n, random_next()) : malloc_bytes(class_no, n);
	if (p != NULL)
		*pg = page_of(p);
	return p;
}

ALWAYS_INLINE void *
alloc_chunk(unsigned class_no, size_t n, bool zero)
{
	size_t i, size = size_classes[class_no].size;
	struct pginfo *pg;
	uint32_t *note, word;
	void *p = take_chunk(class_no, n, &pg);

	if (UNLIKELY(p == NULL))
		return NULL;
	if (!opt.notes) {
		fill_new(p, n, size, zero);
		return p;
	}
	(void)chunk_index(pg, p, &i);
	note = note_of(pg, i);
	word = load_relaxed(note);
	if (note_state(word) == NOTE_FREED && opt.junk_freed)
		check_freed(pg, p, size, "malloc");
	word = note_begin(note, word);
	fill_new(p, n, size, zero);
	if (opt.canary)
		fill_canary(p, n, size, opt.secret);
	if (opt.stacks)
		*note_stacks(pg, i) = (struct note_stacks){stack_record(STACK_DEPTH), 0};
	note_end(note, note_with_family(word, FAMILY_MALLOC), NOTE_USED, n);
	return p;
}

/* Gives chunk i of the page back. Its note is the caller's. */
ALWAYS_INLINE enum ptr_fault
release_chunk(struct owner *o, struct pginfo *pg, void *p, size_t i, uint32_t *note)
{
	uint32_t word = load_relaxed(note);

	note_end(note, word, NOTE_FREED, note_asked(word));
	if (LIKELY(load_relaxed(&pg->owner) == ((uintptr_t)o | owner_tag)) &&
	    LIKELY(chunk_put(o, pg, i)))
		return PTR_OK;
	return chunk_free_slow(o, pg, p);
}

void
chunk_page_ends(struct pginfo *pg)
{
	size_t size = chunk_size(pg);
	char *p = page_address(pg);

	for (size_t i = 0; i < pg->chunk.nchunks; i++, p += size)
		if (note_state(load_relaxed(note_of(pg, i))) == NOTE_FREED)
			check_freed(pg, p, size, "free");
}

/* --- held back ------------------------------------------------------------------------------ */

ALWAYS_INLINE void
release_held(struct owner *o, void *p)
{
	struct pginfo *pg = page_of(p);
	enum ptr_fault fault;
	uint32_t *note;
	size_t i;

	if (UNLIKELY(!owner_is(load_relaxed(&pg->owner)))) {
		large_release(pg);
		return;
	}
	(void)chunk_index(pg, p, &i);
	note = note_of(pg, i);
	/* They were freed long ago, and each of these is a cache line. */
	__builtin_prefetch(note);
	check_freed(pg, p, chunk_size(pg), "free");
	/* Two threads that freed it in the same moment both hold it. */
	fault = note_state(load_relaxed(note)) != NOTE_HELD ? PTR_FREE_CHUNK :
	    release_chunk(o, pg, p, i, note);
	if (UNLIKELY(fault != PTR_OK))
		heap_report("free", fault, p, 0);
}

/* Makes room for nbytes; true when anything was freed for it. */
ALWAYS_INLINE bool
release_some(struct owner *o, size_t keep)
{
	bool any = false;
	void *p;

	while ((p = held_take(o, keep)) != NULL) {
		release_held(o, p);
		any = true;
	}
	return any;
}

/* The owner whose ring the calling thread uses; NULL when it has none. */
ALWAYS_INLINE struct owner *
holder(void)
{
	return LIKELY(owner_self != &owner_none) ? owner_self : owner_attach();
}

bool
careful_hold(void *p, size_t nbytes)
{
	struct owner *o = holder();

	if (o == NULL)
		return false;
	release_some(o, held_limit() - nbytes);
	return held_put(o, p, nbytes);
}

bool
careful_flush(void)
{
	return opt.delay && owner_self != &owner_none && release_some(owner_self, 0);
}

USUAL void
owner_ends(struct owner *o)
{
	if (opt.delay)
		release_some(o, 0);
}

/* --- freeing -------------------------------------------------------------------------------- */

ALWAYS_INLINE enum ptr_fault
careful_free_chunk(struct pginfo *pg, void *p, const char *func)
{
	size_t i, size = chunk_size(pg);
	struct owner *o = owner_self;
	uint32_t *note, word, busy;

	if (UNLIKELY(!chunk_index(pg, p, &i)) || UNLIKELY(i >= pg->chunk.nchunks))
		return PTR_MODIFIED_CHUNK;
	note = note_of(pg, i);
	word = load_acquire(note);
	if (UNLIKELY(note_state(word) != NOTE_USED))
		return PTR_FREE_CHUNK;
	if (opt.family)
		careful_fit(pg, p, func);
	busy = note_next(word, NOTE_BUSY, note_asked(word));
	if (owner_of_word(load_relaxed(&pg->owner)) == o)
		store_relaxed(note, busy);
	else if (!__atomic_compare_exchange_n(note, &word, busy, false, __ATOMIC_ACQ_REL,
	    __ATOMIC_RELAXED))
		return PTR_FREE_CHUNK;
	/* As in note_begin. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	if (opt.canary)
		check_canary(pg, p, note_asked(word), size, func);
	if (opt.stacks)
		note_stacks(pg, i)->freed = stack_record(STACK_DEPTH);
	if (opt.junk_freed)
		fill_junk(p, size, JUNK_FREED);
	if (opt.delay) {
		note_end(note, busy, NOTE_HELD, note_asked(word));
		if (careful_hold(p, size))
			return PTR_OK;
	}
	return release_chunk(o, pg, p, i, note);
}

enum ptr_fault
careful_free(struct pginfo *pg, void *p, const char *func)
{
	return LIKELY(owner_is(load_acquire(&pg->owner))) ? careful_free_chunk(pg, p, func) :
	    careful_free_large(pg, p, func);
}

/* --- allocating ----------------------------------------------------------------------------- */

/* A second try, after room was made. */
static COLD void *
careful_alloc_again(size_t n, unsigned class_no, bool zero)
{
	return alloc_chunk(class_no, n, zero);
}

void *
careful_alloc(size_t n, size_t alignment, bool zero)
{
	size_t end = with_canary(n);
	unsigned class_no;
	void *p;

	if (UNLIKELY(end > malloc_maxsize) || UNLIKELY(end < n))
		class_no = CLASS_NONE;
	else
		class_no = alignment <= malloc_minsize ? size_class_of(end) :
		    size_class_aligned(end, alignment);
	if (UNLIKELY(class_no == CLASS_NONE))
		return careful_alloc_pages(n, alignment, zero);
	p = alloc_chunk(class_no, n, zero);
	if (UNLIKELY(p == NULL) && heap_make_room())
		return careful_alloc_again(n, class_no, zero);
	return p;
}

/* --- resizing ------------------------------------------------------------------------------- */

void *
careful_resize(struct pginfo *pg, void *p, size_t n, const char *func)
{
	size_t i, had, size, end = with_canary(n);
	uint32_t *note, word;

	if (opt.realloc_moves || end < n)
		return NULL;
	if (!owner_is(load_relaxed(&pg->owner)))
		return careful_resize_large(pg, p, n, func);
	size = chunk_size(pg);
	if (end > size || (end <= size / 2 && size != malloc_minsize))
		return NULL;
	(void)chunk_index(pg, p, &i);
	note = note_of(pg, i);
	word = load_relaxed(note);
	had = note_asked(word);
	if (opt.canary)
		check_canary(pg, p, had, size, func);
	word = note_begin(note, word);
	fill_grown(p, had, n);
	if (opt.canary)
		fill_canary(p, n, size, opt.secret);
	/* realloc's own from now on. */
	note_end(note, note_with_family(word, FAMILY_MALLOC), NOTE_USED, n);
	return p;
}

/* --- what is known -------------------------------------------------------------------------- */

void
careful_mark(void *p, enum family family)
{
	struct pginfo *pg = page_of(p);
	uint32_t *note;
	size_t i;

	if (!owner_is(load_relaxed(&pg->owner))) {
		pg->large.family = (uint8_t)family;
		return;
	}
	(void)chunk_index(pg, p, &i);
	note = note_of(pg, i);
	store_relaxed(note, note_with_family(load_relaxed(note), family));
}

void
careful_fit(struct pginfo *pg, const void *p, const char *func)
{
	struct place place = {.kind = PLACE_UNKNOWN};
	enum family family = owner_is(load_relaxed(&pg->owner)) ? note_family(note_read(pg, p)) :
	    (enum family)pg->large.family;

	if (LIKELY(family_fits(family, func)))
		return;
	heap_place(pg, p, &place);
	place.by = family_name(family);
	fault_report(func, PTR_MISMATCHED, p, &place);
}

size_t
careful_size(const struct pginfo *pg, const void *p)
{
	return owner_is(load_relaxed(&pg->owner)) ? note_asked(note_read(pg, p)) : pg->large.nbytes;
}

bool
careful_is_freed(const struct pginfo *pg, const void *p)
{
	return note_state(note_read(pg, p)) != NOTE_USED;
}

void
careful_place(const struct pginfo *pg, const void *p, struct place *place)
{
	size_t i;

	if (!opt.stacks)
		return;
	if (!owner_is(load_relaxed(&pg->owner))) {
		place->allocated = pg->large.allocated;
		place->freed = pg->large.freed;
		return;
	}
	(void)chunk_index(pg, p, &i);
	if (i >= pg->chunk.nchunks)
		return;
	place->allocated = note_stacks(pg, i)->allocated;
	place->freed = note_stacks(pg, i)->freed;
}
