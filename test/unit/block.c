/* Blocks: large heaps of small chunks come in huge pages, and next to no memory is spent on it. */
#include "heap/heap.h"
#include "huge.h"
#include "page/block.h"
#include "page/page_alloc.h"
#include "phkmalloc.h"
#include "unit.h"

#include <malloc.h>

#define COUNT 1000000 /* 96 MB, of which a third comes before there are blocks */
#define SIZE ((size_t)96)
#define CALLS 6       /* kernel calls in a row, each of which fails in turn */

#define NPAGES ((size_t)1500) /* for chunks, 96 MB, and metadata with each */
#define META ((size_t)64)

static uint64_t *small[COUNT];
static struct {
	struct pginfo *pg;
	void *meta;
} taken[NPAGES];

/* Allocates and fills all; counts how often a refused call led to no memory. */
static size_t
fill(bool refuse)
{
	size_t none = 0;

	for (size_t i = 0; i < COUNT; i++) {
		if (refuse && i % 10000 == 0)
			vm_fail_countdown = i / 10000 % CALLS + 1;
		while ((small[i] = malloc(SIZE)) == NULL)
			none++;
		memset(small[i], 0, SIZE);
		small[i][0] = small[i][11] = i;
	}
	vm_fail_countdown = 0;
	return none;
}

/* Gives all back, and tells whether each was as it had been left. */
static bool
empty(void)
{
	size_t wrong = 0;

	for (size_t i = 0; i < COUNT; i++) {
		wrong += small[i][0] != i || small[i][11] != i;
		free(small[i]);
	}
	malloc_trim(0);
	return wrong == 0;
}

/* Whether memory of blocks that were given back, or never used, is believed to be zero wrongly. */
static bool
calloc_is_zero(void)
{
	size_t wrong = 0;

	for (size_t i = 0; i < 400; i++) {
		small[i] = calloc(1, 100000);
		for (size_t k = 0; k < 12500; k++)
			wrong += small[i][k] != 0;
		memset(small[i], 1, 100000);
	}
	for (size_t i = 0; i < 400; i++)
		free(small[i]);
	return wrong == 0;
}

/* How many huge pages come with pages for chunks, of which none is ever written. */
static size_t
blocks(void)
{
	size_t before = huge_nbytes(), n;

	for (n = 0; n < NPAGES; n++)
		taken[n].pg = page_take_for_chunks(META, true, &taken[n].meta);
	n = (huge_nbytes() - before) / HUGE;
	for (size_t i = 0; i < NPAGES; i++)
		page_give_for_chunks(taken[i].pg, taken[i].meta, META);
	malloc_trim(0);
	return n;
}

int
main(void)
{
	size_t before, resident;

	malloc_init();
	if (!kernel_collapses()) {
		puts("1..0 # SKIP the kernel makes no huge pages here");
		return 0;
	}
	memset(small, 1, sizeof(small));
	before = huge_nbytes();
	resident = rollup_nbytes("Rss: %lu");
	block_slow_ns = UINT64_MAX;
	(void)fill(false);
	promise(huge_nbytes() - before >= COUNT * SIZE / 2, "most of a large heap is huge pages");
	promise(rollup_nbytes("Rss: %lu") - resident <= COUNT * SIZE * 17 / 16,
	    "for which it takes a sixteenth more at most");
	promise(phkmalloc_check() == 0, "the heap is whole");
	promise(empty(), "what was in it stayed");
	promise(calloc_is_zero(), "calloc's memory is zero afterwards");

	promise(fill(true) < COUNT, "with calls that fail all is allocated in the end");
	promise(phkmalloc_check() == 0, "the heap is whole");
	promise(empty(), "what was in it stayed");

	promise(blocks() >= NPAGES / BLOCK_NPAGES / 2, "pages for chunks come in huge pages");
	block_slow_ns = 0;
	promise(blocks() <= 2, "where they take long few are asked for");
	promise(phkmalloc_check() == 0, "the heap is whole");
	return unit_done();
}
