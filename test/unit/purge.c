/* While free memory goes back to the kernel, others find what is free beside it. */
#include "heap/heap.h"
#include "page/dirty.h"
#include "page/page_alloc.h"
#include "unit.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROOM ((size_t)1024)

/* Pages that are asked for while the next memory goes back, and what came of it. */
static size_t wanted;
static struct pginfo *got;

int
madvise(void *base, size_t nbytes, int advice)
{
	size_t n = wanted;
	bool zero;

	wanted = 0;
	if (n != 0 && advice == MADV_DONTNEED)
		got = pages_take(n, 1, &zero);
	return (int)syscall(SYS_madvise, base, nbytes, advice);
}

/* Pages [from, from + npages) of the free run at `first` become dirty. */
static void
make_dirty(struct pginfo *first, size_t from, size_t npages)
{
	bool zero;
	struct pginfo *before = from == 0 ? NULL : pages_take(from, 1, &zero);
	struct pginfo *pg = pages_take(npages, 1, &zero);

	promise(pg == first + from, "a part of the free run is had");
	pages_give(pg, npages);
	if (before != NULL)
		pages_give_clean(before, from);
}

static void
try(struct pginfo *first, size_t from, size_t npages, size_t want, const char *what)
{
	size_t limit = arenas[0].limit;

	make_dirty(first, from, npages);
	promise(page_layer.ndirty == npages, "the run is dirty");
	wanted = want;
	(void)pages_trim();
	promise(wanted == 0 && got != NULL && arenas[0].limit == limit, what);
	if (got != NULL)
		pages_give_clean(got, want);
	got = NULL;
	promise(page_layer.ndirty == 0 && page_check(unit_complain) == 0, "and the heap is whole");
}

int
main(void)
{
	struct pginfo *first;
	bool zero;

	/* Nobody else allocates. */
	setvbuf(stdout, NULL, _IONBF, 0);
	malloc_init();
	/* Longer than what is free already, and apart from it by a page that stays. */
	first = pages_take(ROOM + 1, 1, &zero) + 1;
	pages_shrink(first - 1, 1);
	(void)pages_trim();
	promise(dirty_end(first, ROOM) == 0, "nothing is dirty");
	dirty_set(first + 3, 1, true);
	promise(dirty_end(first, ROOM) == 4 && dirty_end(first, 3) == 0 &&
	    dirty_end(first + 3, 1) == 1 && dirty_end(first + 4, ROOM - 4) == 0, "one page is");
	dirty_set(first + 3, 1, false);
	dirty_set(first + ROOM - 1, 1, true);
	promise(dirty_end(first, ROOM) == ROOM && dirty_end(first, ROOM - 1) == 0, "the last one is");
	dirty_set(first + ROOM - 1, 1, false);
	try(first, 0, 100, ROOM / 2, "memory that goes back leaves the rest of a free run to others");
	try(first, ROOM / 8, 100, ROOM / 2, "what is behind it");
	try(first, ROOM - 100, 100, ROOM / 2, "what is before it");
	try(first, 0, 20, ROOM - 20, "all of it, where few pages go back");
	return unit_done();
}
