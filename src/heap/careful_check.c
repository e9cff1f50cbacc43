/*
 * careful_check.c: the walk over canaries and junk; see careful.h. Holds LOCK_GUARD, so that no
 * page is made to trap while it is read, and LOCK_PAGE, so that none changes its kind. Other
 * threads fill and free meanwhile: a chunk counts only when its note was the same before and
 * after.
 */
#include "conf/conf.h"
#include "diag/fill.h"
#include "heap/careful.h"
#include "heap/note.h"
#include "large/large.h"
#include "os/lock.h"
#include "os/vm.h"

/* What is wrong with the contents of a chunk that has this note, and from which byte on. */
static enum ptr_fault
wrong_in(const char *p, size_t size, uint32_t word, size_t *at)
{
	*at = FILL_WHOLE;
	switch (note_state(word)) {
	case NOTE_BUSY:
		break;
	case NOTE_USED:
		if (opt.canary)
			*at = fill_check_canary(p, note_asked(word), size, opt.secret);
		return *at == FILL_WHOLE ? PTR_OK : PTR_CANARY;
	case NOTE_HELD:
	case NOTE_FREED:
		if (opt.junk_freed)
			*at = fill_check_junk(p, size);
		return *at == FILL_WHOLE ? PTR_OK : PTR_WRITTEN_FREE;
	}
	return PTR_OK;
}

struct place *
broken_add(struct broken *b, enum ptr_fault fault)
{
	static struct place more;
	struct place *place = &more;

	if (b->n < BROKEN_MAX) {
		b->first[b->n].fault = fault;
		place = &b->first[b->n].place;
	}
	b->n++;
	*place = (struct place){.kind = PLACE_UNKNOWN};
	return place;
}

static void
check_page(const struct pginfo *pg, struct broken *b)
{
	size_t at, size = chunk_size(pg);
	const char *p = page_address(pg);
	struct place *place;

	for (size_t i = 0; i < pg->chunk.nchunks; i++, p += size) {
		uint32_t *note = note_of(pg, i), word = load_acquire(note);
		enum ptr_fault fault = wrong_in(p, size, word, &at);

		if (LIKELY(fault == PTR_OK))
			continue;
		/* Pairs with the fence in note_begin. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (load_relaxed(note) != word)
			continue;
		place = broken_add(b, fault);
		chunk_place(pg, p, place);
		careful_place(pg, p, place);
		place->written = (uintptr_t)p + at;
	}
}

static void
check_large(const struct pginfo *pg, struct broken *b)
{
	size_t at = careful_large_written(pg);
	struct place *place;

	if (LIKELY(at == FILL_WHOLE) || load_relaxed(&pg->owner) != MALLOC_FIRST)
		return;
	place = broken_add(b, PTR_CANARY);
	large_place(pg, place);
	careful_place(pg, page_address(pg), place);
	place->written = place->start + at;
}

void
careful_check(struct broken *b)
{
	if (!opt.notes)
		return;
	lock_take(LOCK_GUARD);
	lock_take(LOCK_PAGE);
	for (unsigned i = 0; i < arena_count; i++) {
		struct pginfo *end = arenas[i].page_dir + (arenas[i].limit >> malloc_pageshift);

		for (struct pginfo *pg = arenas[i].page_dir; pg < end; pg++) {
			uintptr_t kind = load_acquire(&pg->owner);

			if (owner_is(kind))
				check_page(pg, b);
			else if (kind == MALLOC_FIRST && !pg->large.guard)
				check_large(pg, b);
		}
	}
	lock_drop(LOCK_PAGE);
	lock_drop(LOCK_GUARD);
}
