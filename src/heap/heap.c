/*
 * heap.c: every request, validated, dispatched, reported; see heap.h. No state.
 */
#include "heap/heap.h"

#include "chunk/chunk.h"
#include "conf/conf.h"
#include "heap/careful.h"
#include "heap/imalloc.h"
#include "heap/sample.h"
#include "heap/watched.h"
#include "large/large.h"
#include "os/lock.h"
#include "os/next.h"
#include "os/vm.h"
#include "page/page_alloc.h"
#include "watch/profile.h"
#include "watch/trace.h"

#include <string.h>

/* --- allocating --------------------------------------------------------------------------- */

/* A chunk for a thread that has no owner yet, or none any more. */
static NOINLINE void *
chunk_without_owner(unsigned class_no, size_t n)
{
	struct owner *o;
	void *p = NULL;

	malloc_init();
	o = owner_attach();
	if (o != NULL)
		return chunk_take_slow(o, &o->slots[class_no], n);
	if (!owner_exited())
		return NULL;
	lock_take(LOCK_LATE);
	o = owner_late();
	if (o != NULL && !chunk_take(&o->slots[class_no], &p))
		p = chunk_take_slow(o, &o->slots[class_no], n);
	lock_drop(LOCK_LATE);
	return p;
}

/* The name of 1996. */
void *
malloc_bytes(unsigned class_no, size_t n)
{
	struct owner *o = owner_self;
	void *p;

	if (LIKELY(chunk_take(&o->slots[class_no], &p)))
		return p;
	if (UNLIKELY(o == &owner_none))
		return chunk_without_owner(class_no, n);
	return chunk_take_slow(o, &o->slots[class_no], n);
}

void *
malloc_bytes_random(unsigned class_no, size_t n, uint64_t random)
{
	struct owner *o = owner_self;

	if (UNLIKELY(o == &owner_none))
		return chunk_without_owner(class_no, n);
	return chunk_take_random(o, &o->slots[class_no], n, random);
}

void *
pages_or_trim(size_t n, size_t alignment, bool *zero)
{
	void *p;

	malloc_init();
	p = malloc_pages(n, alignment, zero);
	if (UNLIKELY(p == NULL) && n <= PTRDIFF_MAX && heap_trim())
		p = malloc_pages(n, alignment, zero);
	return p;
}

/* `watched`: a profile or an option may have to do with it. */
ALWAYS_INLINE void *
alloc_plain(size_t n, size_t alignment, unsigned class_no, bool zero, bool watched)
{
	bool known = false;
	void *p = NULL;

	if (UNLIKELY(watched) && class_no != CLASS_NONE && UNLIKELY(watch_is_due(owner_self, class_no)))
		p = watched_alloc(n, alignment, class_no);
	if (UNLIKELY(p != NULL))
		return zero ? memset(p, 0, n) : p;
	if (LIKELY(class_no != CLASS_NONE))
		p = malloc_bytes(class_no, n);
	else
		p = pages_or_trim(n, alignment, &known);
	/* Before there is no memory, what is free in vain gives its room to what is asked for. */
	if (UNLIKELY(p == NULL) && class_no != CLASS_NONE && heap_make_room())
		p = malloc_bytes(class_no, n);
	if (zero && !known && p != NULL)
		memset(p, 0, n);
	if (UNLIKELY(watched) && class_no == CLASS_NONE && p != NULL)
		watched_large(p, n);
	return p;
}

/* As the options want it, but not recorded. */
static void *
alloc_optional(size_t n, size_t alignment, unsigned class_no, bool zero)
{
	void *p = NULL;
	bool watched;

	if (UNLIKELY(load_acquire(&heap_started) == 0))
		malloc_init();
	if (n == 0 && opt.zero_is_null)
		return NULL;
	watched = opt.sample_rate != 0 || load_relaxed(&owner_watch.profile_rate) != 0;
	if (!opt.careful)
		return alloc_plain(n, alignment, class_no, zero, watched);
	if (UNLIKELY(watched) && class_no != CLASS_NONE)
		p = opt.notes ? watched_guard(n, alignment, class_no) :
		    watched_alloc(n, alignment, class_no);
	if (UNLIKELY(p != NULL))
		return zero || opt.zero ? memset(p, 0, n) : p;
	p = careful_alloc(n, alignment, zero);
	if (UNLIKELY(watched) && class_no == CLASS_NONE && !opt.notes && p != NULL)
		watched_large(p, n);
	return p;
}

