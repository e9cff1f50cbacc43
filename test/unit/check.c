/*
 * The walks of the heap notice what is broken: each invariant is broken in turn, by hand, the walk
 * has to name it, and is content again when it is mended.
 */
#include "chunk/chunk.h"
#include "diag/stack.h"
#include "heap/heap.h"
#include "heap/sample.h"
#include "os/env.h"
#include "os/next.h"
#include "os/signal.h"
#include "os/vm.h"
#include "page/page_alloc.h"
#include "unit.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#define COUNT 6000
#define SIZE 48 /* a class whose last bitmap word has bits that stand for no chunk */

static void *chunks[COUNT];
static struct pginfo *full, *avail, *large;
static struct slot *slot;
static const struct size_class *class;
static bool named[100]; /* by letter and number of the invariant */

#define CODE(letter, number) ((letter) == 'C' ? (number) : 50 + (number))

static void
note(const char *what, const void *where)
{
	(void)where;
	named[CODE(what[0], what[1] - '0')] = true;
}

/* Walks once; true when just that invariant, at least, is said to be broken. */
static bool
notices(char letter, int number)
{
	memset(named, 0, sizeof(named));
	(void)page_check(note);
	(void)chunk_check(note);
	return named[CODE(letter, number)];
}

static bool
is_content(void)
{
	return page_check(unit_complain) == 0 && chunk_check(unit_complain) == 0;
}

/* Breaks what an expression names, looks, and mends it. */
#define BREAK(letter, number, place, value, what) \
	do { \
		__typeof__(place) before = (place); \
		bool seen; \
		(place) = (value); \
		seen = notices(letter, number); \
		(place) = before; \
		promise(is_content() && seen, what); \
	} while (0)

/* Pages of my own that are full, available and current, a large allocation. */
static bool
prepare(void)
{
	void *one, *two;

	for (unsigned i = 0; i < COUNT; i++)
		chunks[i] = malloc(SIZE);
	full = page_dir_find(chunks[0]);
	avail = page_dir_find(chunks[COUNT / 2]);
	for (unsigned i = 0; i < COUNT; i++)
		if (page_dir_find(chunks[i]) == avail && i % 3 == 0)
			free(chunks[i]);
	one = malloc(3 * malloc_pagesize);
	two = malloc(20 * malloc_pagesize);
	large = page_dir_find(one);
	free(two);
	class = &size_classes[size_class_of(SIZE)];
	slot = &owner_self->slots[size_class_of(SIZE)];
	return full != avail && slot->page != NULL && slot->page != full && slot->page != avail &&
	    full->chunk.state == PAGE_FULL && avail->chunk.state == PAGE_AVAIL && is_content();
}

static void
test_chunks(void)
{
	uint64_t *bits = full->bits, *remote = chunk_remote(full);
	unsigned last = class->nwords - 1U, w = 0;

	BREAK('C', 1, full->chunk.nchunks, 7, "C1: the count of a page is its class's");
	BREAK('C', 1, full->recip, full->recip + 1, "C1: and its reciprocal");
	BREAK('C', 1, full->chunk.class_no, CLASS_COUNT, "C1: and there is such a class");
	BREAK('C', 2, bits[last], bits[last] & ~class->last_none, "C2: no chunk behind the last");
	BREAK('C', 2, remote[last], class->last_none, "C2: nor one that others freed");
	while (avail->bits[w] == 0)
		w++;
	BREAK('C', 3, chunk_remote(avail)[w], avail->bits[w], "C3: a chunk is free once");
	BREAK('C', 4, remote[0], 1, "C4: what others freed is going to be collected");
	BREAK('C', 5, avail->chunk.state, PAGE_FULL, "C5: a page in a list is available");
	BREAK('C', 5, slot->page->chunk.state, PAGE_AVAIL, "C5: the current page says so");
	BREAK('C', 6, page_counts(avail)->countdown, 1, "C6: what is in use of an available page");
	BREAK('C', 6, page_counts(full)->countdown, 1, "C6: what is missing in a full one");
	BREAK('C', 7, slot->word, bits, "C7: malloc's word is one of the current page");
	BREAK('C', 9, slot->end, 0, "C9: behind malloc's pass all is free");
	BREAK('C', 8, full->owner, full->owner | PGINFO_SPARE, "C8: a page that is kept says so");
}

