/*
 * kingsley.c: what is particular to the Kingsley allocator: its reuse, its waste, its silence.
 * Linked with libkingsley.so; prints TAP.
 */
#include "again.h"
#include "tap.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* An address as a number, so that the compiler does not see that it was freed. */
static uintptr_t
address(const void *p)
{
	uintptr_t a = (uintptr_t)p;

	__asm__ volatile("" : "+r"(a));
	return a;
}

static void
test_buckets(void)
{
	static const size_t given[][2] = { { 1, 16 }, { 16, 16 }, { 17, 48 }, { 48, 48 },
	    { 49, 112 }, { 1008, 1008 }, { 1009, 2032 }, { 2033, 8176 }, { 8176, 8176 },
	    { 8177, 12272 }, { 12272, 12272 }, { 12273, 20464 }, { 100000, 135152 } };

	for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
		void *p = malloc(given[i][0]);

		ok(malloc_usable_size(p) == given[i][1], "%zu bytes are given room for %zu",
		    given[i][0], given[i][1]);
		free(p);
	}
}

static void
test_reuse(void)
{
	enum { N = 1000 };
	static void *p[N];
	uintptr_t a, b;
	size_t heap;

	p[0] = malloc(100);
	p[1] = malloc(100);
	a = address(p[0]);
	b = address(p[1]);
	free(p[0]);
	free(p[1]);
	ok(address(p[0] = malloc(100)) == b && address(p[1] = malloc(100)) == a,
	    "what was freed last is taken first");
	for (int i = 2; i < N; i++)
		p[i] = malloc(100);
	for (int i = 0; i < N; i++)
		free(p[i]);
	heap = classic_heap_nbytes();
	for (int i = 0; i < N; i++)
		p[i] = malloc(100);
	ok(classic_heap_nbytes() == heap, "freed blocks serve the same size again");
	for (int i = 0; i < N; i++)
		free(p[i]);
	for (int i = 0; i < N / 10; i++)
		p[i] = malloc(1000);
	/* Less the one page of this size that test_buckets left. */
	ok(classic_heap_nbytes() >= heap + (N / 10 - 4) * 1024, "but no other size");
	for (int i = 0; i < N / 10; i++)
		free(p[i]);
	ok(classic_heap_nbytes() > heap, "and nothing goes back to the system");
}

/* In 1982 these were not misuse, or nobody knew: nothing must happen. */
static void
test_silence(void)
{
	static char stray[64];
	char *p = malloc(100), *q, *r;
	uintptr_t a = address(p);

	strcpy(p, "storage compaction");
	free(p);
	free((void *)address(p));
	q = malloc(100);
	r = malloc(100);
	ok(address(q) == a && address(r) != a, "a second free is ignored");
	p = memalign(256, 100);
	free(p);
	free((void *)address(p));
	ok(malloc(300) != malloc(300), "so is one of aligned memory");
	p = q;
	free(stray + 32);
	free(p + 16);
	ok(classic_check() == 0, "so is a free of static data, or of a block's middle");
	strcpy(q, "storage compaction");
	free(q);
	p = realloc((void *)address(q), 200);
	ok(strcmp(p, "storage compaction") == 0, "realloc takes what was freed a moment ago");
	q = malloc(100);
	strcpy(q, "same size");
	free(q);
	ok(address(q = realloc((void *)address(q), 90)) == a && strcmp(q, "same size") == 0,
	    "and to the same size, gives that very block");
	ok(realloc(stray + 32, 10) == NULL, "realloc of static data gives nothing");
	free(p);
	free(q);
	free(r);
	ok(classic_check() == 0, "the heap is whole");
}

/* The list is in the freed memory: who writes there owns it. Last, as the heap stays ruined. */
static void
test_checker(void)
{
	uintptr_t *p = malloc(100), *q = malloc(100);

	free(q);
	free(p);
	((uintptr_t *)address(p))[-1] = 0x1230;
	ok(classic_check() != 0, "the checker sees a link that was overwritten");
}

int
main(int argc, char **argv)
{
	if (argc == 2)
		return churn((size_t)atoi(argv[1]));
	test_buckets();
	test_reuse();
	test_silence();
	ok(churn(16) == 0, "a random run keeps the heap whole");
	ok(run_again("CLASSIC_ALIGN", "8", "8") == 0, "and so with CLASSIC_ALIGN=8");
	test_checker();
	return tap_done();
}
