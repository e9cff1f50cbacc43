/*
 * purge.c: gives back the OS pages of a page of chunks that no chunk in use reaches into, also of
 * other threads' pages; see chunk_purge in chunk.h, and owner.h for how it keeps out of the owner's
 * way. No state. Protected by LOCK_PURGE, and by PGINFO_PURGING of the page.
 */
#include "chunk/chunk.h"

#include "chunk/chunk_page.h"
#include "os/lock.h"
#include "os/vm.h"

static bool
chunk_is_free(const struct pginfo *pg, size_t i)
{
	uint64_t word = load_relaxed(&pg->bits[i / 64]) | load_relaxed(&chunk_remote(pg)[i / 64]);

	return (word >> (i % 64) & 1) != 0;
}

/* Purges the OS pages that no chunk in use reaches into. */
static bool
purge_holes(const struct pginfo *pg)
{
	const struct size_class *c = &size_classes[pg->chunk.class_no];
	char *page = page_address(pg);
	size_t hole = 0, end;
	bool any = false;

	if (chunk_keep)
		return false;
	for (size_t i = 0; i <= c->nchunks; i++) {
		if (i < c->nchunks && chunk_is_free(pg, i))
			continue;
		end = i == c->nchunks ? malloc_pagesize : i * c->size & ~(vm_pagesize - 1);
		if (hole < end && vm_resident(page + hole, end - hole) != 0)
			any |= vm_purge(page + hole, end - hole);
		hole = round_up((i + 1) * c->size, vm_pagesize);
	}
	return any;
}

bool
chunk_purge(struct pginfo *pg)
{
	uintptr_t word;
	bool any = false;

	lock_take(LOCK_PURGE);
	word = load_relaxed(&pg->owner);
	if (owner_is(word) && __atomic_compare_exchange_n(&pg->owner, &word,
	    word | PGINFO_PURGING, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
		if (__atomic_load_n(&pg->chunk.state, __ATOMIC_SEQ_CST) != PAGE_CURRENT)
			any = purge_holes(pg);
		__atomic_fetch_and(&pg->owner, ~(uintptr_t)PGINFO_PURGING, __ATOMIC_SEQ_CST);
	}
	lock_drop(LOCK_PURGE);
	return any;
}

bool
chunk_purge_current(struct owner *o)
{
	bool any = false;

	for (unsigned c = 0; c < CLASS_COUNT; c++)
		if (o->slots[c].page != NULL)
			any |= purge_holes(o->slots[c].page);
	return any;
}
