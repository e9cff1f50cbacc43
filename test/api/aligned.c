/*
 * Alignment: every function that takes one, at many alignments and sizes; and what malloc gives.
 */
#include "phkmalloc.h"
#include "tap.h"

#include <malloc.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const size_t sizes[] = {0, 1, 8, 16, 24, 64, 100, 255, 1000, 1024, 4000, 4096, 5000, 16384,
    30000, 32768, 33000, 65536, 70000, 200000, 1 << 20};
static volatile size_t too_large = (size_t)PTRDIFF_MAX + 1;

#define FAILS(call, code) (errno = 0, (call) == NULL && errno == (code))

static void *
by_posix(size_t alignment, size_t n)
{
	void *p = NULL;

	return posix_memalign(&p, alignment, n) == 0 ? p : NULL;
}

/* Every size at every alignment up to 4 MiB, all live at once, then freed in another order. */
static void
everything(void *(*take)(size_t, size_t), size_t least, const char *name)
{
	static void *p[32][COUNT(sizes)];
	bool aligned = true, usable = true, own = true;

	for (size_t a = least, i = 0; a <= (4 << 20); a *= 2, i++)
		for (size_t j = 0; j < COUNT(sizes); j++) {
			p[i][j] = take(a, sizes[j]);
			aligned &= p[i][j] != NULL && (uintptr_t)p[i][j] % a == 0;
			usable &= malloc_usable_size(p[i][j]) >= sizes[j];
			memset(p[i][j], (int)(i * 32 + j), sizes[j]);
		}
	for (size_t j = 0; j < COUNT(sizes); j++)
		for (size_t a = least, i = 0; a <= (4 << 20); a *= 2, i++) {
			unsigned char *s = p[i][j], byte = (unsigned char)(i * 32 + j);

			own &= sizes[j] == 0 || (s[0] == byte && s[sizes[j] - 1] == byte);
			s = realloc(s, sizes[j] + 10);
			own &= sizes[j] == 0 || (s[0] == byte && s[sizes[j] - 1] == byte);
			free(s);
		}
	ok(aligned, "%s aligns to 1 ... 4 MiB at sizes 0 ... 1 MiB", name);
	ok(usable, "%s gives what was asked for", name);
	ok(own, "%s: contents are kept, also by realloc", name);
	ok(phkmalloc_check() == 0, "%s: the heap is whole", name);
}

static void
natural(void)
{
	bool aligned = true;
	void *kept[18][5];

	for (size_t n = 16, i = 0; n <= 65536; n *= 2, i++)
		for (size_t k = 0; k < 5; k++) {
			kept[i][k] = malloc(n);
			aligned &= (uintptr_t)kept[i][k] % n == 0;
		}
	for (size_t n = 16, i = 0; n <= 65536; n *= 2, i++)
		for (size_t k = 0; k < 5; k++)
			free(kept[i][k]);
	ok(aligned, "malloc of a power of two up to 64 KiB is aligned to it");
}

static void
wrong_alignments(void)
{
	static const size_t wrong[] = {0, 3, 5, 12, 24, 100, 4095, 4097, SIZE_MAX, SIZE_MAX - 15};
	bool refused = true, untouched = true;
	void *const mark = &refused;

	for (size_t i = 0; i < COUNT(wrong); i++) {
		void *p = mark;

		refused &= FAILS(aligned_alloc(wrong[i], 100), EINVAL);
		refused &= FAILS(memalign(wrong[i], 100), EINVAL);
		errno = 4711;
		refused &= posix_memalign(&p, wrong[i], 100) == EINVAL;
		untouched &= p == mark && errno == 4711;
	}
	ok(refused, "an alignment that is no power of two is refused with EINVAL");
	for (size_t a = 1; a < sizeof(void *); a *= 2) {
		void *p = mark;

		untouched &= posix_memalign(&p, a, 100) == EINVAL && p == mark;
	}
	ok(untouched, "posix_memalign that fails keeps errno and the pointer");
}

static void
no_memory(void)
{
	bool refused = true;
	size_t huge = (size_t)1 << 62;

	for (size_t a = 16; a <= (1 << 20); a *= 16) {
		void *p = &refused;

		refused &= FAILS(aligned_alloc(a, too_large), ENOMEM);
		refused &= FAILS(memalign(a, SIZE_MAX), ENOMEM);
		refused &= FAILS(memalign(a, PTRDIFF_MAX), ENOMEM);
		errno = 4711;
		refused &= posix_memalign(&p, a, SIZE_MAX - 100) == ENOMEM;
		refused &= errno == 4711 && p == &refused;
	}
	refused &= FAILS(aligned_alloc(too_large, 1), ENOMEM);
	refused &= FAILS(memalign(too_large, too_large), ENOMEM);
	refused &= FAILS(memalign(huge, huge), ENOMEM);
	ok(refused, "aligned requests that are too large fail with ENOMEM");
	ok(FAILS(valloc(too_large), ENOMEM), "valloc of too much fails with ENOMEM");
	ok(FAILS(valloc(SIZE_MAX), ENOMEM), "valloc of SIZE_MAX fails with ENOMEM");
	ok(FAILS(pvalloc(SIZE_MAX), ENOMEM), "pvalloc of SIZE_MAX fails with ENOMEM");
	ok(FAILS(pvalloc(SIZE_MAX - 5000), ENOMEM), "pvalloc of nearly SIZE_MAX fails with ENOMEM");
}

static void
old_ones(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	bool good = true, whole = true;

	for (size_t j = 0; j < COUNT(sizes); j++) {
		void *p = valloc(sizes[j]), *q = pvalloc(sizes[j]);

		good &= p != NULL && (uintptr_t)p % page == 0;
		whole &= q != NULL && (uintptr_t)q % page == 0 && malloc_usable_size(q) >= page &&
		    malloc_usable_size(q) >= (sizes[j] + page - 1) / page * page;
		memset(q, 1, malloc_usable_size(q));
		free(p);
		free(q);
	}
	ok(good, "valloc is aligned to an OS page");
	ok(whole, "pvalloc is aligned to and fills OS pages");
}

int
main(void)
{
	everything(aligned_alloc, 1, "aligned_alloc");
	everything(memalign, 1, "memalign");
	everything(by_posix, sizeof(void *), "posix_memalign");
	natural();
	wrong_alignments();
	no_memory();
	old_ones();
	return tap_done();
}
