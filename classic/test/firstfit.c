/*
 * firstfit.c: what is particular to first fit with boundary tags: where it puts things, how
 * blocks join, and that its tags can be overwritten. Linked with libfirstfit.so; prints TAP.
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

/* Fills the holes that others left, so that what follows is in a row. */
static void
fill(void)
{
	for (size_t n = 4096; n >= 16; n /= 2) {
		size_t heap = classic_heap_nbytes();

		while (classic_heap_nbytes() == heap)
			(void)!malloc(n);
	}
}

static void
test_joining(void)
{
	/* The orders in which three neighbours can be freed. */
	static const int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 },
	    { 2, 0, 1 }, { 2, 1, 0 } };

	for (int i = 0; i < 6; i++) {
		char *p[3], *guard;
		uintptr_t first;

		for (int k = 0; k < 3; k++)
			p[k] = malloc(1000);
		guard = malloc(16);
		first = address(p[0]);
		for (int k = 0; k < 3; k++)
			free(p[orders[i][k]]);
		p[0] = malloc(3 * 1008 + 16);
		ok(address(p[0]) == first && classic_check() == 0,
		    "freed in order %d %d %d, three blocks are one", orders[i][0], orders[i][1],
		    orders[i][2]);
		free(p[0]);
		free(guard);
	}
}

static void
test_first_fit(void)
{
	enum { N = 20 };
	uintptr_t at[N];
	char *p[N];
	size_t heap;

	for (int i = 0; i < N; i++) {
		p[i] = malloc(i == 6 ? 3000 : 500);
		at[i] = address(p[i]);
	}
	for (int i = 18; i >= 0; i -= 2)
		free(p[i]);
	p[0] = malloc(400);
	p[2] = malloc(2000);
	p[4] = malloc(400);
	ok(address(p[0]) == at[0] && address(p[4]) == at[2],
	    "of holes that are large enough, the lowest is taken, whatever was freed last");
	ok(address(p[2]) == at[6], "a larger request goes to the first hole that it fits");
	heap = classic_heap_nbytes();
	for (int i = 0; i < N; i++)
		if (i % 2 == 1 || i <= 4)
			free(p[i]);
	ok(classic_check() == 0, "the heap is whole");
	p[0] = malloc(1 << 20);
	ok(classic_heap_nbytes() > heap, "more core is got when no hole is large enough");
	heap = classic_heap_nbytes();
	free(p[0]);
	ok(classic_heap_nbytes() == heap, "nothing goes back to the system");
}

static void
test_in_place(void)
{
	char *p = malloc(1000), *q = malloc(1000), *guard = malloc(16), *r;
	uintptr_t a = address(p);

	memset(p, 'p', 1000);
	ok(address(r = realloc(p, 1010)) != a, "hemmed in by its neighbour, a block moves");
	free(r);
	p = malloc(1000);
	free(q);
	ok(address(p) == a && address(p = realloc(p, 2000)) == a,
	    "next to a free one, it grows where it is");
	p = realloc(p, 10);
	q = malloc(1500);
	ok(address(p) == a && address(q) < address(guard), "and shrinking gives the rest back");
	free(p);
	free(q);
	free(guard);
}

/* Last, as the heap stays ruined. */
static void
test_checker(void)
{
	char *p = malloc(1000);

	ok(classic_check() == 0, "the heap is whole");
	p[malloc_usable_size(p)] ^= 0x10;
	ok(classic_check() != 0, "the checker sees one byte past the end of a block");
}

int
main(int argc, char **argv)
{
	if (argc == 2)
		return churn((size_t)atoi(argv[1]));
	if (getenv("FIRSTFIT_ORDER") != NULL) {
		unsetenv("FIRSTFIT_ORDER");
		execl("/proc/self/exe", argv[0], (char *)NULL);
	}
	fill();
	test_joining();
	test_first_fit();
	test_in_place();
	ok(churn(16) == 0, "a random run keeps the heap whole");
	ok(run_again("CLASSIC_ALIGN", "8", "8") == 0, "and so with CLASSIC_ALIGN=8");
	ok(run_again("FIRSTFIT_ORDER", "next", "16") == 0, "and with FIRSTFIT_ORDER=next");
	test_checker();
	return tap_done();
}
