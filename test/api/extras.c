/*
 * What phkmalloc offers beside the standard: of the BSDs, C23 and its own.
 */
#include "phkmalloc.h"
#include "tap.h"

#include <malloc.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FAILS(call, code) (errno = 0, (call) == NULL && errno == (code))

void cfree(void *p);

static const size_t sizes[] = {1, 16, 17, 48, 100, 128, 129, 200, 1000, 1024, 1025, 4096, 5000,
    16384, 32768, 32769, 65536, 65537, 100000, 200000, 1 << 20, (5 << 20) + 1};
static volatile size_t too_large = (size_t)PTRDIFF_MAX + 1;
static volatile size_t half = SIZE_MAX / 2 + 2;

static void
fill(void *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		((unsigned char *)p)[i] = (unsigned char)(i * 7 + 1);
}

static bool
filled(const void *p, size_t to)
{
	for (size_t i = 0; i < to; i++)
		if (((const unsigned char *)p)[i] != (unsigned char)(i * 7 + 1))
			return false;
	return true;
}

static bool
zero(const void *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (((const unsigned char *)p)[i] != 0)
			return false;
	return true;
}

/* Whether act takes back an allocation of n bytes: what is in use is as it was before. */
static bool
gives_back(void (*act)(void *, size_t), size_t n)
{
	size_t before = mallinfo2().uordblks, between;
	void *p = malloc(n);

	between = mallinfo2().uordblks;
	errno = 4711;
	act(p, n);
	return between >= before + n && mallinfo2().uordblks == before && errno == 4711;
}

static void sized(void *p, size_t n) { free_sized(p, n); }
static void aligned_sized(void *p, size_t n) { free_aligned_sized(p, 16, n); }
static void old(void *p, size_t n) { (void)n; cfree(p); }
static void zeroed(void *p, size_t n) { freezero(p, n); }
static void part_zeroed(void *p, size_t n) { freezero(p, n / 2); }

static void
frees(void)
{
	static const struct {
		const char *name;
		void (*act)(void *, size_t);
	} forms[] = {{"free_sized", sized}, {"free_aligned_sized", aligned_sized}, {"cfree", old},
	    {"freezero", zeroed}, {"freezero of a part", part_zeroed}};

	for (size_t f = 0; f < COUNT(forms); f++) {
		bool good = true;

		for (size_t i = 0; i < COUNT(sizes); i++)
			good &= gives_back(forms[f].act, sizes[i]);
		good &= gives_back(forms[f].act, 0);
		errno = 4711;
		forms[f].act(NULL, 100);
		ok(good && errno == 4711, "%s frees every size and NULL, and keeps errno", forms[f].name);
	}
}

static void
sized_aligned(void)
{
	size_t before = mallinfo2().uordblks;

	for (size_t a = 16; a <= (1 << 20); a *= 2)
		for (size_t i = 0; i < COUNT(sizes); i++)
			free_aligned_sized(aligned_alloc(a, sizes[i]), a, sizes[i]);
	for (size_t a = 16; a <= 32768; a *= 2)
		free_aligned_sized(aligned_alloc(a, 0), a, 0);
	ok(mallinfo2().uordblks == before, "free_aligned_sized takes what aligned_alloc gave");
	before = mallinfo2().uordblks;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		free_sized(calloc(sizes[i], 1), sizes[i]);
		free_sized(realloc(malloc(sizes[i]), sizes[i] * 2 + 3), sizes[i] * 2 + 3);
		free_sized(realloc(malloc(sizes[i]), sizes[i] / 3 + 1), sizes[i] / 3 + 1);
		free_sized(realloc(malloc(sizes[i] + 1), sizes[i]), sizes[i]);
		free_sized(realloc(malloc(sizes[i] * 3 / 2), sizes[i]), sizes[i]);
	}
	ok(mallinfo2().uordblks == before, "free_sized takes the last size of calloc and realloc");
}

/* Freed memory is not unmapped while it is small, so it may be looked at. */
static void
secrets(void)
{
	bool clear = true;

	for (size_t i = 0; i < COUNT(sizes) && sizes[i] <= 32768; i++) {
		char *p = malloc(sizes[i]);

		fill(p, 0, sizes[i]);
		freezero(p, sizes[i]);
		clear &= zero(opaque(p), 0, sizes[i]);
	}
	ok(clear, "freezero clears before it frees");
}

static void
reallocf_promises(void)
{
	size_t before = mallinfo2().uordblks;
	bool kept = true;
	void *p;

	for (size_t i = 0; i + 1 < COUNT(sizes); i++) {
		p = malloc(sizes[i]);
		fill(p, 0, sizes[i]);
		p = reallocf(p, sizes[i + 1]);
		kept &= p != NULL && filled(p, sizes[i]);
		ok(FAILS(reallocf(p, too_large), ENOMEM), "reallocf fails (%zu bytes)", sizes[i + 1]);
	}
	ok(kept, "reallocf keeps the contents");
	ok(mallinfo2().uordblks == before, "reallocf frees what it cannot resize");
	p = reallocf(malloc(100), 0);
	ok(p == NULL && mallinfo2().uordblks == before, "reallocf(p, 0) frees");
	p = reallocf(NULL, 100);
	ok(p != NULL, "reallocf(NULL, n) is malloc(n)");
	free(p);
}

