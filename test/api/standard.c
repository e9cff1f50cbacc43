/*
 * The functions of the C standard: what they return, when they fail and how, what they keep.
 */
#include "tap.h"

#include <limits.h>
#include <malloc.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Around every border: of size classes, of OS pages, of chunks and whole pages, of large ones. */
static const size_t sizes[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 127, 128, 129,
    160, 200, 255, 256, 257, 500, 512, 513, 1000, 1023, 1024, 1025, 2000, 3000, 4095, 4096, 4097,
    6000, 8191, 8192, 8193, 12000,
    16384, 16385, 20000, 28672, 28673, 32767, 32768, 32769, 40000, 65535,
    65536, 65537, 100000, 131072, 131073, 200000, 1 << 20, (1 << 20) + 1, 3000000, 10 << 20};

/* Hidden from compilers, which warn about what no program should ask for. */
static volatile size_t too_large = (size_t)PTRDIFF_MAX + 1;
static volatile size_t half = SIZE_MAX / 2 + 2;

static void
fill(void *p, size_t n, unsigned seed)
{
	unsigned char *s = p;

	for (size_t i = 0; i < n; i++)
		s[i] = (unsigned char)(i * 31 + (i >> 8) + seed);
}

static bool
filled(const void *p, size_t n, unsigned seed)
{
	const unsigned char *s = p;

	for (size_t i = 0; i < n; i++)
		if (s[i] != (unsigned char)(i * 31 + (i >> 8) + seed))
			return false;
	return true;
}

static bool
all_zero(const void *p, size_t n)
{
	const unsigned char *s = p;

	return n == 0 || (s[0] == 0 && memcmp(s, s + 1, n - 1) == 0);
}

/* Whether a request fails with NULL and errno as said. */
#define FAILS(call, code) (errno = 0, (call) == NULL && errno == (code))

static void
malloc_promises(void)
{
	bool aligned = true, usable = true, whole = true;
	void *p[COUNT(sizes)];

	for (size_t i = 0; i < COUNT(sizes); i++) {
		p[i] = malloc(sizes[i]);
		aligned &= p[i] != NULL && (uintptr_t)p[i] % 16 == 0;
		usable &= malloc_usable_size(p[i]) >= sizes[i];
		fill(p[i], malloc_usable_size(p[i]), (unsigned)i);
	}
	for (size_t i = 0; i < COUNT(sizes); i++) {
		whole &= filled(p[i], malloc_usable_size(p[i]), (unsigned)i);
		free(p[i]);
	}
	ok(aligned, "malloc of any size is aligned to 16 bytes");
	ok(usable, "malloc_usable_size is at least what was asked for");
	ok(whole, "all usable bytes of every allocation are its own");
	ok(malloc_usable_size(NULL) == 0, "malloc_usable_size(NULL) is 0");
	ok(FAILS(malloc(too_large), ENOMEM), "malloc of more than PTRDIFF_MAX is NULL with ENOMEM");
	ok(FAILS(malloc(SIZE_MAX), ENOMEM), "malloc of SIZE_MAX is NULL with ENOMEM");
	ok(FAILS(malloc(SIZE_MAX - 4096), ENOMEM), "malloc of nearly SIZE_MAX is NULL with ENOMEM");
	ok(FAILS(malloc(PTRDIFF_MAX), ENOMEM), "malloc of PTRDIFF_MAX is NULL with ENOMEM");
}

static void
malloc_zero(void)
{
	void *p[1000];
	bool unique = true;

	for (size_t i = 0; i < COUNT(p); i++) {
		p[i] = i % 2 == 0 ? malloc(0) : calloc(i % 4 == 1 ? 0 : 7, i % 4 == 1 ? 7 : 0);
		unique &= p[i] != NULL;
		for (size_t j = 0; j < i; j++)
			unique &= p[i] != p[j];
	}
	ok(unique, "each malloc(0) and calloc of nothing is a pointer of its own");
	for (size_t i = 0; i < COUNT(p); i++)
		free(p[i]);
}

static void
free_promises(void)
{
	bool kept = true;

	errno = 4711;
	free(NULL);
	kept &= errno == 4711;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		void *p = malloc(sizes[i]);

		errno = 4711 + (int)i;
		free(p);
		kept &= errno == 4711 + (int)i;
	}
	ok(kept, "free keeps errno, of NULL and of every size");
	/* 64 MiB is beyond any cache: this one asks the kernel. */
	for (int i = 0; i < 4; i++) {
		void *p = malloc((size_t)64 << 20);

		memset(p, 1, (size_t)64 << 20);
		errno = EDOM;
		free(p);
		kept &= errno == EDOM;
	}
	ok(kept, "free keeps errno when memory goes back to the kernel");
}

