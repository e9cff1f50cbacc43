/*
 * collapse.c: dense parts of a heap in huge pages; see chunk_page.h. State: where the search for
 * them goes on. No lock: entries are read as hints, and the kernel moves memory safely at any time.
 *
 * A processor looks up 512 OS pages in as many steps as one huge page. A heap that is used again
 * and again gains from that, but a sparse one must not grow by it. So a block of pages has to be
 * of small chunks throughout and nearly all of its OS pages in memory already; copying it costs as
 * much as some hundred page faults, once, or thousands where a host has to supply the memory.
 */
#include "chunk/chunk_page.h"

#include "os/vm.h"
#include "page/page_alloc.h"

#define BLOCK_NPAGES (VM_HUGE_NBYTES / malloc_pagesize)
/* OS pages of 512 that may be new to memory. */
#define NEW_MAX 16U
/* Blocks looked at in one call. */
#define TRIES 32U

bool chunk_collapses;
static size_t next_block;

/* Whether a block's pages, from this entry on, are of small chunks. */
static bool
is_small(const struct pginfo *pg)
{
	for (size_t i = 0; i < BLOCK_NPAGES; i++)
		if (!owner_is(load_relaxed(&pg[i].owner)) ||
		    load_relaxed(&pg[i].chunk.class_no) >= CLASS_COUNT ||
		    size_classes[pg[i].chunk.class_no].size > DENSE_MAX)
			return false;
	return true;
}

void
chunk_collapse(void)
{
	struct arena *a = &arenas[0];
	uintptr_t start = round_up((uintptr_t)a->origin, VM_HUGE_NBYTES);
	uintptr_t end = (uintptr_t)a->origin + load_acquire(&a->limit);
	size_t count = end < start ? 0 : (end - start) / VM_HUGE_NBYTES;

	if (!load_relaxed(&chunk_collapses) || count == 0)
		return;
	for (unsigned try = 0; try < TRIES && try < count; try++) {
		size_t block = __atomic_fetch_add(&next_block, 1, __ATOMIC_RELAXED) % count;
		char *at = (char *)start + block * VM_HUGE_NBYTES;
		const struct pginfo *pg = page_dir_find(at);

		if (pg == NULL || !is_small(pg) ||
		    vm_resident(at, VM_HUGE_NBYTES) + NEW_MAX < VM_HUGE_NBYTES / vm_pagesize)
			continue;
		/* It may be one already; then this takes no time. */
		if (!vm_collapse(at, VM_HUGE_NBYTES))
			store_relaxed(&chunk_collapses, false);
		return;
	}
}