static NOINLINE void *
alloc_recorded(enum trace_op op, size_t n, size_t alignment, unsigned class_no, bool zero)
{
	void *p = alloc_optional(n, alignment, class_no, zero);

	if (opt.trace != 0)
		trace_alloc(op, p, n, alignment);
	return p;
}

ALWAYS_INLINE void *
alloc(enum trace_op op, size_t n, size_t alignment, unsigned class_no, bool zero)
{
	/* In this order: options are not to be asked before they are known to be there. */
	if (UNLIKELY(load_acquire(&heap_started) == 0 || opt.looked))
		return alloc_recorded(op, n, alignment, class_no, zero);
	return alloc_plain(n, alignment, class_no, zero, load_relaxed(&owner_watch.any) != 0);
}

/* Option M notes who allocated what; allocations before guards have no room for it. */
static NOINLINE void
mark(void *p, enum family family)
{
	if (p != NULL && !sample_owns(p))
		careful_mark(p, family);
}

void *
imalloc(size_t n)
{
	if (UNLIKELY(opt.notes_only))
		return careful_alloc(n, 1, false);
	return alloc(TRACE_MALLOC, n, 1, n <= malloc_maxsize ? size_class_of(n) : CLASS_NONE, false);
}

void *
imalloc_aligned(size_t n, size_t alignment)
{
	void *p = alloc(TRACE_ALIGNED, n, alignment, size_class_aligned(n, alignment), false);

	if (UNLIKELY(opt.family))
		mark(p, FAMILY_ALIGNED);
	return p;
}

void *
icalloc(size_t n)
{
	return alloc(TRACE_CALLOC, n, 1, n <= malloc_maxsize ? size_class_of(n) : CLASS_NONE, true);
}

void *
inew(size_t n, size_t alignment, bool array)
{
	void *p;

	/* new of nothing is something, whatever malloc(0) is. */
	n += n == 0;
	p = alloc(TRACE_NEW, n, alignment, size_class_aligned(n, alignment), false);
	if (UNLIKELY(opt.family))
		mark(p, alignment == 1 ? (array ? FAMILY_ARRAY : FAMILY_NEW) :
		    (array ? FAMILY_ARRAY_ALIGNED : FAMILY_NEW_ALIGNED));
	return p;
}

static void *
conceal_plain(size_t n, bool zero)
{
	bool known = false;
	struct pginfo *pg;
	void *p;

	malloc_init();
	p = opt.careful ? careful_alloc_pages(n, 1, zero) : pages_or_trim(n, 1, &known);
	if (p == NULL)
		return NULL;
	pg = page_dir_find(p);
	pg->large.concealed = true;
	(void)vm_conceal(page_address(pg), (size_t)pg->large.npages << malloc_pageshift, true);
	if (zero && !known && !opt.careful)
		memset(p, 0, n);
	return p;
}

void *
iconceal(size_t n, bool zero)
{
	void *p = conceal_plain(n, zero);

	if (UNLIKELY(opt.trace != 0))
		trace_alloc(zero ? TRACE_CALLOC : TRACE_MALLOC, p, n, 1);
	return p;
}

/* --- freeing ------------------------------------------------------------------------------ */

/* A chunk in a page whose owner is `kind`. */
ALWAYS_INLINE enum ptr_fault
free_chunk(struct pginfo *pg, const void *p, uintptr_t kind)
{
	return UNLIKELY(profile_has(kind)) ? profile_free(pg, p) :
	    chunk_free_slow(owner_self, pg, p);
}

