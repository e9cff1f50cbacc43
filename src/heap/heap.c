/*
 * heap.c: every request, validated, dispatched, reported; see heap.h. State: whether the heap is
 * set up, protected by LOCK_INIT.
 */
#include "heap/heap.h"

#include "chunk/chunk.h"
#include "conf/conf.h"
#include "heap/inspect.h"
#include "large/large.h"
#include "os/env.h"
#include "os/lock.h"
#include "os/thread.h"
#include "os/vm.h"
#include "page/page_alloc.h"

#include <string.h>

static int started;

void
malloc_init(void)
{
	if (LIKELY(load_acquire(&started) != 0))
		return;
	lock_take(LOCK_INIT);
	if (started == 0) {
		vm_init();
		env_init();
		conf_init();
		owner_init(false);
		store_release(&started, 1);
	}
	lock_drop(LOCK_INIT);
}

static void
fork_child(void)
{
	lock_reset_all();
	owner_after_fork();
}

/* What may allocate waits for the constructor; the heap itself may be long in use by then. */
__attribute__((constructor)) static void
constructor(void)
{
	malloc_init();
	thread_fork_init(lock_take_all, lock_drop_all, fork_child);
}

__attribute__((destructor)) static void
destructor(void)
{
	if (conf.dump)
		inspect_dump();
}

/* --- faults ------------------------------------------------------------------------------ */

/* What an address that is not the start of anything lies in. */
static enum ptr_fault
locate(const void *p, struct place *place)
{
	struct pginfo *pg = page_dir_find(p), *first;
	struct arena *a;
	uintptr_t kind;

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
	if (kind == MALLOC_FIRST && first + first->large.npages > pg) {
		place->kind = PLACE_LARGE;
		place->npages = first->large.npages;
		place->end = place->start + (place->npages << malloc_pageshift);
		return first == pg ? PTR_MODIFIED_PAGE : PTR_WRONG_PAGE;
	}
	if (owner_is(kind) && first == pg)
		chunk_place(pg, p, place);
	return PTR_WRONG_PAGE;
}

COLD static void
report(const char *func, enum ptr_fault fault, const void *p, size_t freed_size)
{
	struct place place = {.kind = PLACE_UNKNOWN};
	enum ptr_fault where = locate(p, &place);

	/* A page that just now was found free may have been merged with the run before it. */
	fault_report(func, fault == PTR_OK ? where : fault, p, &place, freed_size);
}

/* Checks that p is the start of an allocation: its entry, or a report. */
static struct pginfo *
verify(const void *p, const char *func)
{
	struct pginfo *pg;
	enum ptr_fault fault = PTR_OK;
	uintptr_t kind;

	if (UNLIKELY(!page_dir_get(p, &pg)))
		pg = page_dir_find(p);
	if (UNLIKELY(pg == NULL)) {
		report(func, PTR_OK, p, 0);
		return NULL;
	}
	kind = load_acquire(&pg->owner);
	if (owner_is(kind))
		fault = chunk_verify(pg, p);
	else if (kind == MALLOC_FIRST)
		fault = large_verify(pg, p);
	else
		report(func, PTR_OK, p, 0);
	if (UNLIKELY(fault != PTR_OK))
		report(func, fault, p, 0);
	return pg;
}

/* --- allocating --------------------------------------------------------------------------- */

/* A chunk for a thread that has no owner yet, or none any more. */
static COLD void *
chunk_without_owner(unsigned class_no)
{
	struct owner *o;
	void *p = NULL;

	malloc_init();
	o = owner_attach();
	if (o != NULL)
		return chunk_take_slow(o, class_no);
	if (!owner_exited())
		return NULL;
	lock_take(LOCK_LATE);
	o = owner_late();
	if (o != NULL && !chunk_take(&o->slots[class_no], &p))
		p = chunk_take_slow(o, class_no);
	lock_drop(LOCK_LATE);
	return p;
}

/* In 1996 this was malloc_bytes. */
static void *
malloc_bytes(unsigned class_no)
{
	struct owner *o = owner_self;
	void *p;

	if (LIKELY(chunk_take(&o->slots[class_no], &p)))
		return p;
	if (UNLIKELY(o == &owner_none))
		return chunk_without_owner(class_no);
	return chunk_take_slow(o, class_no);
}

/* Pages, after everything was given back that only waits to be used again if need be. */
static void *
pages_or_trim(size_t n, size_t alignment, bool *zero)
{
	void *p;

	malloc_init();
	p = malloc_pages(n, alignment, zero);
	if (UNLIKELY(p == NULL) && n <= PTRDIFF_MAX && heap_trim())
		p = malloc_pages(n, alignment, zero);
	return p;
}