static void *
claim_late(void *arg)
{
	env_sleep_ms(100);
	__atomic_fetch_or(&full->owner, PGINFO_PENDING, __ATOMIC_SEQ_CST);
	return arg;
}

/* A thread that is put aside in the midst of a free is waited for. */
static void
test_waits(void)
{
	pthread_t t;
	bool seen;

	chunk_remote(full)[0] = 1;
	if (pthread_create(&t, NULL, claim_late, NULL) != 0)
		abort();
	seen = notices('C', 4);
	pthread_join(t, NULL);
	full->owner &= ~(uintptr_t)PGINFO_PENDING;
	chunk_remote(full)[0] = 0;
	promise(!seen && is_content(), "C4: a free that another thread is about is waited for");
}

static void
test_pages(void)
{
	struct pginfo *run;

	BREAK('P', 1, arenas[0].npages, (arenas[0].limit >> malloc_pageshift) - 1,
	    "P1: no more is in use than is there");
	BREAK('P', 2, large->owner, MALLOC_FOLLOW, "P2: each page belongs to something");
	BREAK('P', 2, large->large.npages, 0, "P2: and each run has pages");
	BREAK('P', 2, page_layer.nused, page_layer.nused + 1, "P2: and they add up");
	BREAK('P', 3, large[1].owner, MALLOC_FIRST, "P3: nothing starts inside of another");
	for (run = arenas[0].page_dir; run->owner != MALLOC_FREE || run->free.npages < 4; run++)
		continue;
	BREAK('P', 5, run->free.max, run->free.max + 1, "P5: the tree knows the longest run");
	BREAK('P', 6, run->free.ndirty, run->free.ndirty + 1, "P6: dirty pages are counted");
	BREAK('P', 6, page_layer.nfree, page_layer.nfree + 1, "P6: and free ones");
}

/* Without memory for their pages there are no samples, and nothing is amiss. */
static void
test_samples(void)
{
	bool none = true;
	char *p;

	for (unsigned long n = 1; n <= 3; n++) {
		vm_fail_countdown = n;
		vm_fail_all = true;
		sample_init();
		vm_fail_countdown = 0;
		vm_fail_all = false;
		none &= sample_alloc(10, 1) == NULL;
	}
	promise(none, "guarded allocations without memory for them are not made");
	promise(stack_init(), "there is room for stacks");
	sample_init();
	p = sample_alloc(10, 1);
	promise(p != NULL && sample_owns(p) && sample_free(p, "free") == PTR_OK && is_content(),
	    "and with memory they are");
}

static sigjmp_buf back;
static void *volatile trapped;

static void
on_signal(int signo)
{
	siglongjmp(back, signo);
}

static bool
handler(void *address)
{
	trapped = address;
	return false;
}

/* An access that traps is told, and then what the program had for it is called. */
static void
test_signals(void)
{
	char *p = vm_reserve(vm_pagesize, vm_pagesize);

	signal(SIGSEGV, on_signal);
	signal_trap(handler, false);
	if (sigsetjmp(back, 1) == 0)
		*(volatile char *)p = 1;
	promise(trapped == p, "an access that traps is told, and handed on to the program's handler");
	signal(SIGSEGV, SIG_DFL);
}

/* The allocator that the program would have without this one. */
static void
test_next(void)
{
	promise(next_init(false) && next_is(), "the next allocator is found");
	next_free(NULL);
}

int
main(void)
{
	promise(prepare(), "a heap with a page of each kind, and all is well");
	test_chunks();
	test_waits();
	test_pages();
	test_samples();
	test_signals();
	test_next();
	return unit_done();
}
