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

typedef void (*complain_t)(const char *what, const void *where);

/* What is wrong with the contents of a chunk that has this note; NULL when nothing is. */
static const char *
wrong_in(const char *p, size_t size, uint32_t word)
{
	switch (note_state(word)) {
	case NOTE_BUSY:
		return NULL;
	case NOTE_USED:
		if (opt.canary && fill_check_canary(p, note_asked(word), size, opt.secret) !=
		    FILL_WHOLE)
			return fault_text(PTR_CANARY);
		return NULL;
	case NOTE_HELD:
	case NOTE_FREED:
		if (opt.junk_freed && fill_check_junk(p, size) != FILL_WHOLE)
			return fault_text(PTR_WRITTEN_FREE);
		return NULL;
	}
	return NULL;
}

static size_t
check_page(const struct pginfo *pg, complain_t complain)
{
	const char *p = page_address(pg), *wrong;
	size_t broken = 0, size = chunk_size(pg);

	for (size_t i = 0; i < pg->chunk.nchunks; i++, p += size) {
		uint32_t *note = note_of(pg, i), word = load_acquire(note);

		wrong = wrong_in(p, size, word);
		if (LIKELY(wrong == NULL))
			continue;
		/* Pairs with the fence in note_begin. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (load_relaxed(note) != word)
			continue;
		complain(wrong, p);
		broken++;
	}
	return broken;
}

static size_t
check_large(const struct pginfo *pg, complain_t complain)
{
	const char *p = page_address(pg) + pg->large.start;

	if (pg->large.guard || careful_large_is_whole(pg))
		return 0;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (load_relaxed(&pg->owner) != MALLOC_FIRST)
		return 0;
	complain(fault_text(PTR_CANARY), p);
	return 1;
}

size_t
careful_check(complain_t complain)
{
	size_t broken = 0;

	if (!opt.notes)
		return 0;
	lock_take(LOCK_GUARD);
	lock_take(LOCK_PAGE);
	for (unsigned i = 0; i < arena_count; i++) {
		struct pginfo *end = arenas[i].page_dir + (arenas[i].limit >> malloc_pageshift);

		for (struct pginfo *pg = arenas[i].page_dir; pg < end; pg++) {
			uintptr_t kind = load_acquire(&pg->owner);

			if (owner_is(kind))
				broken += check_page(pg, complain);
			else if (kind == MALLOC_FIRST && opt.canary)
				broken += check_large(pg, complain);
		}
	}
	lock_drop(LOCK_PAGE);
	lock_drop(LOCK_GUARD);
	return broken;
}
