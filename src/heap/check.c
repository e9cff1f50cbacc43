/*
 * check.c: the walk behind phkmalloc_check(): page layer, chunks, what options wrote. Messages are
 * written when no lock is held any more, but for those about broken bookkeeping. No state.
 */
#include "chunk/chunk.h"
#include "conf/conf.h"
#include "heap/careful.h"
#include "heap/heap.h"
#include "heap/sample.h"
#include "page/page_alloc.h"

#define FUNC "phkmalloc_check"

static void
complain(const char *what, const void *where)
{
	fault_note(FUNC, what, where);
}

size_t
heap_check(void)
{
	struct broken b = {.n = 0};
	size_t n = page_check(complain) + chunk_check(complain);

	careful_check(&b);
	sample_check(&b);
	for (size_t i = 0; i < b.n && i < BROKEN_MAX; i++)
		fault_warn(FUNC, b.first[i].fault, (void *)b.first[i].place.start, &b.first[i].place);
	return n + b.n;
}

/*
 * At the end of the process: what two threads freed in the same moment is found when it is
 * collected, and what was written to memory that nobody frees or uses any more is found here.
 */
USUAL void
heap_exit(void)
{
	struct broken b = {.n = 0};

	if (owner_self != &owner_none)
		chunk_drain(owner_self);
	if (opt.notes)
		careful_check(&b);
	if (opt.sample_rate != 0)
		sample_check(&b);
	for (size_t i = 0; i < b.n && i < BROKEN_MAX; i++)
		fault_report("exit", b.first[i].fault, (void *)b.first[i].place.start,
		    &b.first[i].place);
}
