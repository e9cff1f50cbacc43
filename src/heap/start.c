/*
 * start.c: sets the heap up, around fork too, and what is done when the process ends. State:
 * whether the heap is set up, protected by LOCK_INIT.
 */
#include "chunk/chunk.h"
#include "conf/conf.h"
#include "diag/stack.h"
#include "heap/careful.h"
#include "heap/heap.h"
#include "heap/imalloc.h"
#include "heap/inspect.h"
#include "heap/sample.h"
#include "os/env.h"
#include "os/lock.h"
#include "os/next.h"
#include "os/signal.h"
#include "os/thread.h"
#include "os/unwind.h"
#include "os/vm.h"
#include "page/guard.h"
#include "page/page_alloc.h"
#include "watch/trace.h"

int heap_started;

void
malloc_init(void)
{
	if (LIKELY(load_acquire(&heap_started) != 0))
		return;
	lock_take(LOCK_INIT);
	if (heap_started == 0) {
		vm_init();
		env_init();
		conf_init();
		vm_lazy = opt.hint;
		page_guards = opt.guard;
		page_traps = opt.delay;
		page_random = opt.random;
		/* Elsewhere huge pages have other sizes, and these options want pages one by one. */
		page_blocks = vm_pagesize == 4096 && !opt.guard && !opt.delay && !opt.random;
		page_cache_shift = opt.cache_shift;
		if (opt.sample_rate != 0 && opt.sample_rate < chunk_poke)
			chunk_poke = opt.sample_rate;
		owner_watch.guard = opt.sample_rate != 0;
		owner_watch.profile_rate = opt.profile_rate;
		/* Words hold up to 64 chunks: a higher rate has to see each allocation. */
		owner_slow = opt.tagged || opt.random || opt.zero ||
		    (opt.sample_rate != 0 && opt.sample_rate < 64);
		owner_slow_zero = opt.zero_is_null;
		careful_init();
		owner_init(opt.tagged);
		if (opt.trace != 0)
			trace_init();
		/* Pairs with the acquires of heap_started: options and tables are there. */
		store_release(&heap_started, 1);
	}
	lock_drop(LOCK_INIT);
}

static void
fork_child(void)
{
	lock_reset_all();
	pages_after_fork();
	owner_after_fork();
	if (opt.trace != 0)
		trace_fork_child();
}

/* What may allocate waits for the constructor; the heap itself may be long in use by then. */
__attribute__((constructor)) static void
constructor(void)
{
	malloc_init();
	thread_fork_init(lock_take_all, lock_drop_all, fork_child);
	unwind_init();
	fault_init();
	/* Many programs close it before they end. */
	if (opt.dump)
		env_keep_stderr();
	if (opt.stacks || opt.sample_rate != 0 || opt.trace > 1)
		(void)stack_init();
	if (opt.sample_rate != 0)
		sample_init();
	if (opt.others && !next_init(opt.secure))
		fault_say("malloc", "option O: there is no other allocator", NULL);
	if (opt.sample_rate != 0 || opt.guard || opt.delay)
		signal_trap(heap_trapped, opt.secure);
}

__attribute__((destructor)) static void
destructor(void)
{
	heap_exit();
	if (opt.dump)
		inspect_dump();
	if (opt.trace != 0)
		trace_exit();
}