static void
recallocarray_promises(void)
{
	bool grown = true, shrunk = true, fresh = true;
	char *p;

	for (size_t i = 0; i < COUNT(sizes); i++)
		for (size_t j = 0; j < COUNT(sizes); j++) {
			size_t from = sizes[i], to = sizes[j];

			p = recallocarray(NULL, 0, from, 1);
			fresh &= p != NULL && zero(p, 0, from);
			fill(p, 0, malloc_usable_size(p));
			p = recallocarray(p, from, to, 1);
			grown &= p != NULL && filled(p, from < to ? from : to);
			if (to > from)
				grown &= zero(p, from, to);
			else
				shrunk &= from > 32768 || to > 32768 || p != NULL;
			memset(p, 0xee, to);
			free(p);
		}
	ok(fresh, "recallocarray of NULL is calloc");
	ok(grown, "recallocarray keeps the old elements and zeroes the new ones");
	ok(shrunk, "recallocarray shrinks");
	p = malloc(128);
	fill(p, 0, 128);
	ok(FAILS(recallocarray(p, 16, half, 2), ENOMEM) && filled(p, 128),
	    "recallocarray whose new product overflows is NULL with ENOMEM and keeps the old one");
	ok(FAILS(recallocarray(p, half, 1, 2), EINVAL) && filled(p, 128),
	    "recallocarray whose old product overflows is NULL with EINVAL and keeps the old one");
	ok(FAILS(recallocarray(p, 1000, 2000, 8), EINVAL) && filled(p, 128),
	    "recallocarray with more old elements than there are is NULL with EINVAL");
	ok(FAILS(recallocarray(p, 16, too_large, 1), ENOMEM) && filled(p, 128),
	    "recallocarray to more than PTRDIFF_MAX is NULL with ENOMEM and keeps the old one");
	p = opaque(p);
	free(recallocarray(p, 16, 1, 8));
	ok(zero(opaque(p), 8, 128), "recallocarray clears what it gives up");
}

/* What /proc says of the mapping of p: its VmFlags. */
static bool
has_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	bool here = false, found = false;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	if (f != NULL)
		fclose(f);
	return found;
}

static void
conceal(void)
{
	size_t before = mallinfo2().uordblks;
	bool kept = true, blank = true, dumped = false, moved = true;

	for (size_t i = 0; i < COUNT(sizes); i++) {
		char *p = malloc_conceal(sizes[i]), *q = calloc_conceal(sizes[i], 3);

		kept &= p != NULL && malloc_usable_size(p) >= sizes[i];
		blank &= q != NULL && zero(q, 0, sizes[i] * 3);
		fill(p, 0, sizes[i]);
		dumped |= !has_flag(p, " dd") || !has_flag(q, " dd");
		p = realloc(p, sizes[i] * 2);
		moved &= p != NULL && filled(p, sizes[i]) && has_flag(p, " dd");
		memset(q, 0x77, sizes[i] * 3);
		free(q);
		free(p);
		q = calloc_conceal(1, sizes[i]);
		blank &= zero(q, 0, sizes[i]);
		free(q);
		p = malloc(200000);
		dumped |= has_flag(p, " dd");
		free(p);
	}
	ok(kept, "malloc_conceal gives what was asked for");
	ok(blank, "calloc_conceal is zero");
	if (!skip_emulated("concealed memory is left out of core dumps"))
		ok(!dumped, "concealed memory is left out of core dumps, other memory is not");
	if (!skip_emulated("realloc keeps memory concealed"))
		ok(moved, "realloc keeps memory concealed, and its contents");
	ok(mallinfo2().uordblks == before, "free takes concealed memory back");
	ok(FAILS(malloc_conceal(too_large), ENOMEM), "malloc_conceal of too much: NULL with ENOMEM");
	ok(FAILS(calloc_conceal(half, 2), ENOMEM), "calloc_conceal of an overflow: NULL with ENOMEM");
}

static void
addresses(void)
{
	bool owns = true, base = true, size = true, others = true;
	int local;
	static int global;
	const void *const foreign[] = {NULL, &local, &global, (void *)1, (void *)-1L, stdout,
	    (void *)(uintptr_t)addresses, (void *)(1L << 62)};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		char *p = malloc(sizes[i]);

		owns &= phkmalloc_owns(p) == 1 && phkmalloc_owns(p + 1) == 0;
		base &= phkmalloc_base(p) == p && phkmalloc_base(p + sizes[i] / 2) == p;
		base &= phkmalloc_base(p + sizes[i] - 1) == p;
		size &= phkmalloc_size(p) >= sizes[i];
		size &= phkmalloc_size(p + sizes[i] - 1) == phkmalloc_size(p);
		free(p);
		p = opaque(p);
		others &= phkmalloc_owns(p) == 0 && phkmalloc_base(p) == NULL && phkmalloc_size(p) == 0;
	}
	ok(owns, "phkmalloc_owns knows the start of an allocation from its second byte");
	ok(base, "phkmalloc_base finds the start from any byte");
	ok(size, "phkmalloc_size finds the size from any byte");
	ok(others, "freed memory is of nobody");
	others = true;
	for (size_t i = 0; i < COUNT(foreign); i++)
		others &= phkmalloc_owns(foreign[i]) == 0 && phkmalloc_base(foreign[i]) == NULL &&
		    phkmalloc_size(foreign[i]) == 0;
	ok(others, "addresses of anything else may be asked about");
}

int
main(void)
{
	frees();
	sized_aligned();
	secrets();
	reallocf_promises();
	recallocarray_promises();
	conceal();
	addresses();
	ok(phkmalloc_check() == 0, "the heap is whole");
	return tap_done();
}
