/* Pages of chunks: exact bits, the life of a page, memory given back. */
#include "chunk/chunk.h"
#include "heap/heap.h"
#include "os/vm.h"
#include "page/page_alloc.h"
#include "unit.h"

#define MAX 70000
#define N 30000U

static void *p[MAX];

/* Fills more than a page of a class, then frees and takes at random. */
static int
class_exact(unsigned c)
{
	size_t n = size_classes[c].nchunks * 2U + 3;
	int right = 1;

	for (size_t i = 0; i < n; i++)
		p[i] = malloc(size_classes[c].size);
	for (size_t k = 0; k < n; k++) {
		size_t i = unit_random() % n;

		right &= heap_owns(p[i]);
		free(p[i]);
		right &= !heap_owns(p[i]);
		p[i] = malloc(size_classes[c].size);
		right &= heap_owns(p[i]);
	}
	right &= heap_check() == 0;
	for (size_t i = 0; i < n; i++)
		free(p[i]);
	right &= heap_check() == 0;
	return right;
}

int
main(void)
{
	int exact = 1, distinct = 1;
	size_t used;
	struct pginfo *pg;

	free(malloc(1));
	for (unsigned c = 0; c < CLASS_COUNT; c++)
		exact &= class_exact(c);
	promise(exact, "a chunk is in use from malloc to free, in every class");
	for (size_t i = 0; i < N; i++)
		p[i] = malloc(48);
	for (size_t i = 0; i < N; i++)
		*(size_t *)p[i] = i;
	for (size_t i = 0; i < N; i++)
		distinct &= *(size_t *)p[i] == i;
	promise(distinct, "no two chunks overlap");
	pg = page_dir_find(p[0]);
	used = page_layer.nused;
	for (size_t i = 0; i < N; i++)
		free(p[i]);
	/* One may be current. */
	promise(page_layer.nused <= used - N * 48 / malloc_pagesize + SPARE_MAX + 1,
	    "the pages of freed chunks go back, but for a few");
	used = page_layer.nused;
	promise(heap_check() == 0 && owner_trim_spares() && page_layer.nused < used &&
	    heap_check() == 0, "and those when somebody asks for them");
	promise(!chunk_purge(pg) || heap_check() == 0, "purging a page leaves the heap whole");
	p[0] = malloc(100);
	promise(chunk_verify(page_dir_find(p[0]), (char *)p[0] + 1) == PTR_MODIFIED_CHUNK,
	    "a pointer into a chunk is not a chunk");
	char *page = page_address(page_dir_find(p[0]));
	promise(chunk_verify(page_dir_find(p[0]), page + 585 * 112) == PTR_MODIFIED_CHUNK,
	    "the slack behind the last chunk is not a chunk");
	free(p[0]);
	heap_trim();
	promise(heap_check() == 0, "a trim leaves the heap whole");
	return unit_done();
}
