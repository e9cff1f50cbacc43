/*
 * collapse.c: dense parts of a heap in huge pages; see chunk_page.h. State: how far the present
 * sweep over the heap has come, and when the next step or sweep is due. No lock: entries are read
 * as hints, and the kernel moves memory safely at any time.
 *
 * A processor looks up 512 OS pages in as many steps as one huge page. A heap that is used again
 * and again gains from that, but a sparse one must not grow by it. So nearly all OS pages of a
 * block have to be in memory already, though some of its pages may be free and wait for their next
 * use, and most of it has to be in use for chunks. Copying it costs as much as some hundred page
 * faults, once, or thousands where a host has to supply the memory: so a step waits until the last
 * one is a fiftieth of the time that has passed, and a sweep until there were twice as many visits
 * as at the one before.
 */
#include "chunk/chunk_page.h"

#include "os/env.h"
#include "os/vm.h"
#include "page/page_alloc.h"

/*
 * OS pages of 512 that may be new to memory: fewer than a page has, so that no free page which is
 * known to be zero, and would not be given back, is among them.
 */
#define NEW_MAX (malloc_pagesize / vm_pagesize - 1)
/* Blocks looked at in one step, and the part of the time that steps take at most. */
#define TRIES 32U
#define SHARE 50U

static size_t next_block;
static unsigned next_sweep = COLLAPSE_VISITS_MIN;
static uint64_t next_step;

/* Whether most of a block's pages, from this entry on, are in use for chunks. */
static bool
is_chunked(const struct pginfo *pg)
{
	size_t nchunked = 0;

	for (size_t i = 0; i < BLOCK_NPAGES; i++)
		nchunked += owner_is(load_relaxed(&pg[i].owner));
	return nchunked > BLOCK_NPAGES / 2;
}

/* One step of a sweep: looks at blocks until one has been made huge; false at the end. */
static bool
step(char *start, size_t count)
{
	for (unsigned try = 0; try < TRIES; try++) {
		size_t block = __atomic_fetch_add(&next_block, 1, __ATOMIC_RELAXED);
		char *at = start + block * VM_HUGE_NBYTES;
		const struct pginfo *pg;

		if (block >= count)
			return false;
		pg = page_dir_find(at);
		if (pg == NULL || !is_chunked(pg) ||
		    vm_resident(at, VM_HUGE_NBYTES) + NEW_MAX < VM_HUGE_NBYTES / vm_pagesize)
			continue;
		/* It may be one already, or the kernel may not want to; then this takes no time. */
		(void)vm_collapse(at, VM_HUGE_NBYTES);
		return true;
	}
	return true;
}

void
chunk_collapse(unsigned nvisits)
{
	struct arena *a = &arenas[0];
	uintptr_t start = round_up((uintptr_t)a->origin, VM_HUGE_NBYTES);
	uintptr_t end = (uintptr_t)a->origin + load_acquire(&a->limit);
	uint64_t now;

	if (!page_blocks || nvisits < load_relaxed(&next_sweep) ||
	    end < start + VM_HUGE_NBYTES)
		return;
	now = env_clock_ns();
	if (now < load_relaxed(&next_step))
		return;
	if (!step((char *)start, (end - start) / VM_HUGE_NBYTES)) {
		store_relaxed(&next_block, 0);
		store_relaxed(&next_sweep, nvisits <= UINT32_MAX / 2 ? nvisits * 2 : UINT32_MAX);
	}
	store_relaxed(&next_step, now + (env_clock_ns() - now) * SHARE);
}
