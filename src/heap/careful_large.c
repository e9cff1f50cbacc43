/*
 * careful_large.c: large allocations under options; see careful.h. Protected by whoever holds the
 * allocation. No state.
 */
#include "diag/stack.h"
#include "heap/careful.h"
#include "heap/content.h"
#include "heap/held.h"
#include "heap/imalloc.h"
#include "large/large.h"
#include "page/guard.h"

/* Of a freed large allocation so much is filled with junk at the first level. */
#define JUNK_NBYTES malloc_pagesize

/* Where the canary of a large allocation ends: it is not worth touching more pages. */
static size_t
large_canary_end(const struct pginfo *pg)
{
	size_t end = with_canary(pg->large.nbytes), usable = large_usable(pg);

	return end < usable ? end : usable;
}

static void
canary_large(struct pginfo *pg, void *p, size_t n)
{
	pg->large.nbytes = n;
	fill_canary(p, n, large_canary_end(pg), opt.secret);
	store_release(&pg->large.canary, true);
}

size_t
careful_large_written(const struct pginfo *pg)
{
	const char *p = page_address(pg) + pg->large.start;
	size_t asked = pg->large.nbytes, at;

	if (!load_acquire(&pg->large.canary))
		return FILL_WHOLE;
	at = fill_check_canary(p, asked, large_canary_end(pg), opt.secret);
	/* Pairs with the fence before it is written anew; the acquire above with the release after. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return asked == pg->large.nbytes && load_relaxed(&pg->large.canary) ? at : FILL_WHOLE;
}

void *
careful_alloc_pages(size_t n, size_t alignment, bool zero)
{
	size_t end = with_canary(n);
	bool known;
	char *p = end < n ? NULL : pages_or_trim(end, alignment, &known);
	struct pginfo *pg = p == NULL ? NULL : page_of(p);

	if (p == NULL)
		return NULL;
	pg->large.nbytes = n;
	if (opt.stacks)
		pg->large.allocated = stack_record(STACK_DEPTH);
	if (opt.page_end) {
		size_t room = large_usable(pg) - (end == 0 ? 1 : end);
		size_t align = alignment < malloc_minsize ? malloc_minsize : alignment;

		pg->large.start = (uint32_t)(room & ~(align - 1));
		p += pg->large.start;
	}
	if (!known || !(zero || opt.zero))
		fill_new(p, n, large_usable(pg), zero);
	if (opt.canary)
		canary_large(pg, p, n);
	return p;
}

/* Held back, it traps at each access and takes addresses only. */
enum ptr_fault
careful_free_large(struct pginfo *pg, void *p, const char *func)
{
	enum ptr_fault fault = large_verify(pg, p);
	size_t usable;

	if (opt.family && fault == PTR_OK)
		careful_fit(pg, p, func);
	fault = large_claim(pg, p);
	if (fault != PTR_OK)
		return fault;
	if (pg->large.canary)
		check_canary(pg, p, pg->large.nbytes, large_canary_end(pg), func);
	if (opt.stacks)
		pg->large.freed = stack_record(STACK_DEPTH);
	large_forget(pg);
	if (opt.delay && guard_free(pg, pg->large.npages)) {
		if (!careful_hold(page_address(pg), malloc_pagesize))
			large_release(pg);
		return PTR_OK;
	}
	if (opt.junk != 0) {
		usable = large_usable(pg);
		fill_junk(p, opt.junk == 1 && usable > JUNK_NBYTES ? JUNK_NBYTES : usable,
		    JUNK_FREED);
	}
	large_release(pg);
	return PTR_OK;
}

void *
careful_resize_large(struct pginfo *pg, void *p, size_t n, const char *func)
{
	size_t had = pg->large.nbytes, end = with_canary(n);
	void *to = p;

	if (pg->large.canary)
		check_canary(pg, p, had, large_canary_end(pg), func);
	if (end <= malloc_maxsize || pg->large.concealed)
		return NULL;
	/* What is given up has to be held, and its end to be the pages' end. */
	if (opt.page_end || (opt.delay && round_up(end, malloc_pagesize) >> malloc_pageshift !=
	    pg->large.npages))
		return NULL;
	store_relaxed(&pg->large.canary, false);
	/* Pairs with the fence of the checker, as in note_begin. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	to = large_resize(pg, p, end);
	if (to == NULL) {
		store_release(&pg->large.canary, opt.canary);
		return NULL;
	}
	pg = page_of(to);
	pg->large.family = FAMILY_MALLOC;
	fill_grown(to, had, n);
	if (opt.canary)
		canary_large(pg, to, n);
	else
		pg->large.nbytes = n;
	return to;
}