/* What is not a chunk of the first arena, or met by options that look at each allocation. */
static NOINLINE void
free_other(void *p, const char *func)
{
	struct pginfo *pg = page_dir_find(p);
	uintptr_t kind = pg == NULL ? MALLOC_NOT_MINE : load_acquire(&pg->owner);
	enum ptr_fault fault = PTR_OK;

	if (opt.notes && (owner_is(kind) || kind == MALLOC_FIRST)) {
		fault = careful_free(pg, p, func);
	} else if (owner_is(kind)) {
		fault = free_chunk(pg, p, kind);
	} else if (kind == MALLOC_FIRST) {
		fault = watched_free_large(pg, p);
		if (UNLIKELY(load_relaxed(&page_surplus)))
			chunk_hurry(owner_self);
	} else if (sample_owns(p)) {
		fault = sample_free(p, func);
	} else if (opt.others && heap_is_foreign(p)) {
		next_free(p);
	} else {
		heap_report(func, PTR_OK, p, 0);
	}
	if (UNLIKELY(fault != PTR_OK))
		heap_report(func, fault, p, 0);
}

/* Without a record of it. */
ALWAYS_INLINE void
free_plain(void *p, const char *func)
{
	struct pginfo *pg;
	enum ptr_fault fault;
	uintptr_t kind;

	if (UNLIKELY(!page_dir_get(p, &pg)) ||
	    UNLIKELY(!owner_is(kind = load_acquire(&pg->owner)))) {
		free_other(p, func);
		return;
	}
	fault = UNLIKELY(opt.notes) ? careful_free(pg, p, func) : free_chunk(pg, p, kind);
	if (UNLIKELY(fault != PTR_OK))
		heap_report(func, fault, p, 0);
}

static NOINLINE void
free_rest(void *p, const char *func)
{
	if (p == NULL)
		return;
	if (UNLIKELY(opt.trace != 0))
		/* operator delete, aligned operator delete. */
		trace_free(p, func[0] == 'o' || func[0] == 'a' ? TRACE_BY_DELETE : TRACE_BY_FREE);
	free_plain(p, func);
}

NOINLINE void
ifree_at(struct pginfo *pg, void *p, const char *func)
{
	if (UNLIKELY(!chunk_free_other(owner_self, pg, p)))
		free_rest(p, func);
}

NOINLINE void
ifree(void *p, const char *func)
{
	struct pginfo *pg;

	if (UNLIKELY(!page_dir_get(p, &pg)) || UNLIKELY(!chunk_free_other(owner_self, pg, p)))
		free_rest(p, func);
}

/* Whether an allocation of `have` bytes is what n bytes of it may be resized to in place. */
static bool
stays(size_t n, size_t have)
{
	/* As in 1996: a chunk stays where it is while more than half of it is used. */
	return n <= have && (n > have / 2 || have == malloc_minsize);
}

/* Whether n bytes at this alignment may be what pg was allocated for. */
static bool
size_fits(const struct pginfo *pg, const void *p, size_t n, size_t alignment, bool exact)
{
	unsigned class_no = size_class_aligned(n, alignment);

	if (opt.notes)
		return careful_size(pg, p) == n;
	if (owner_is(load_relaxed(&pg->owner)))
		return class_no == pg->chunk.class_no || (!exact && stays(n, chunk_size(pg)));
	return class_no == CLASS_NONE && n <= large_usable(pg) &&
	    (n == 0 ? 1 : n) + malloc_pagesize > large_usable(pg);
}

void
ifree_sized(void *p, size_t n, size_t alignment, bool exact, const char *func)
{
	enum ptr_fault fault = PTR_OK;
	struct pginfo *pg;
	size_t have;
	bool fits;

	if (p == NULL)
		return;
	if (UNLIKELY(opt.others) && heap_is_foreign(p)) {
		next_free(p);
		return;
	}
	if (exact && n == 0)
		n = 1;
	if (UNLIKELY(sample_owns(p))) {
		fault = sample_size(p, &have);
		fits = have == (n == 0 ? 1 : n);
	} else {
		pg = heap_verify(p, func);
		if (pg == NULL)
			return;
		fits = size_fits(pg, p, n, alignment, exact);
	}
	if (fault == PTR_OK && ((uintptr_t)p & (alignment - 1)) != 0)
		fault = PTR_WRONG_ALIGNMENT;
	else if (fault == PTR_OK && !fits)
		fault = PTR_WRONG_SIZE;
	if (fault != PTR_OK)
		heap_report(func, fault, p, n);
	/* Going on, it is the pointer that counts. */
	if (fault == PTR_OK || fault == PTR_WRONG_SIZE || fault == PTR_WRONG_ALIGNMENT)
		ifree(p, func);
}

