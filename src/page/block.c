/*
 * block.c: memory that is about to be used, 2 MiB at once; see block.h. Protected by the page lock.
 *
 * A page fault for each OS page takes three times as long as one for a huge page of as many, and a
 * processor then has more to look up. But a huge page that is used in part is memory wasted, and
 * one that the kernel has to make room for, or a virtual machine's host to supply, takes longer
 * than all the faults that it saves. So blocks are brought in one at a time, when the lowest free
 * run begins with one, in heaps of which it is a small part; and where one took long, many are left
 * to faults before the next is tried.
 */
#include "page/block.h"

#include "os/env.h"
#include "os/lock.h"
#include "os/vm.h"
#include "page/dirty.h"
#include "page/page_alloc.h"
#include "page/runs.h"

#define BLOCK_NUSED_MIN ((size_t)256) /* 16 MiB: of which a block is an eighth */
#define SKIP_MIN 16U
#define SKIP_MAX 4096U

bool page_blocks;
/* Page faults for a block take a quarter of a millisecond to one, a huge page a third of it. */
uint64_t block_slow_ns = 700000;

static unsigned skip;      /* blocks to leave alone */
static unsigned skip_next; /* and how many after the next slow one; 0 when the last was fast */

/* Takes a free run out of the tree that is not to be used or purged, and the page lock off. */
static void
block_out(struct pginfo *first)
{
	size_t npages = first->free.npages;

	run_remove(first);
	if (npages > BLOCK_NPAGES)
		run_insert(first + BLOCK_NPAGES, npages - BLOCK_NPAGES, first->free.ndirty);
	run_lend(first, BLOCK_NPAGES);
	lock_drop(LOCK_PAGE);
}

void
block_bring(void)
{
	struct pginfo *first;
	uint64_t start;
	bool done;

	if (!page_blocks || page_layer.nused < BLOCK_NUSED_MIN)
		return;
	first = pgfree_first_fit(page_tree(), 1);
	if (first == NULL || first->free.npages < BLOCK_NPAGES ||
	    ((uintptr_t)page_address(first) & (VM_HUGE_NBYTES - 1)) != 0 ||
	    dirty_count(first, BLOCK_NPAGES) != 0)
		return;
	if (skip != 0) {
		skip--;
		return;
	}
	block_out(first);
	start = env_clock_ns();
	/* The kernel wants to find an OS page to begin with. */
	vm_populate(page_address(first), vm_pagesize);
	done = vm_collapse(page_address(first), VM_HUGE_NBYTES);
	lock_take(LOCK_PAGE);
	if (done && env_clock_ns() - start <= block_slow_ns) {
		skip_next = 0;
	} else {
		skip_next = skip_next == 0 ? SKIP_MIN : skip_next * 2;
		if (skip_next > SKIP_MAX)
			skip_next = SKIP_MAX;
		skip = skip_next;
	}
	dirty_set(first, done ? BLOCK_NPAGES : 1, true);
	run_return(first, done ? BLOCK_NPAGES : 1);
}
