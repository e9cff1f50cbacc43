/*
 * large.c: allocations of whole pages; see large.h. A large allocation belongs to who holds its
 * pointer; a compare-and-swap of its entry decides between two that free it at once.
 */
#include "large/large.h"

#include "chunk/kept.h"
#include "os/vm.h"
#include "page/guard.h"
#include "page/page_alloc.h"

#include <string.h>

/* Moving page tables is cheaper than copying from here on. */
#define MOVE_NPAGES_MIN 16U

uint64_t large_nmalloc;
uint64_t large_nfree;

/* Counts with the thread's own, or with those of all that have none. */
static void
count(uint64_t *own, uint64_t *others)
{
	if (LIKELY(owner_self != &owner_none))
		store_relaxed(own, *own + 1);
	else
		__atomic_fetch_add(others, 1, __ATOMIC_RELAXED);
}

static size_t
pages_for(size_t n)
{
	return n == 0 ? 1 : (n - 1) / malloc_pagesize + 1;
}

void *
malloc_pages(size_t n, size_t alignment, bool *zero)
{
	size_t align = alignment <= malloc_pagesize ? 1 : alignment >> malloc_pageshift;
	size_t npages = pages_for(n);
	struct pginfo *pg = NULL;

	if (n > PTRDIFF_MAX || alignment > PTRDIFF_MAX)
		return NULL;
	/* A thread that comes again and again is to keep what it frees. */
	if (npages <= KEPT_LENGTH_MAX && UNLIKELY(owner_self == &owner_none))
		(void)owner_attach();
	*zero = false;
	if (align == 1)
		pg = kept_take(owner_self, npages);
	if (pg == NULL)
		pg = pages_take(npages, align, zero);
	if (pg == NULL)
		return NULL;
	pg->large.nbytes = n;
	count(&owner_self->large_nmalloc, &large_nmalloc);
	return page_address(pg);
}

enum ptr_fault
large_verify(const struct pginfo *pg, const void *p)
{
	if (pg->large.guard)
		return PTR_WRONG_PAGE;
	if (((uintptr_t)p & malloc_pagemask) != pg->large.start)
		return PTR_MODIFIED_PAGE;
	return load_relaxed(&pg->owner) == MALLOC_FIRST ? PTR_OK : PTR_FREE_PAGE;
}

enum ptr_fault
large_claim(struct pginfo *pg, const void *p)
{
	uintptr_t kind = MALLOC_FIRST;
	enum ptr_fault fault = large_verify(pg, p);

	if (fault != PTR_OK)
		return fault;
	/* Pairs with the release that made it MALLOC_FIRST: what was done with the pages is over. */
	if (!__atomic_compare_exchange_n(&pg->owner, &kind, MALLOC_RUN_MOVING, false,
	    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return PTR_FREE_PAGE;
	count(&owner_self->large_nfree, &large_nfree);
	return PTR_OK;
}

void
large_forget(struct pginfo *pg)
{
	char *page = page_address(pg);

	if (!pg->large.concealed)
		return;
	memset(page + pg->large.start, 0, pg->large.nbytes);
	(void)vm_conceal(page, (size_t)pg->large.npages << malloc_pageshift, false);
	pg->large.concealed = false;
}

void
large_release(struct pginfo *pg)
{
	size_t npages = pg->large.npages, nbytes = npages << malloc_pageshift;
	char *page = page_address(pg);

	if (UNLIKELY(pg->large.concealed))
		large_forget(pg);
	/* A mapping of its own again like its neighbours, so that they count as one. */
	if (pg->large.moved && vm_renew(page, nbytes))
		pages_give_clean(pg, npages);
	else if (pg->large.moved || !kept_put(owner_self, pg))
		pages_give(pg, npages);
}

enum ptr_fault
large_free(struct pginfo *pg, const void *p)
{
	enum ptr_fault fault = large_claim(pg, p);

	if (fault == PTR_OK)
		large_release(pg);
	return fault;
}

void
large_place(const struct pginfo *pg, struct place *place)
{
	place->kind = PLACE_LARGE;
	place->npages = pg->large.npages;
	place->start = (uintptr_t)page_address(pg) + pg->large.start;
	place->end = place->start + large_usable(pg);
}

size_t
large_usable(const struct pginfo *pg)
{
	return ((size_t)pg->large.npages << malloc_pageshift) - pg->large.start;
}

/* A new run that takes the old one's pages over. NULL when the kernel does not do that. */
static void *
move_to(struct pginfo *pg, void *p, size_t n)
{
	size_t npages = pg->large.npages;
	bool zero;
	struct pginfo *to = pages_take(pages_for(n), 1, &zero);
	char *page;

	if (to == NULL)
		return NULL;
	page = page_address(to);
	if (!vm_move(p, page, npages << malloc_pageshift)) {
		pages_give_clean(to, to->large.npages);
		return NULL;
	}
	to->large.moved = true;
	to->large.nbytes = n;
	/* What the kernel left behind is as new, unless it had been moved there itself. */
	if (pg->large.moved)
		(void)vm_renew(p, npages << malloc_pageshift);
	pages_give_clean(pg, npages);
	return page;
}

/* The allocation is claimed. NULL: nothing was changed. */
static void *
resize_claimed(struct pginfo *pg, void *p, size_t n)
{
	size_t npages = pages_for(n), have = pg->large.npages;
	bool zero;

	if (npages < have && (page_guards || page_traps))
		return NULL;
	if (npages < have)
		pages_shrink(pg, npages);
	else if (npages > have && !pages_grow(pg, npages - have, &zero) &&
	    /* What is kept may be in the way. */
	    !(kept_release(owner_self) && pages_grow(pg, npages - have, &zero)))
		return have >= MOVE_NPAGES_MIN ? move_to(pg, p, n) : NULL;
	pg->large.nbytes = n;
	return p;
}

void *
large_resize(struct pginfo *pg, void *p, size_t n)
{
	uintptr_t kind = MALLOC_FIRST;
	void *to;

	if (n > PTRDIFF_MAX || pg->large.start != 0 || pg->large.concealed)
		return NULL;
	/* Another thread may free it in this moment, and which of the two is wrong has to be plain. */
	if (!__atomic_compare_exchange_n(&pg->owner, &kind, MALLOC_RUN_MOVING, false,
	    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return NULL;
	to = resize_claimed(pg, p, n);
	/* Pairs with the exchanges here and in large_claim: who takes it sees its new size. */
	if (to == p || to == NULL)
		store_release(&pg->owner, MALLOC_FIRST);
	return to;
}
