/*
 * The allocator touches no memory that no program uses: chunks never given out, given out and
 * never written, and freed ones are not read or written by it, and its bookkeeping is elsewhere.
 */
#include "phkmalloc.h"
#include "resident.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

#define PAGE ((size_t)65536)
#define COUNT 4000

static const size_t sizes[] = {16, 48, 100, 128, 500, 1000, 1024, 3000, 4096, 8192, 10000, 20000,
    32768, 40000, 65536, 100000, 300000};
static char *kept[COUNT];

/* The first page of a class may hold what libc allocated and wrote before main. */
static size_t
allocate(size_t n)
{
	size_t first = 0;

	for (size_t i = 0; i < COUNT; i++)
		kept[i] = malloc(n);
	while (n <= 32768 && first < COUNT && ((uintptr_t)kept[first] ^ (uintptr_t)kept[0]) < PAGE)
		first++;
	return first;
}

static size_t
resident_kept(size_t first, size_t n)
{
	size_t count = 0;

	for (size_t i = first; i < COUNT; i++)
		count += resident_in(kept[i], n);
	return count;
}

/* As few as 4000 chunks of 16 bytes fill no second page: those are looked at in the first. */
static int
never_written(void *arg)
{
	size_t n = *(size_t *)arg, first = allocate(n), count = 0;

	if (first == COUNT)
		first = 1024;
	if (resident_kept(first, n) != 0)
		return 1;
	for (size_t i = 0; i < COUNT; i += 2)
		free(kept[i]);
	for (size_t i = 0; i < COUNT; i += 2)
		kept[i] = malloc(n);
	for (size_t i = 0; i < COUNT; i++) {
		malloc_usable_size(kept[i]);
		phkmalloc_owns(kept[i] + 1);
	}
	mallinfo2();
	if (phkmalloc_check() != 0)
		return 2;
	count = resident_kept(first, n);
	for (size_t i = 0; i < COUNT; i++)
		free(kept[i]);
	/* Now the addresses are free chunks and free runs. */
	count += resident_kept(first, n);
	malloc_trim(0);
	count += resident_kept(first, n);
	return count != 0;
}

/* Every chunk is an OS page, so the kernel can tell which ones are touched. */
static void
take_memory_away(char *p, size_t n)
{
	if (madvise(p, n, MADV_DONTNEED) != 0)
		abort();
}

static void *
free_all(void *arg)
{
	size_t step = *(size_t *)arg;

	for (size_t i = 0; i < COUNT; i += step)
		free(kept[i]);
	return NULL;
}

static int
freeing(void *arg)
{
	size_t n = *(size_t *)arg, count = 0;

	for (size_t i = 0; i < COUNT; i++)
		memset(kept[i] = malloc(n), 1, n);
	for (size_t i = 0; i < COUNT; i++)
		take_memory_away(kept[i], n);
	for (size_t i = 0; i < COUNT; i++)
		free(kept[i]);
	for (size_t i = 0; i < COUNT; i++)
		count += resident_in(kept[i], n);
	return count != 0;
}

static int
freeing_elsewhere(void *arg)
{
	size_t n = *(size_t *)arg, step = 1;
	pthread_t t;

	for (size_t i = 0; i < COUNT; i++)
		memset(kept[i] = malloc(n), 1, n);
	for (size_t i = 0; i < COUNT; i++)
		take_memory_away(kept[i], n);
	if (pthread_create(&t, NULL, free_all, &step) != 0 || pthread_join(t, NULL) != 0)
		return 2;
	return resident_kept(0, n) != 0;
}

/* Half is freed and taken away; work on the other half and on other sizes leaves it alone. */
static int
working(void *arg)
{
	size_t n = *(size_t *)arg, count = 0;
	char *other[500];

	for (size_t i = 0; i < COUNT; i++)
		memset(kept[i] = malloc(n), (int)(i % 100), n);
	for (size_t i = 0; i < COUNT; i += 2)
		free(kept[i]);
	for (size_t i = 0; i < COUNT; i += 2)
		take_memory_away(kept[i], n);
	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < 500; i++)
			other[i] = memset(malloc(16 + i), 1, 16 + i);
		for (size_t i = 0; i < 500; i++)
			free(other[i]);
		for (size_t i = 1; i < COUNT; i += 2)
			if (realloc(kept[i], n - 1) != kept[i] || kept[i][n - 2] != (char)(i % 100))
				return 2;
	}
	if (phkmalloc_check() != 0)
		return 3;
	for (size_t i = 0; i < COUNT; i += 2)
		count += resident_in(kept[i], n);
	return count != 0;
}

/* At most 128 bytes of bookkeeping for each page of 64 KiB in use, and 256 KiB. */
static int
bookkeeping(void *arg)
{
	size_t n = *(size_t *)arg, before = status_kib("RssAnon:"), after;

	for (size_t i = 0; i < COUNT; i++)
		kept[i] = malloc(n);
	after = status_kib("RssAnon:");
	return after - before > COUNT * n / PAGE * 128 / 1024 + 256;
}

int
main(void)
{
	size_t page = 4096, two = 8192;
	char text[200];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(text, sizeof(text), "%d allocations of %zu bytes, not written, then freed: "
		    "no OS page of theirs is touched", COUNT, sizes[i]);
		ok_in_child(never_written, (void *)(uintptr_t)&sizes[i], text);
		snprintf(text, sizeof(text), "bookkeeping of %d allocations of %zu bytes is small", COUNT,
		    sizes[i]);
		ok_in_child(bookkeeping, (void *)(uintptr_t)&sizes[i], text);
	}
	ok_in_child(freeing, &page, "free does not touch what it frees, 4096 bytes");
	ok_in_child(freeing, &two, "free does not touch what it frees, 8192 bytes");
	ok_in_child(freeing_elsewhere, &page, "free by another thread does not either, 4096 bytes");
	ok_in_child(freeing_elsewhere, &two, "free by another thread does not either, 8192 bytes");
	ok_in_child(working, &page, "work elsewhere leaves free chunks alone, 4096 bytes");
	ok_in_child(working, &two, "work elsewhere leaves free chunks alone, 8192 bytes");
	return tap_done();
}