/* --- resizing ----------------------------------------------------------------------------- */

bool
iusable(const void *p, size_t *nbytes, const char *func)
{
	struct pginfo *pg;
	enum ptr_fault fault;

	if (UNLIKELY(opt.others) && heap_is_foreign(p)) {
		*nbytes = next_usable((void *)(uintptr_t)p);
		return true;
	}
	if (UNLIKELY(sample_owns(p))) {
		fault = sample_size(p, nbytes);
		if (fault != PTR_OK)
			heap_report(func, fault, p, 0);
		return fault == PTR_OK;
	}
	pg = heap_verify(p, func);
	if (pg == NULL)
		return false;
	/* What is behind it belongs to canaries, or is not kept or filled anew by realloc. */
	if (opt.notes)
		*nbytes = careful_size(pg, p);
	else if (owner_is(load_relaxed(&pg->owner)))
		*nbytes = chunk_size(pg);
	else
		*nbytes = opt.zero ? pg->large.nbytes : large_usable(pg);
	return true;
}

/* Moves to a new allocation. */
static void *
move(void *p, size_t have, size_t n, bool concealed, const char *func)
{
	void *to = concealed ? conceal_plain(n, false) :
	    UNLIKELY(opt.looked) ? alloc_optional(n, 1, size_class_aligned(n, 1), false) : imalloc(n);

	/* Too little memory to shrink is no reason to fail, unless an option must see the move. */
	if (to == NULL)
		return n <= have && !opt.realloc_careful ? p : NULL;
	memcpy(to, p, n < have ? n : have);
	free_plain(p, func);
	return to;
}

/* The same for a chunk, on the fast paths of malloc and free where they are open. */
static void *
move_chunk(struct pginfo *pg, void *p, size_t n, const char *func)
{
	size_t have = chunk_size(pg);
	void *to;

	if (UNLIKELY(n > CLASS_DIRECT_MAX) ||
	    UNLIKELY(!chunk_take(owner_self->direct[(n + 15) / 16], &to)))
		return move(p, have, n, false, func);
	memcpy(to, p, n < have ? n : have);
	if (UNLIKELY(!chunk_free(owner_self, pg, p)))
		free_plain(p, func);
	return to;
}

static void *
resize(void *p, size_t n, const char *func)
{
	struct pginfo *pg;
	size_t have, had;
	void *to = NULL;

	if (UNLIKELY(opt.others) && heap_is_foreign(p))
		return next_realloc(p, n);
	if (UNLIKELY(sample_owns(p)))
		return iusable(p, &have, func) ? move(p, have, n, false, func) : NULL;
	pg = heap_verify(p, func);
	if (pg == NULL)
		return NULL;
	if (opt.family)
		careful_fit(pg, p, func);
	if (UNLIKELY(opt.notes)) {
		have = careful_size(pg, p);
		to = careful_resize(pg, p, n, func);
	} else if (owner_is(load_relaxed(&pg->owner))) {
		have = chunk_size(pg);
		if (stays(n, have) && !opt.realloc_moves)
			return p;
	} else {
		have = large_usable(pg);
		had = pg->large.nbytes;
		if (n > malloc_maxsize && !opt.realloc_moves)
			to = watched_resize_large(pg, p, n);
		if (opt.zero && to != NULL && n > had)
			memset((char *)to + had, 0, n - had);
	}
	if (to != NULL)
		return to;
	return move(p, have, n, !owner_is(load_relaxed(&pg->owner)) && pg->large.concealed, func);
}

void *
irealloc(void *p, size_t n, const char *func)
{
	struct pginfo *pg;
	uint64_t start;
	void *to;

	if (LIKELY(page_dir_get(p, &pg)) && LIKELY(!opt.realloc_careful) &&
	    LIKELY(owner_is(load_acquire(&pg->owner))) &&
	    LIKELY(chunk_verify(pg, p) == PTR_OK))
		return stays(n, chunk_size(pg)) ? p : move_chunk(pg, p, n, func);
	if (LIKELY(opt.trace == 0))
		return resize(p, n, func);
	start = trace_resizing();
	to = resize(p, n, func);
	trace_resized(p, to, n, start);
	return to;
}
