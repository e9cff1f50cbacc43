/*
 * trim.c: gives back all memory that nobody needs. No state; the locks are those of what it calls.
 */
#include "chunk/chunk.h"
#include "heap/careful.h"
#include "heap/heap.h"
#include "heap/imalloc.h"
#include "page/page_alloc.h"
#include "watch/profile.h"

/* Gives back what no chunk needs in the pages of all threads. */
static bool
trim_chunks(void)
{
	bool any = false;

	for (unsigned i = 0; i < load_acquire(&arena_count); i++) {
		size_t n = load_acquire(&arenas[i].limit) >> malloc_pageshift;

		for (size_t at = 0; at < n; at++)
			if (owner_is(load_relaxed(&arenas[i].page_dir[at].owner)))
				any |= chunk_purge(&arenas[i].page_dir[at]);
	}
	return any;
}

bool
heap_trim(void)
{
	bool any = careful_flush();

	if (owner_self != &owner_none) {
		if (load_relaxed(&owner_lost))
			owner_take_lost(owner_self);
		any |= owner_trim(owner_self);
	}
	any |= owner_trim_spares();
	any |= owner_trim_parked();
	any |= profile_trim();
	any |= trim_chunks();
	any |= pages_trim();
	return any;
}

bool
heap_make_room(void)
{
	bool any = heap_trim();

	return pages_decommit() || any;
}
