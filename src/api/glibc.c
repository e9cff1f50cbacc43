/*
 * glibc.c: what glibc offers beside the standard: old allocation functions and statistics.
 */
#include "api/api.h"
#include "heap/heap.h"
#include "heap/inspect.h"
#include "os/libc.h"
#include "os/vm.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

EXPORT void *
memalign(size_t alignment, size_t n)
{
	return api_aligned(alignment, n);
}

EXPORT void *
valloc(size_t n)
{
	malloc_init();
	return api_aligned(vm_pagesize, n);
}

EXPORT void *
pvalloc(size_t n)
{
	malloc_init();
	if (n > PTRDIFF_MAX)
		return api_no_memory();
	return api_aligned(vm_pagesize, n == 0 ? vm_pagesize : round_up(n, vm_pagesize));
}

EXPORT size_t
malloc_usable_size(void *p)
{
	size_t n;

	return p != NULL && iusable(p, &n, "malloc_usable_size") ? n : 0;
}

EXPORT void cfree(void *p);

EXPORT void
cfree(void *p)
{
	ifree(p, "cfree");
}

EXPORT int
malloc_trim(size_t pad)
{
	(void)pad;
	malloc_init();
	return heap_trim() ? 1 : 0;
}

/* No parameter of glibc's allocator has a counterpart; 1 is success. */
EXPORT int
mallopt(int param, int value)
{
	(void)param;
	(void)value;
	return 1;
}

EXPORT struct mallinfo2
mallinfo2(void)
{
	struct heap_figures f;
	struct mallinfo2 m = {0};

	malloc_init();
	inspect(&f);
	m.arena = f.committed_nbytes - f.large_nbytes;
	m.ordblks = f.free_runs;
	m.hblks = f.large_count;
	m.hblkhd = f.large_nbytes;
	m.uordblks = f.live_nbytes;
	m.fordblks = f.committed_nbytes - f.live_nbytes;
	m.keepcost = f.dirty_nbytes;
	return m;
}

static int
saturated(size_t n)
{
	return n > INT_MAX ? INT_MAX : (int)n;
}

/* The old form, whose fields are too small: they stop at INT_MAX. */
EXPORT struct mallinfo
mallinfo(void)
{
	struct mallinfo2 m = mallinfo2();
	struct mallinfo old = {0};

	old.arena = saturated(m.arena);
	old.ordblks = saturated(m.ordblks);
	old.hblks = saturated(m.hblks);
	old.hblkhd = saturated(m.hblkhd);
	old.uordblks = saturated(m.uordblks);
	old.fordblks = saturated(m.fordblks);
	old.keepcost = saturated(m.keepcost);
	return old;
}

EXPORT int
malloc_info(int options, FILE *out)
{
	struct heap_figures f;

	if (options != 0) {
		errno = EINVAL;
		return -1;
	}
	malloc_init();
	inspect(&f);
	fprintf(out, "<malloc version=\"phkmalloc\">\n");
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		if (f.class_pages[c] != 0)
			fprintf(out, "<class size=\"%u\" pages=\"%zu\" chunks=\"%zu\"/>\n",
			    (unsigned)size_classes[c].size, f.class_pages[c], f.class_live[c]);
	fprintf(out, "<large count=\"%zu\" size=\"%zu\"/>\n", f.large_count, f.large_nbytes);
	fprintf(out, "<free count=\"%zu\" size=\"%zu\" dirty=\"%zu\"/>\n", f.free_runs,
	    f.free_nbytes, f.dirty_nbytes);
	fprintf(out, "<system type=\"current\" size=\"%zu\"/>\n", f.committed_nbytes);
	fprintf(out, "<metadata size=\"%zu\"/>\n", f.metadata_nbytes);
	fprintf(out, "<inuse size=\"%zu\"/>\n</malloc>\n", f.live_nbytes);
	return ferror(out) != 0 ? -1 : 0;
}

EXPORT void
malloc_stats(void)
{
	malloc_init();
	inspect_dump();
}
