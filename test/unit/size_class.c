/* The table of size classes against its formulas, and the division by multiplication. */
#include "chunk/chunk.h"
#include "unit.h"

#include <string.h>

static int
table_right(unsigned c)
{
	const struct size_class *s = &size_classes[c];
	unsigned e = 7 + (c - 8) / 4;
	uint32_t size = c < 8 ? 16 * (c + 1) : (5 + (c - 8) % 4) << (e - 2);
	uint32_t n = 65536 / size, words = 65535 / size / 64 + 1;
	unsigned in_last = n - (words - 1) * 64;
	uint64_t none = in_last == 64 ? 0 : ~(uint64_t)0 << in_last;

	return s->size == size && s->nchunks == n && s->nwords == words && s->last_none == none &&
	    s->recip == UINT64_MAX / size + 1 && s->wake >= 1 && s->wake <= n &&
	    s->remote >= words && (words <= 3 || s->remote % 8 == 7) && s->size % 16 == 0;
}

/* Every offset of a page: the chunk number, and whether it is the start of one. */
static int
division_right(unsigned c)
{
	struct pginfo pg;

	memset(&pg, 0, sizeof(pg));
	pg.recip = size_classes[c].recip;
	for (uintptr_t offset = 0; offset < 65536; offset++) {
		size_t i;
		bool start = chunk_index(&pg, (void *)(0x10000 + offset), &i);

		if (i != offset / size_classes[c].size ||
		    start != (offset % size_classes[c].size == 0))
			return 0;
	}
	return 1;
}

int
main(void)
{
	int tables = 1, divisions = 1, smallest = 1, aligned = 1;
	double waste = 0;
	size_t n;

	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		tables &= table_right(c);
		divisions &= division_right(c);
	}
	promise(tables, "each row of the table is what the formulas say");
	promise(divisions, "the reciprocal finds chunk and remainder at every offset of every class");
	for (n = 0; n <= malloc_maxsize; n++) {
		unsigned c = size_class_of(n);

		smallest &= size_classes[c].size >= n && (c == 0 || size_classes[c - 1].size < n);
		if (n > 0)
			waste += (double)(size_classes[c].size - n) / (double)size_classes[c].size;
	}
	promise(smallest, "a request gets the smallest chunk that holds it");
	promise(waste / (double)malloc_maxsize <= 0.125,
	    "rounding wastes at most an eighth on average");
	for (size_t a = 1; a <= 65536; a *= 2)
		for (n = 0; n <= 40000; n += 7) {
			unsigned c = size_class_aligned(n, a);

			if (c == CLASS_NONE)
				aligned &= n > malloc_maxsize || a > malloc_maxsize;
			else
				aligned &= size_classes[c].size % a == 0 && size_classes[c].size >= n;
		}
	promise(aligned, "an aligned request gets chunks at multiples of the alignment");
	return unit_done();
}
