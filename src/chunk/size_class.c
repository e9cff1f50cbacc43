/*
 * size_class.c: the table of chunk sizes; see size_class.h. Constant.
 */
#include "chunk/size_class.h"

/* Written out so that a reader can look sizes up; test/unit checks each against the formulas. */
const struct size_class size_classes[CLASS_COUNT] = {
	/* size, recip, nchunks, nwords, remote, wake, last_none */
	{16, 268435456, 4096, 64, 64, 512, 0x0U},
	{32, 134217728, 2048, 32, 32, 256, 0x0U},
	{48, 89478486, 1365, 22, 24, 170, 0xffffffffffe00000U},
	{64, 67108864, 1024, 16, 16, 128, 0x0U},
	{80, 53687092, 819, 13, 16, 102, 0xfff8000000000000U},
	{96, 44739243, 682, 11, 16, 85, 0xfffffc0000000000U},
	{112, 38347923, 585, 10, 16, 73, 0xfffffffffffffe00U},
	{128, 33554432, 512, 8, 8, 64, 0x0U},
	{160, 26843546, 409, 7, 8, 51, 0xfffffffffe000000U},
	{192, 22369622, 341, 6, 8, 42, 0xffffffffffe00000U},
	{224, 19173962, 292, 5, 8, 36, 0xfffffff000000000U},
	{256, 16777216, 256, 4, 4, 32, 0x0U},
	{320, 13421773, 204, 4, 4, 25, 0xfffffffffffff000U},
	{384, 11184811, 170, 3, 3, 21, 0xfffffc0000000000U},
	{448, 9586981, 146, 3, 3, 18, 0xfffffffffffc0000U},
	{512, 8388608, 128, 2, 2, 16, 0x0U},
	{640, 6710887, 102, 2, 2, 12, 0xffffffc000000000U},
	{768, 5592406, 85, 2, 2, 10, 0xffffffffffe00000U},
	{896, 4793491, 73, 2, 2, 9, 0xfffffffffffffe00U},
	{1024, 4194304, 64, 1, 1, 8, 0x0U},
	{1280, 3355444, 51, 1, 1, 6, 0xfff8000000000000U},
	{1536, 2796203, 42, 1, 1, 5, 0xfffffc0000000000U},
	{1792, 2396746, 36, 1, 1, 4, 0xfffffff000000000U},
	{2048, 2097152, 32, 1, 1, 4, 0xffffffff00000000U},
	{2560, 1677722, 25, 1, 1, 3, 0xfffffffffe000000U},
	{3072, 1398102, 21, 1, 1, 2, 0xffffffffffe00000U},
	{3584, 1198373, 18, 1, 1, 2, 0xfffffffffffc0000U},
	{4096, 1048576, 16, 1, 1, 2, 0xffffffffffff0000U},
	{5120, 838861, 12, 1, 1, 1, 0xfffffffffffff000U},
	{6144, 699051, 10, 1, 1, 1, 0xfffffffffffffc00U},
	{7168, 599187, 9, 1, 1, 1, 0xfffffffffffffe00U},
	{8192, 524288, 8, 1, 1, 1, 0xffffffffffffff00U},
	{10240, 419431, 6, 1, 1, 1, 0xffffffffffffffc0U},
	{12288, 349526, 5, 1, 1, 1, 0xffffffffffffffe0U},
	{14336, 299594, 4, 1, 1, 1, 0xfffffffffffffff0U},
	{16384, 262144, 4, 1, 1, 1, 0xfffffffffffffff0U},
	{20480, 209716, 3, 1, 1, 1, 0xfffffffffffffff8U},
	{24576, 174763, 2, 1, 1, 1, 0xfffffffffffffffcU},
	{28672, 149797, 2, 1, 1, 1, 0xfffffffffffffffcU},
	{32768, 131072, 2, 1, 1, 1, 0xfffffffffffffffcU},
};

unsigned
size_class_aligned(size_t n, size_t alignment)
{
	if (n > malloc_maxsize || alignment > malloc_maxsize)
		return CLASS_NONE;
	if (n < alignment)
		n = alignment;
	for (unsigned c = size_class_of(n); c < CLASS_COUNT; c++)
		if ((size_classes[c].size & (alignment - 1)) == 0)
			return c;
	return CLASS_NONE;
}

size_t
size_class_meta_nbytes(unsigned class_no, bool notes)
{
	const struct size_class *c = &size_classes[class_no];
	size_t bitmaps = round_up(((size_t)c->remote + c->nwords) * sizeof(uint64_t), 16);

	return bitmaps + (notes ? (size_t)c->nchunks * CHUNK_NOTE_NBYTES : 0);
}
