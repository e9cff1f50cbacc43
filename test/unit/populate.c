/* Memory that is brought in before it is used: for whom, how much, and when not. */
#include "chunk/chunk_page.h"
#include "heap/heap.h"
#include "os/vm.h"
#include "page/page_alloc.h"
#include "phkmalloc.h"
#include "unit.h"

#include <sys/mman.h>

#define STEP 16384U

/* What has been seen of one class: nothing is ever written to its chunks. */
struct seen {
	size_t npages; /* new pages */
	size_t came;   /* whose first chunk came with memory */
	size_t none;   /* whose first chunk came without memory, before one came with it */
	size_t first;  /* most bytes in memory with the first chunk of one */
	size_t ahead;  /* most bytes in memory behind a chunk handed out */
	size_t behind; /* chunks of later pages not in memory when handed out */
};

/* The kernel brings memory in when it is asked to. */
static bool
kernel_populates(void)
{
	void *p = mmap(NULL, STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool done;

	if (p == MAP_FAILED)
		return false;
	vm_populate(p, STEP);
	done = vm_resident(p, STEP) == STEP / vm_pagesize;
	munmap(p, STEP);
	return done;
}

/* Allocates until so many pages of the class have been begun. */
static struct seen
take_pages(size_t size, size_t npages)
{
	struct seen seen = {0};
	char *page = NULL;

	while (seen.npages <= npages) {
		char *p = malloc(size), *end = (char *)round_up((uintptr_t)p + size, vm_pagesize);
		size_t in;

		if (page_address(page_dir_find(p)) != page) {
			page = page_address(page_dir_find(p));
			in = vm_resident(page, malloc_pagesize) * vm_pagesize;
			seen.npages++;
			seen.came += in != 0;
			if (in == 0 && seen.first == 0)
				seen.none++;
			if (in > seen.first)
				seen.first = in;
		}
		in = end < page + malloc_pagesize ?
		    vm_resident(end, (size_t)(page + malloc_pagesize - end)) * vm_pagesize : 0;
		if (in > seen.ahead)
			seen.ahead = in;
		p -= (uintptr_t)p % vm_pagesize;
		if (seen.first != 0 && vm_resident(p, vm_pagesize) == 0)
			seen.behind++;
	}
	return seen;
}

static void
small(void)
{
	struct seen seen = take_pages(48, 24);

	promise(seen.none >= 6 && seen.none <= 8,
	    "the first half megabyte of a class comes as it is used");
	promise(seen.first == STEP && seen.ahead <= STEP, "after that 16 KiB come at once, no more");
	promise(seen.behind == 0, "and before they are used");
}

static void
middling(void)
{
	struct seen seen = take_pages(2048, 48);

	promise(seen.none >= 30 && seen.none <= 32 && seen.first == malloc_pagesize,
	    "of chunks that share one bitmap word whole pages come, after two megabytes");
	seen = take_pages(8192, 48);
	promise(seen.first == 0, "of chunks longer than an OS page nothing does");
}

static void
reused(void)
{
	static char *p[12 * 1024];
	size_t n = sizeof(p) / sizeof(p[0]);
	unsigned long before = 0;

	for (int round = 0; round < 2; round++) {
		before = vm_calls;
		for (size_t i = 0; i < n; i++)
			p[i] = malloc(64);
		for (size_t i = 0; round == 0 && i < n; i++)
			free(p[i]);
	}
	promise(vm_calls == before, "of pages that were used before nothing is asked");
}

int
main(void)
{
	malloc_init();
	if (vm_pagesize > STEP || !kernel_populates()) {
		puts("1..0 # SKIP the kernel does not bring memory in");
		return 0;
	}
	chunk_populate_ns = UINT64_MAX;
	promise(take_pages(96, 24).first == 0 || vm_faults == VM_FAULTS_SLOWLY,
	    "where faults are not known to be slow nothing comes ahead");
	promise(vm_faults != VM_FAULTS_UNKNOWN, "which has been tried out");
	vm_faults = VM_FAULTS_QUICKLY;
	promise(take_pages(112, 24).first == 0, "nor where they are quick");
	vm_faults = VM_FAULTS_SLOWLY;
	small();
	middling();
	reused();
	chunk_populate_ns = 0;
	promise(take_pages(3072, 46).came == 1, "after one that took long many are left out");
	promise(phkmalloc_check() == 0, "the heap is whole");
	return unit_done();
}
