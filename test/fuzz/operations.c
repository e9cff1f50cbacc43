/*
 * Fuzzed: sequences of operations, with a model of what is in use as the judge. The library is
 * linked in, so the fuzzer itself runs on it; options come from MALLOC_OPTIONS.
 *
 * Each operation takes four bytes: what, on which of 64 cells, and a size.
 */
#include "phkmalloc.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELLS 64
#define HELD_MAX ((size_t)24 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

static struct cell {
	unsigned char *p;
	size_t n;
	unsigned char mark;
} cells[CELLS];
static size_t held;

static void
demand(bool kept, const char *what)
{
	if (kept)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

/* Where bytes are looked at: the ends, and some between. */
static size_t
step(size_t i, size_t n)
{
	size_t far = 61 + n / 64;

	return i < 32 || i + 33 >= n ? i + 1 : i + far < n - 32 ? i + far : n - 32;
}

static void
verify(const struct cell *c, size_t n)
{
	for (size_t i = 0; i < n; i = step(i, c->n))
		demand(c->p[i] == (unsigned char)(c->mark + i), "contents");
}

static void
enter(struct cell *c, void *p, size_t n, size_t alignment)
{
	c->p = p;
	c->n = n;
	c->mark++;
	if (p == NULL)
		return;
	demand((uintptr_t)p % alignment == 0, "alignment");
	demand(malloc_usable_size(p) >= n, "usable size");
	demand(phkmalloc_owns(p) == 1, "owned");
	for (const struct cell *o = cells; o < cells + CELLS; o++)
		demand(o == c || o->p == NULL || o->p + o->n <= c->p || c->p + n <= o->p, "overlap");
	held += n;
	for (size_t i = 0; i < n; i = step(i, n))
		c->p[i] = (unsigned char)(c->mark + i);
}

static void
leave(struct cell *c, unsigned how)
{
	if (c->p == NULL)
		return;
	verify(c, c->n);
	held -= c->n;
	if (how == 1)
		freezero(c->p, c->n);
	else if (how == 2)
		cells[0].mark ^= (unsigned char)(realloc(c->p, 0) != NULL);
	else
		free(c->p);
	c->p = NULL;
}

/* Small by the byte, up to 2 MiB by shifts. */
static size_t
size_of(uint8_t low, uint8_t high)
{
	return ((size_t)low | (size_t)(high & 15) << 8) << (high >> 4) * 5 / 8;
}

static void
resize(struct cell *c, size_t n)
{
	size_t had = c->n;
	unsigned char *p = realloc(c->p, n);

	demand(p != NULL, "realloc");
	held -= had;
	c->p = p;
	c->n = had;
	verify(c, n < had ? n : had);
	enter(c, p, n, 16);
}

static void
operation(uint8_t what, struct cell *c, size_t n)
{
	size_t alignment = (size_t)1 << (what >> 4);
	void *p = NULL;

	if (held + n > HELD_MAX)
		n &= 1023;
	if (c->p != NULL && what % 16 > 9 && n != 0) {
		resize(c, n);
		return;
	}
	leave(c, what % 4);
	switch (what % 16) {
	case 0: case 10: enter(c, malloc(n), n, 16); break;
	case 1: case 11:
		p = calloc(n, 1);
		for (size_t i = 0; i < n; i = step(i, n))
			demand(((char *)p)[i] == 0, "calloc is zero");
		enter(c, p, n, 16);
		break;
	case 2: enter(c, aligned_alloc(alignment, n), n, alignment); break;
	case 3: enter(c, memalign(alignment, n), n, alignment); break;
	case 4: enter(c, malloc_conceal(n), n, 16); break;
	case 5: enter(c, recallocarray(NULL, 0, n, 1), n, 16); break;
	case 6:
		if (posix_memalign(&p, alignment < 8 ? 8 : alignment, n) == 0)
			enter(c, p, n, alignment);
		break;
	case 7:
		if (n % 4 == 0)
			malloc_trim(0);
		break;
	case 8: demand(n % 8 != 0 || phkmalloc_check() == 0, "the heap"); break;
	default: break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
	for (; nbytes >= 4; data += 4, nbytes -= 4)
		operation(data[0], &cells[data[1] % CELLS], size_of(data[2], data[3]));
	for (size_t i = 0; i < CELLS; i++)
		leave(&cells[i], 0);
	demand(held == 0, "the model");
	demand(phkmalloc_check() == 0, "the heap at the end");
	return 0;
}
