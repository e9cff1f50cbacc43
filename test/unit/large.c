/* Large allocations: growth in place and by moving pages, faults, concealed memory. */
#include "heap/heap.h"
#include "large/large.h"
#include "unit.h"

#include <string.h>

static int
filled(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i += 977)
		if (p[i] != (unsigned char)(i * 7))
			return 0;
	return 1;
}

static void
fill(unsigned char *p, size_t from, size_t to)
{
	for (size_t i = 0; i < to; i++)
		if (i >= from)
			p[i] = (unsigned char)(i * 7);
}

int
main(void)
{
	size_t n = 40000;
	unsigned char *p = malloc(n), *q, *block = NULL;
	int contents = 1;

	fill(p, 0, n);
	while (n < 60000000) {
		size_t more = n + n / 3;

		/* Something behind it every other time, so that it has to move. */
		free(block);
		block = malloc(70000);
		p = realloc(p, more);
		contents &= p != NULL && filled(p, n);
		fill(p, n, more);
		n = more;
	}
	promise(contents, "growing keeps the contents, in place or moved by the kernel");
	promise(heap_check() == 0, "the heap is whole after growing");
	while (n > 100000) {
		n /= 2;
		p = realloc(p, n);
		contents &= p != NULL && filled(p, n);
	}
	promise(contents, "shrinking keeps the contents");
	promise(large_verify(page_dir_find(p), p + 16) == PTR_MODIFIED_PAGE,
	    "a pointer into the first page is not the allocation");
	free(p);
	free(block);
	q = iconceal(5000, true);
	promise(q != NULL && q[4999] == 0 && page_dir_find(q)->large.concealed,
	    "concealed memory is on pages of its own");
	memset(q, 0x5a, 5000);
	q = realloc(q, 200000);
	promise(page_dir_find(q)->large.concealed && q[4999] == 0x5a, "and stays so when it grows");
	free(q);
	n = SIZE_MAX;
	promise(imalloc(n / 2) == NULL && imalloc(n) == NULL && imalloc_aligned(1, n / 2 + 1) == NULL,
	    "what cannot be is refused");
	promise(heap_check() == 0, "the heap is whole at the end");
	return unit_done();
}