void *
imalloc(size_t n)
{
	bool zero;

	if (LIKELY(n <= malloc_maxsize))
		return malloc_bytes(size_class_of(n));
	return pages_or_trim(n, 1, &zero);
}

void *
imalloc_aligned(size_t n, size_t alignment)
{
	unsigned class_no = size_class_aligned(n, alignment);
	bool zero;

	if (class_no != CLASS_NONE)
		return malloc_bytes(class_no);
	return pages_or_trim(n, alignment, &zero);
}

void *
icalloc(size_t n)
{
	bool zero = false;
	void *p = n <= malloc_maxsize ? malloc_bytes(size_class_of(n)) : pages_or_trim(n, 1, &zero);

	if (p != NULL && !zero)
		memset(p, 0, n);
	return p;
}

/* --- freeing ------------------------------------------------------------------------------ */

NOINLINE void
ifree(void *p, const char *func)
{
	struct pginfo *pg;
	enum ptr_fault fault = PTR_OK;
	uintptr_t kind;

	if (p == NULL)
		return;
	if (UNLIKELY(!page_dir_get(p, &pg)))
		pg = page_dir_find(p);
	kind = pg == NULL ? MALLOC_NOT_MINE : load_acquire(&pg->owner);
	if (LIKELY(owner_is(kind)))
		fault = chunk_free_slow(owner_self, pg, p);
	else if (kind == MALLOC_FIRST)
		fault = large_free(pg, p);
	else
		report(func, PTR_OK, p, 0);
	if (UNLIKELY(fault != PTR_OK))
		report(func, fault, p, 0);
}

/* Whether an allocation of `have` bytes is what n bytes of it may be resized to in place. */
static bool
stays(size_t n, size_t have)
{
	/* As in 1996: a chunk stays where it is while more than half of it is used. */
	return n <= have && (n > have / 2 || have == malloc_minsize);
}

void
ifree_sized(void *p, size_t n, size_t alignment, bool exact, const char *func)
{
	struct pginfo *pg;
	unsigned class_no;
	bool right;

	if (p == NULL)
		return;
	pg = verify(p, func);
	class_no = size_class_aligned(n, alignment);
	if (owner_is(load_relaxed(&pg->owner)))
		right = class_no == pg->chunk.class_no || (!exact && stays(n, chunk_size(pg)));
	else
		right = class_no == CLASS_NONE && n <= large_usable(pg) &&
		    n + malloc_pagesize > large_usable(pg);
	if (!right)
		report(func, PTR_WRONG_SIZE, p, n);
	ifree(p, func);
}

/* --- resizing ----------------------------------------------------------------------------- */

size_t
iusable(const void *p, const char *func)
{
	struct pginfo *pg = verify(p, func);

	return owner_is(load_relaxed(&pg->owner)) ? chunk_size(pg) : large_usable(pg);
}

void *
irealloc(void *p, size_t n, const char *func)
{
	struct pginfo *pg = verify(p, func);
	size_t have;
	void *to;

	if (owner_is(load_relaxed(&pg->owner))) {
		have = chunk_size(pg);
		if (stays(n, have))
			return p;
	} else {
		have = large_usable(pg);
		if (n > malloc_maxsize) {
			to = large_resize(pg, p, n);
			if (to != NULL)
				return to;
		}
	}
	to = imalloc(n);
	if (to == NULL)
		return n <= have ? p : NULL;
	memcpy(to, p, n < have ? n : have);
	ifree(p, func);
	return to;
}

/* --- the whole heap ----------------------------------------------------------------------- */

bool
heap_trim(void)
{
	bool any = false;

	if (owner_self != &owner_none)
		any |= owner_trim(owner_self);
	any |= owner_trim_parked();
	any |= pages_trim();
	return any;
}

bool
heap_owns(const void *p)
{
	struct pginfo *pg = page_dir_find(p);
	uintptr_t kind = pg == NULL ? MALLOC_NOT_MINE : load_acquire(&pg->owner);

	if (owner_is(kind))
		return chunk_verify(pg, p) == PTR_OK;
	return kind == MALLOC_FIRST && large_verify(pg, p) == PTR_OK;
}

void *
heap_base(const void *p, size_t *nbytes)
{
	struct pginfo *pg = page_dir_find(p);
	struct place place = {.kind = PLACE_UNKNOWN};

	if (pg == NULL)
		return NULL;
	(void)locate(p, &place);
	if (place.kind != PLACE_LARGE &&
	    (place.kind != PLACE_CHUNK || !heap_owns((void *)place.start)))
		return NULL;
	if ((uintptr_t)p < place.start || (uintptr_t)p >= place.end)
		return NULL;
	*nbytes = place.end - place.start;
	return (void *)place.start;
}
