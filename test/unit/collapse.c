/* Huge pages: what is dense becomes huge, keeps its contents, and nothing else does. */
#include "chunk/chunk_page.h"
#include "heap/heap.h"
#include "huge.h"
#include "os/env.h"
#include "page/page_alloc.h"
#include "phkmalloc.h"
#include "unit.h"

#define LARGE_COUNT 70000 /* pages, so that page_dir is of more than two huge pages */
#define SMALL_COUNT 200000

static void *large[LARGE_COUNT];
static uint64_t *small[SMALL_COUNT];

/* Frees all chunks of one page in eight, which stay in memory. */
static void
make_gaps(void)
{
	for (size_t i = 0; i < SMALL_COUNT; i++)
		if ((uintptr_t)small[i] / malloc_pagesize % 8 == 3) {
			free(small[i]);
			small[i] = NULL;
		}
	(void)owner_trim_spares();
}

int
main(void)
{
	size_t before, n = 0, wrong = 0, gaps = 0;

	malloc_init();
	if (!kernel_collapses()) {
		puts("1..0 # SKIP the kernel makes no huge pages here");
		return 0;
	}
	before = huge_nbytes();
	while (n < LARGE_COUNT && (large[n] = malloc(40000)) != NULL)
		n++;
	if (n < LARGE_COUNT) {
		puts("1..0 # SKIP no 3 GB of addresses here");
		return 0;
	}
	promise(huge_nbytes() >= before + HUGE, "full parts of page_dir are huge pages");
	promise(huge_nbytes() <= before + 8 * HUGE, "of untouched allocations nothing is");
	for (size_t i = 0; i < n; i++)
		free(large[i]);
	promise(phkmalloc_check() == 0, "the heap is whole");

	for (size_t i = 0; i < SMALL_COUNT; i++) {
		small[i] = malloc(64);
		memset(small[i], 0, 64);
		small[i][0] = small[i][7] = i;
	}
	make_gaps();
	before = huge_nbytes();
	/* Steps take a part of the time only: it comes with the first, in some ten milliseconds. */
	for (int i = 0; i < 20000 && huge_nbytes() < before + HUGE; i++) {
		chunk_collapse(1U << 20);
		env_sleep_ms(1);
	}
	promise(huge_nbytes() >= before + HUGE, "what is dense becomes huge, free pages in it or not");
	for (size_t i = 0; i < SMALL_COUNT; i++)
		if (small[i] == NULL)
			gaps++;
		else
			wrong += small[i][0] != i || small[i][7] != i;
	promise(wrong == 0 && gaps > SMALL_COUNT / 16, "what was in it still is");
	for (size_t i = 0; i < SMALL_COUNT; i += 2)
		free(small[i]);
	promise(phkmalloc_check() == 0, "the heap is whole");
	return unit_done();
}