static void
calloc_promises(void)
{
	bool zero = true;

	for (size_t i = 0; i < COUNT(sizes); i++)
		for (int round = 0; round < 3; round++) {
			unsigned char *p = malloc(sizes[i]), *q;

			memset(p, 0xa5, malloc_usable_size(p));
			free(p);
			q = calloc(1, sizes[i]);
			zero &= q != NULL && all_zero(q, sizes[i]);
			memset(q, 0x5a, sizes[i]);
			free(q);
			q = calloc(sizes[i], 1);
			zero &= q != NULL && all_zero(q, sizes[i]);
			free(q);
		}
	ok(zero, "calloc is zero after dirty memory of the same size");
	zero = true;
	for (size_t n = 30; n-- > 0;) {
		size_t size = (size_t)100 << 20 >> n;
		unsigned char *p = malloc(size + 1), *q;

		memset(p, 0xff, size + 1);
		free(p);
		q = calloc(size / 3 + 1, 2);
		zero &= q != NULL && all_zero(q, (size / 3 + 1) * 2);
		free(q);
	}
	ok(zero, "calloc is zero after dirty memory of another size, up to 100 MiB");
	ok(FAILS(calloc(half, 2), ENOMEM), "calloc whose product overflows is NULL with ENOMEM");
	ok(FAILS(calloc(SIZE_MAX, SIZE_MAX), ENOMEM), "calloc(SIZE_MAX, SIZE_MAX) is NULL with ENOMEM");
	ok(FAILS(calloc(1, too_large), ENOMEM), "calloc of more than PTRDIFF_MAX is NULL with ENOMEM");
}

static void
realloc_contents(void)
{
	bool grown = true, shrunk = true;
	static const size_t factor[] = {2, 3, 7, 100};

	for (size_t i = 0; i < COUNT(sizes); i++)
		for (size_t j = 0; j < COUNT(sizes); j++) {
			size_t from = sizes[i], to = sizes[j], least = from < to ? from : to;
			char *p = malloc(from), *q;
			bool same;

			/* Of pairs of large ones only some: filling takes its time. */
			if (from + to > (4 << 20) && (i + j) % 3 != 0) {
				free(p);
				continue;
			}
			fill(p, from, (unsigned)j);
			q = realloc(p, to);
			same = q != NULL && filled(q, least, (unsigned)j);
			grown &= same || to < from;
			shrunk &= same || to > from;
			fill(q, to, 1);
			free(q);
		}
	ok(grown, "realloc keeps what is there when it grows, over every border");
	ok(shrunk, "realloc keeps what is there when it shrinks, over every border");
	grown = true;
	for (size_t f = 0; f < COUNT(factor); f++) {
		char *p = malloc(1);
		size_t n = 1, last = 1;

		p[0] = 1;
		for (; n < (40 << 20); last = n, n = n * factor[f] / (factor[f] - 1) + 1) {
			p = realloc(p, n);
			grown &= p != NULL && p[0] == 1 && p[last - 1] == 1;
			p[n - 1] = 1;
		}
		free(p);
	}
	ok(grown, "realloc in growing steps up to 40 MiB keeps the first and last bytes");
}

static void
realloc_promises(void)
{
	char *p, *q;
	struct mallinfo2 before, after;

	p = realloc(NULL, 100);
	ok(p != NULL && malloc_usable_size(p) >= 100, "realloc(NULL, n) is malloc(n)");
	fill(p, 100, 3);
	ok(FAILS(realloc(p, too_large), ENOMEM) && filled(p, 100, 3),
	    "realloc to more than PTRDIFF_MAX is NULL with ENOMEM, and the old one is as it was");
	ok(FAILS(reallocarray(p, half, 2), ENOMEM) && filled(p, 100, 3),
	    "reallocarray whose product overflows is NULL with ENOMEM and keeps the old one");
	ok(FAILS(reallocarray(p, 1, too_large), ENOMEM) && filled(p, 100, 3),
	    "reallocarray to more than PTRDIFF_MAX is NULL with ENOMEM and keeps the old one");
	ok(FAILS(realloc(p, PTRDIFF_MAX - 70000), ENOMEM) && filled(p, 100, 3),
	    "realloc to nearly PTRDIFF_MAX is NULL with ENOMEM and keeps the old one");
	q = reallocarray(p, 1000, 50);
	ok(q != NULL && filled(q, 100, 3) && malloc_usable_size(q) >= 50000,
	    "reallocarray resizes to the product");
	before = mallinfo2();
	errno = 0;
	p = realloc(q, 0);
	after = mallinfo2();
	ok(p == NULL && errno == 0, "realloc(p, 0) is NULL without an error");
	ok(after.uordblks + 50000 <= before.uordblks, "realloc(p, 0) frees");
	q = malloc(48);
	before = mallinfo2();
	p = reallocarray(q, 0, 8);
	after = mallinfo2();
	ok(p == NULL && after.uordblks + 48 == before.uordblks, "reallocarray(p, 0, n) frees");
	p = realloc(NULL, 0);
	ok(p != NULL, "realloc(NULL, 0) is malloc(0)");
	free(p);
	p = malloc((size_t)8 << 20);
	fill(p, (size_t)8 << 20, 9);
	ok(FAILS(realloc(p, too_large), ENOMEM) && filled(p, (size_t)8 << 20, 9),
	    "a large allocation that cannot be resized is as it was");
	free(p);
}

int
main(void)
{
	malloc_promises();
	malloc_zero();
	free_promises();
	calloc_promises();
	realloc_contents();
	realloc_promises();
	return tap_done();
}
