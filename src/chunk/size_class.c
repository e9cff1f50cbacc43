/*
 * size_class.c: the table of chunk sizes; see size_class.h. Constant.
 */
#include "chunk/size_class.h"

/* Written out so that a reader can look sizes up; test/unit checks each against the formulas. */
const struct size_class size_classes[CLASS_COUNT] = {
	/* recip, size, nchunks, nwords, remote, wake, last_none */
	{0x1000000000000000U, 16, 4096, 64, 71, 512, 0x0U},
	{0x800000000000000U, 32, 2048, 32, 39, 256, 0x0U},
	{0x555555555555556U, 48, 1365, 22, 23, 170, 0xffffffffffe00000U},
	{0x400000000000000U, 64, 1024, 16, 23, 128, 0x0U},
	{0x333333333333334U, 80, 819, 13, 15, 102, 0xfff8000000000000U},
	{0x2aaaaaaaaaaaaabU, 96, 682, 11, 15, 85, 0xfffffc0000000000U},
	{0x24924924924924aU, 112, 585, 10, 15, 73, 0xfffffffffffffe00U},
	{0x200000000000000U, 128, 512, 8, 15, 64, 0x0U},
	{0x19999999999999aU, 160, 409, 7, 7, 51, 0xfffffffffe000000U},
	{0x155555555555556U, 192, 341, 6, 7, 42, 0xffffffffffe00000U},
	{0x124924924924925U, 224, 292, 5, 7, 36, 0xfffffff000000000U},
	{0x100000000000000U, 256, 256, 4, 7, 32, 0x0U},
	{0xcccccccccccccdU, 320, 204, 4, 7, 25, 0xfffffffffffff000U},
	{0xaaaaaaaaaaaaabU, 384, 170, 3, 3, 21, 0xfffffc0000000000U},
	{0x92492492492493U, 448, 146, 3, 3, 18, 0xfffffffffffc0000U},
	{0x80000000000000U, 512, 128, 2, 2, 16, 0x0U},
	{0x66666666666667U, 640, 102, 2, 2, 12, 0xffffffc000000000U},
	{0x55555555555556U, 768, 85, 2, 2, 10, 0xffffffffffe00000U},
	{0x4924924924924aU, 896, 73, 2, 2, 9, 0xfffffffffffffe00U},
	{0x40000000000000U, 1024, 64, 1, 1, 8, 0x0U},
	{0x33333333333334U, 1280, 51, 1, 1, 6, 0xfff8000000000000U},
	{0x2aaaaaaaaaaaabU, 1536, 42, 1, 1, 5, 0xfffffc0000000000U},
	{0x24924924924925U, 1792, 36, 1, 1, 4, 0xfffffff000000000U},
	{0x20000000000000U, 2048, 32, 1, 1, 4, 0xffffffff00000000U},
	{0x1999999999999aU, 2560, 25, 1, 1, 3, 0xfffffffffe000000U},
	{0x15555555555556U, 3072, 21, 1, 1, 2, 0xffffffffffe00000U},
	{0x12492492492493U, 3584, 18, 1, 1, 2, 0xfffffffffffc0000U},
	{0x10000000000000U, 4096, 16, 1, 1, 2, 0xffffffffffff0000U},
	{0xccccccccccccdU, 5120, 12, 1, 1, 1, 0xfffffffffffff000U},
	{0xaaaaaaaaaaaabU, 6144, 10, 1, 1, 1, 0xfffffffffffffc00U},
	{0x924924924924aU, 7168, 9, 1, 1, 1, 0xfffffffffffffe00U},
	{0x8000000000000U, 8192, 8, 1, 1, 1, 0xffffffffffffff00U},
	{0x6666666666667U, 10240, 6, 1, 1, 1, 0xffffffffffffffc0U},
	{0x5555555555556U, 12288, 5, 1, 1, 1, 0xffffffffffffffe0U},
	{0x4924924924925U, 14336, 4, 1, 1, 1, 0xfffffffffffffff0U},
	{0x4000000000000U, 16384, 4, 1, 1, 1, 0xfffffffffffffff0U},
	{0x3333333333334U, 20480, 3, 1, 1, 1, 0xfffffffffffffff8U},
	{0x2aaaaaaaaaaabU, 24576, 2, 1, 1, 1, 0xfffffffffffffffcU},
	{0x2492492492493U, 28672, 2, 1, 1, 1, 0xfffffffffffffffcU},
	{0x2000000000000U, 32768, 2, 1, 1, 1, 0xfffffffffffffffcU},
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
