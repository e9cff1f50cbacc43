/*
 * malloc_trim, mallopt, mallinfo, mallinfo2, malloc_info, malloc_stats: the figures are true.
 */
#include "phkmalloc.h"
#include "tap.h"

#include <malloc.h>
/* It does not come with the library as one C file. */
#if __has_include("phkmalloc_inspect.h")
#include "phkmalloc_inspect.h"
#endif

#define COUNT 10000
#define LARGE ((size_t)10 << 20)

static void *kept[COUNT];

/* mallinfo is deprecated for its small fields, and tested all the same. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static void
in_use(void)
{
	struct mallinfo2 a, b, c;
	struct mallinfo old;
	void *large;

	a = mallinfo2();
	for (size_t i = 0; i < COUNT; i++)
		kept[i] = malloc(100);
	b = mallinfo2();
	ok(b.uordblks - a.uordblks == (size_t)COUNT * 112, "uordblks grows by each chunk's size");
	ok(b.arena >= b.uordblks - b.hblkhd, "arena covers what is in use");
	for (size_t i = 0; i < COUNT; i += 2)
		free(kept[i]);
	c = mallinfo2();
	ok(b.uordblks - c.uordblks == (size_t)COUNT / 2 * 112, "uordblks falls by each chunk freed");
	ok(c.fordblks >= b.fordblks + (size_t)COUNT / 2 * 112, "fordblks grows by each chunk freed");
	for (size_t i = 1; i < COUNT; i += 2)
		free(kept[i]);
	ok(mallinfo2().uordblks == a.uordblks, "uordblks is as before when all is freed");
	a = mallinfo2();
	large = malloc(LARGE);
	b = mallinfo2();
	ok(b.hblks == a.hblks + 1, "hblks counts large allocations");
	ok(b.hblkhd >= a.hblkhd + LARGE && b.hblkhd < a.hblkhd + LARGE + 100000,
	    "hblkhd grows by the size of a large allocation");
	old = mallinfo();
	ok((size_t)old.uordblks == b.uordblks && (size_t)old.hblks == b.hblks &&
	    (size_t)old.hblkhd == b.hblkhd && (size_t)old.arena == b.arena,
	    "mallinfo and mallinfo2 agree");
	free(large);
	b = mallinfo2();
	ok(b.hblks == a.hblks && b.hblkhd == a.hblkhd, "hblks and hblkhd fall when it is freed");
}

/* Memory that is mapped but not written costs nothing and shows fields that are too small. */
static void
saturates(void)
{
	void *p = malloc((size_t)3 << 30);

	if (p == NULL) {
		skip("mallinfo stops at INT_MAX", "no 3 GiB of address space");
		return;
	}
	ok(mallinfo().hblkhd == 0x7fffffff, "mallinfo stops at INT_MAX");
	free(p);
}

/* The number after the first `key` at or behind `at`. */
static size_t
number(const char *at, const char *key)
{
	const char *found = at == NULL ? NULL : strstr(at, key);

	return found == NULL ? SIZE_MAX : strtoull(found + strlen(key), NULL, 10);
}

static void
info(void)
{
	static char text[65536];
	struct mallinfo2 m;
	const char *row;
	FILE *f;

	for (size_t i = 0; i < 1000; i++)
		kept[i] = malloc(20000);
	kept[1000] = malloc(LARGE);
	f = fmemopen(text, sizeof(text), "w");
	errno = 0;
	ok(malloc_info(1, f) == -1 && errno == EINVAL, "malloc_info with options fails with EINVAL");
	m = mallinfo2();
	ok(malloc_info(0, f) == 0, "malloc_info(0, file) succeeds");
	fclose(f);
	ok(strncmp(text, "<malloc version=", 16) == 0 && strstr(text, "</malloc>\n") != NULL,
	    "malloc_info writes an element malloc");
	row = strstr(text, "<class size=\"20480\"");
	ok(number(row, "chunks=\"") >= 1000, "malloc_info counts the chunks of a class");
	ok(number(row, "pages=\"") >= 1000 / 3, "malloc_info counts the pages of a class");
	row = strstr(text, "<large");
	ok(number(row, "count=\"") == m.hblks && number(row, " size=\"") == m.hblkhd,
	    "malloc_info and mallinfo2 agree on large allocations");
	ok(number(strstr(text, "<inuse"), "size=\"") == m.uordblks,
	    "malloc_info and mallinfo2 agree on what is in use");
	for (size_t i = 0; i <= 1000; i++)
		free(kept[i]);
}

static int
stats(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < 1000; i++)
		kept[i] = malloc(5000);
	malloc_stats();
	for (size_t i = 0; i < 500; i++)
		free(kept[i]);
	malloc_stats();
	return 0;
}

static void
statistics(void)
{
	struct ended e;
	const char *a, *b;

	child_run(&e, stats, NULL);
	a = strstr(e.text, "class 5120 bytes:");
	b = a == NULL ? NULL : strstr(a + 1, "class 5120 bytes:");
	ok(number(e.text, "operations: ") >= 1000 && number(e.text, "operations: ") < SIZE_MAX,
	    "malloc_stats counts allocations on standard error");
	ok(number(a, "pages, ") == 1000 && number(b, "pages, ") == 500,
	    "malloc_stats counts the chunks in use");
	ok(number(b, "in use, ") == number(a, "in use, ") + 500, "malloc_stats counts frees");
	if (tap_failed != 0)
		printf("# %s\n", e.text);
}

static size_t
resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	size_t all = 0, pages = 0;

	if (f == NULL || fscanf(f, "%zu %zu", &all, &pages) != 2)
		pages = 0;
	if (f != NULL)
		fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void
trim(void)
{
	size_t before, after;

	for (size_t i = 0; i < COUNT; i++)
		memset(kept[i] = malloc(3000), 1, 3000);
	for (size_t i = 0; i < COUNT; i++)
		free(kept[i]);
	before = resident();
	ok(malloc_trim(0) == 1, "malloc_trim says that it gave memory back");
	after = resident();
	printf("# resident: %zu KiB before, %zu KiB after\n", before >> 10, after >> 10);
	ok(after <= before, "and the process has less");
	/* Measuring and printing allocated, so once more for that. */
	malloc_trim(0);
	ok(malloc_trim(0) == 0, "malloc_trim says that there was nothing more");
	ok(mallinfo2().keepcost == 0, "keepcost is what malloc_trim would give back: nothing now");
	ok(mallopt(-3 /* M_MMAP_THRESHOLD */, 1 << 20) == 1, "mallopt accepts glibc's parameters");
}

/* As data of the library it is copied into the program, if that is not position-independent. */
static void
descriptor(void)
{
#ifdef PHKMALLOC_INSPECT_H
	const struct phkmalloc_descriptor *d = &phkmalloc_descriptor;
	unsigned arenas = 0;

	memcpy(&arenas, (const void *)(uintptr_t)d->arena_count, sizeof(arenas));
	ok(strcmp(d->magic, PHKMALLOC_DESCRIPTOR_MAGIC) == 0 &&
	    d->version == PHKMALLOC_DESCRIPTOR_VERSION && d->nbytes == sizeof(*d) &&
	    strcmp(d->library, PHKMALLOC_VERSION) == 0 && arenas != 0,
	    "a program may look at the descriptor itself");
#endif
}

int
main(void)
{
	in_use();
	saturates();
	info();
	statistics();
	trim();
	descriptor();
	ok(phkmalloc_check() == 0, "the heap is whole");
	return tap_done();
}
