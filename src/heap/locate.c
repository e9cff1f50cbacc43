/*
 * locate.c: what an address lies in, whether it is the start of an allocation, and the report when
 * it is not; see imalloc.h. Reads only; entries may change under it when the program is wrong.
 */
#include "chunk/chunk.h"
#include "conf/conf.h"
#include "heap/careful.h"
#include "heap/heap.h"
#include "heap/imalloc.h"
#include "heap/sample.h"
#include "large/large.h"
#include "os/next.h"

/* What an address that is not the start of anything lies in. */
static enum ptr_fault
locate(const void *p, struct place *place)
{
	struct pginfo *pg = page_dir_find(p), *first;
	struct arena *a;
	uintptr_t kind;

	if (sample_owns(p)) {
		sample_place(p, place);
		return PTR_MODIFIED_CHUNK;
	}
	if (arena_count == 0)
		return PTR_NEVER_CALLED;
	if (pg == NULL)
		return (uintptr_t)p < (uintptr_t)arenas[0].origin ? PTR_TOO_LOW : PTR_TOO_HIGH;
	a = arena_of(pg);
	first = pg;
	kind = load_relaxed(&first->owner);
	while (first > a->page_dir && (kind == MALLOC_NOT_MINE || kind == MALLOC_FOLLOW))
		kind = load_relaxed(&(--first)->owner);
	place->start = (uintptr_t)page_address(first);
	if (kind == MALLOC_FREE && first + first->free.npages > pg) {
		place->kind = PLACE_FREE_RUN;
		place->npages = first->free.npages;
		place->end = place->start + (place->npages << malloc_pageshift);
		return PTR_FREE_PAGE;
	}
	if (page_dir_is_idle(kind) && first + first->large.npages > pg) {
		place->kind = PLACE_FREE_RUN;
		place->npages = first->large.npages;
		place->end = place->start + (place->npages << malloc_pageshift);
		place->allocated = first->large.allocated;
		place->freed = first->large.freed;
		return PTR_FREE_PAGE;
	}
	if (kind == MALLOC_FIRST && first + first->large.npages > pg) {
		large_place(first, place);
		place->allocated = first->large.allocated;
		return first == pg && !pg->large.guard ? PTR_MODIFIED_PAGE : PTR_WRONG_PAGE;
	}
	if (owner_is(kind) && first == pg)
		chunk_place(pg, p, place);
	return PTR_WRONG_PAGE;
}

bool
heap_is_foreign(const void *p)
{
	if (!next_is() || p == NULL || sample_owns(p))
		return false;
	for (unsigned i = 0; i < load_acquire(&arena_count); i++)
		if ((uintptr_t)p - (uintptr_t)arenas[i].origin < arenas[i].npages << malloc_pageshift ||
		    (uintptr_t)p - (uintptr_t)arenas[i].meta < arenas[i].meta_nbytes)
			return false;
	return true;
}

void
heap_place(struct pginfo *pg, const void *p, struct place *place)
{
	(void)locate(p, place);
	if (place->kind == PLACE_CHUNK)
		careful_place(pg, (const void *)place->start, place);
}

COLD void
heap_report(const char *func, enum ptr_fault fault, const void *p, size_t freed_size)
{
	struct place place = {.kind = PLACE_UNKNOWN, .freed_size = freed_size};
	enum ptr_fault where;

	/* What to do with it is an option. */
	malloc_init();
	where = locate(p, &place);
	/* Its start: another thread freed or resized it, and by now there is one here again. */
	if (where == PTR_MODIFIED_PAGE && (uintptr_t)p == place.start)
		where = PTR_FREE_PAGE;
	if (place.kind == PLACE_CHUNK)
		careful_place(page_dir_find(p), (const void *)place.start, &place);
	fault_report(func, fault == PTR_OK ? where : fault, p, &place);
}

/* What stands before a guard: a large allocation, or the last chunk of a page. */
static void
place_before(struct pginfo *guard, struct place *place)
{
	struct pginfo *pg = guard - 1;
	const char *last = page_address(guard) - 1;

	if (owner_is(load_acquire(&pg->owner))) {
		chunk_place(pg, last, place);
		careful_place(pg, (void *)place->start, place);
		return;
	}
	(void)locate(last, place);
}

/* Called by the signal handler with the address of an access that failed. */
bool
heap_trapped(void *address)
{
	struct place place = {.kind = PLACE_UNKNOWN};
	struct pginfo *pg = page_dir_find(address);
	enum ptr_fault fault = PTR_USED_FREE;

	if (sample_owns(address)) {
		sample_trapped(address);
		return false;
	}
	if (pg == NULL)
		return false;
	if (load_acquire(&pg->owner) == MALLOC_FIRST && pg->large.guard != GUARD_NONE) {
		fault = PTR_OVERFLOW;
		place_before(pg, &place);
	} else if (locate(address, &place) != PTR_FREE_PAGE) {
		return false;
	}
	fault_report("program", fault, address, &place);
	return false;
}

USUAL struct pginfo *
heap_verify(const void *p, const char *func)
{
	struct pginfo *pg;
	enum ptr_fault fault = PTR_OK;
	uintptr_t kind;

	if (UNLIKELY(!page_dir_get(p, &pg)))
		pg = page_dir_find(p);
	kind = pg == NULL ? MALLOC_NOT_MINE : load_acquire(&pg->owner);
	if (LIKELY(owner_is(kind))) {
		fault = chunk_verify(pg, p);
		if (fault == PTR_OK && opt.notes && careful_is_freed(pg, p))
			fault = PTR_FREE_CHUNK;
	} else if (kind == MALLOC_FIRST) {
		fault = large_verify(pg, p);
	} else {
		heap_report(func, PTR_OK, p, 0);
		return NULL;
	}
	if (LIKELY(fault == PTR_OK))
		return pg;
	heap_report(func, fault, p, 0);
	return NULL;
}

bool
heap_owns(const void *p)
{
	struct pginfo *pg = page_dir_find(p);
	uintptr_t kind = pg == NULL ? MALLOC_NOT_MINE : load_acquire(&pg->owner);
	size_t n;

	if (sample_owns(p))
		return sample_size(p, &n) == PTR_OK;
	if (owner_is(kind))
		return chunk_verify(pg, p) == PTR_OK &&
		    !(opt.notes && careful_is_freed(pg, p));
	return kind == MALLOC_FIRST && large_verify(pg, p) == PTR_OK;
}

void *
heap_base(const void *p, size_t *nbytes)
{
	struct pginfo *pg = page_dir_find(p);
	struct place place = {.kind = PLACE_UNKNOWN};

	if (pg == NULL && !sample_owns(p))
		return NULL;
	heap_place(pg, p, &place);
	if (place.kind == PLACE_UNKNOWN || place.kind == PLACE_FREE_RUN)
		return NULL;
	if (place.kind != PLACE_LARGE && !heap_owns((void *)place.start))
		return NULL;
	if ((uintptr_t)p < place.start || (uintptr_t)p >= place.end)
		return NULL;
	*nbytes = place.end - place.start;
	return (void *)place.start;
}
