/* Runs of pages, random operations: no overlap, alignment, contents, and every invariant. */
#include "heap/heap.h"
#include "large/large.h"
#include "os/lock.h"
#include "os/vm.h"
#include "page/dirty.h"
#include "page/page_alloc.h"
#include "page/runs.h"
#include "unit.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 64

static struct {
	struct pginfo *pg;
	size_t npages;
	unsigned char mark;
} slot[SLOTS];

/* First and last byte of each page. */
static void
stamp(size_t s, size_t from)
{
	char *p = page_address(slot[s].pg);

	for (size_t i = from; i < slot[s].npages; i++)
		p[i << malloc_pageshift] = p[((i + 1) << malloc_pageshift) - 1] = (char)slot[s].mark;
}

static int
stamped(size_t s)
{
	unsigned char *p = (unsigned char *)page_address(slot[s].pg);

	for (size_t i = 0; i < slot[s].npages; i++)
		if (p[i << malloc_pageshift] != slot[s].mark ||
		    p[((i + 1) << malloc_pageshift) - 1] != slot[s].mark)
			return 0;
	return 1;
}

static int
all_zero(struct pginfo *pg, size_t npages)
{
	const uint64_t *p = (const uint64_t *)(void *)page_address(pg);

	for (size_t i = 0; i < npages << malloc_pageshift >> 3; i += 64)
		if (p[i] != 0)
			return 0;
	return 1;
}

static struct pginfo *run;

/* As who is about to give its memory back, or to bring it in. */
static void *
lend(void *arg)
{
	size_t npages;

	lock_take(LOCK_PAGE);
	run = pgfree_first_fit(page_tree(), 1);
	npages = run->free.npages;
	run_remove(run);
	run_lend(run, npages);
	lock_drop(LOCK_PAGE);
	return arg;
}

static void
give_back(void)
{
	lock_take(LOCK_PAGE);
	run_return(run, dirty_count(run, run->free.npages));
	lock_drop(LOCK_PAGE);
}

/* Whether a child has so many free pages and all is whole there; what else it does comes first. */
static bool
child_has(size_t nfree, void (*first)(void))
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		if (first != NULL)
			first();
		_exit(page_layer.nfree != nfree || page_check(unit_complain) != 0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int
main(void)
{
	int whole = 1, contents = 1, aligned = 1, zeros = 1;

	malloc_init();
	for (int step = 0; step < 4000; step++) {
		size_t s = unit_random() % SLOTS, n = 1 + unit_random() % 20, old;
		size_t align = (size_t)1 << unit_random() % 5;
		bool zero = false;

		if (slot[s].pg == NULL) {
			slot[s].pg = pages_take(n, align, &zero);
			slot[s].npages = n;
			slot[s].mark = (unsigned char)(1 + unit_random() % 255);
			aligned &= ((uintptr_t)page_address(slot[s].pg) >> malloc_pageshift) % align == 0;
			zeros &= !zero || all_zero(slot[s].pg, n);
			stamp(s, 0);
		} else if (unit_random() % 3 == 0) {
			old = slot[s].npages;
			if (n > old && pages_grow(slot[s].pg, n - old, &zero)) {
				slot[s].npages = n;
				stamp(s, old);
			} else if (n < old) {
				pages_shrink(slot[s].pg, n);
				slot[s].npages = n;
			}
		} else {
			contents &= stamped(s);
			pages_give(slot[s].pg, slot[s].npages);
			slot[s].pg = NULL;
		}
		if (step % 500 == 0)
			pages_trim();
		whole &= page_check(unit_complain) == 0;
	}
	promise(whole, "every invariant of the page layer holds after each step");
	promise(contents, "no run overlaps another, and purging touches no run in use");
	promise(aligned, "runs start at the multiple of pages asked for");
	promise(zeros, "pages said to be zero are zero");
	for (size_t s = 0; s < SLOTS; s++)
		if (slot[s].pg != NULL)
			pages_give(slot[s].pg, slot[s].npages);
	pages_trim();
	promise(page_layer.ndirty == 0, "after a trim no free page is dirty");
	bool zero;
	promise(pages_take(0, 1, &zero) == NULL && pages_take(SIZE_MAX >> 20, 1, &zero) == NULL,
	    "no pages and too many pages are refused");
	in_thread(lend, NULL);
	promise(child_has(page_layer.nfree + run->free.npages, NULL),
	    "what another thread has in hand during a fork is free in the child");
	give_back();
	lend(NULL);
	promise(child_has(page_layer.nfree, NULL) &&
	    child_has(page_layer.nfree + run->free.npages, give_back),
	    "what the thread itself has, whose signal's handler forks, stays with it");
	give_back();
	promise(page_check(unit_complain) == 0, "and all is whole afterwards");
	return unit_done();
}
