/*
 * Random operations beside a model of what a program may rely on: contents are kept, live
 * allocations do not overlap, new zeroed memory is zero, and every invariant of the bookkeeping
 * holds; after each step while the heap is small. With several sets of options, each in a process
 * of its own. SEED=n repeats a run.
 */
#include "phkmalloc.h"
#include "tap.h"

#include <malloc.h>

#define CELLS 300

static struct cell {
	unsigned char *p;
	size_t n;
	size_t alignment; /* what it was asked with, for the sized forms */
	unsigned char mark;
} cells[CELLS];
static uint64_t seed;
static size_t live_nbytes;

static _Noreturn void
broken(const char *what, const struct cell *c)
{
	dprintf(STDERR_FILENO, "%s: cell %d, %p, %zu bytes\n", what, (int)(c - cells), (void *)c->p,
	    c->n);
	_exit(1);
}

/* Mostly small, some around every border, few large. */
static size_t
any_size(void)
{
	uint64_t r = random_next(&seed);

	switch (r % 16) {
	case 0:
		return r >> 8 & 0x1fffff;
	case 1:
		return r >> 8 & 0x1ffff;
	case 2:
	case 3:
		return ((size_t)1 << (r >> 8) % 17) + (r >> 16) % 3 - ((r >> 8) % 17 != 0);
	case 4:
		return 0;
	default:
		return (r >> 8) % ((size_t)1 << (4 + (r >> 40) % 10));
	}
}

static void
fill(struct cell *c)
{
	c->mark = (unsigned char)(random_next(&seed) | 1);
	memset(c->p, c->mark, c->n);
}

static void
verify(const struct cell *c, size_t n)
{
	if (n != 0 && (c->p[0] != c->mark || memcmp(c->p, c->p + 1, n - 1) != 0))
		broken("contents are lost", c);
}

/* What nobody else may have: also an allocation of nothing has an address of its own. */
static size_t
span(const struct cell *c)
{
	return c->n != 0 ? c->n : 1;
}

/* A new allocation must be aligned, large enough and apart from all others. */
static void
accept(struct cell *c)
{
	size_t room = malloc_usable_size(c->p);

	if (c->p == NULL)
		broken("no memory", c);
	if ((uintptr_t)c->p % 16 != 0 || (uintptr_t)c->p % c->alignment != 0)
		broken("not aligned", c);
	if (room < c->n || phkmalloc_owns(c->p) != (phkmalloc_base(c->p) != NULL))
		broken("not as large as asked for", c);
	for (struct cell *o = cells; o < cells + CELLS; o++)
		if (o != c && o->p != NULL && c->p < o->p + span(o) && o->p < c->p + span(c))
			broken("overlaps with another", c);
	live_nbytes += c->n;
}

static void
allocate(struct cell *c)
{
	uint64_t r = random_next(&seed);

	c->n = any_size();
	c->alignment = 1;
	switch (r % 5) {
	case 0:
		c->p = calloc(c->n, 1);
		for (size_t i = 0; i < c->n; i++)
			if (c->p[i] != 0)
				broken("calloc is not zero", c);
		break;
	case 1:
		c->alignment = (size_t)1 << (r >> 8) % 18;
		c->p = aligned_alloc(c->alignment, c->n);
		break;
	case 2:
		c->p = realloc(NULL, c->n);
		break;
	default:
		c->p = malloc(c->n);
	}
	accept(c);
	fill(c);
}

static void
resize(struct cell *c)
{
	size_t old = c->n, n = any_size();
	unsigned char *p;

	/* Mostly near what it is, so that it may stay where it is. */
	if (random_next(&seed) % 3 != 0)
		n = old / 2 + n % (old + 9);
	n += n == 0;
	p = realloc(c->p, n);
	if (p == NULL)
		broken("realloc fails", c);
	live_nbytes -= old;
	c->p = p;
	c->n = n;
	c->alignment = 1;
	accept(c);
	verify(c, old < n ? old : n);
	fill(c);
}

static void
give(struct cell *c)
{
	verify(c, c->n);
	switch (random_next(&seed) % 4) {
	case 0:
		free_aligned_sized(c->p, c->alignment, c->n);
		break;
	case 1:
		if (c->alignment == 1) {
			free_sized(c->p, c->n);
			break;
		}
		/* fall through */
	default:
		free(c->p);
	}
	live_nbytes -= c->n;
	c->p = NULL;
}

/* Now and then a phase of growing or of shrinking; the rest is even. */
static void
steps(size_t count, size_t cell_count, size_t check_each)
{
	unsigned frees = 1;

	for (size_t i = 0; i < count; i++) {
		struct cell *c = &cells[random_next(&seed) % cell_count];

		if (i % 200 == 0)
			frees = (unsigned)(random_next(&seed) % 3);
		if (c->p == NULL)
			allocate(c);
		else if (random_next(&seed) % 3 <= frees)
			give(c);
		else
			resize(c);
		if (random_next(&seed) % 500 == 0)
			malloc_trim(0);
		if (i % check_each == 0 && phkmalloc_check() != 0)
			broken("the heap is not whole", c);
		if (i % check_each == 0 && mallinfo2().uordblks < live_nbytes)
			broken("fewer bytes in use than are allocated", c);
	}
	for (struct cell *c = cells; c < cells + cell_count; c++)
		if (c->p != NULL)
			give(c);
	if (phkmalloc_check() != 0)
		broken("the heap is not whole at the end", cells);
}

static int
child(const char *start_at)
{
	seed = strtoull(start_at, NULL, 0);
	for (int round = 0; round < 6; round++)
		steps(500, 10 + 10 * (size_t)round, 1);
	steps(6000, CELLS, 100);
	return 0;
}

static int
start(void *options)
{
	char text[30];

	snprintf(text, sizeof(text), "%#llx", (unsigned long long)seed);
	setenv("MALLOC_OPTIONS", options, 1);
	execl("/proc/self/exe", "model", text, (char *)NULL);
	return 127;
}

int
main(int argc, char **argv)
{
	static const char *const sets[] = {"", "", "", "C", "E", "F", "G", "H", "J", "JJ", "P", "PG",
	    "R", "T", "Z", "K", "CF", "S", "ST", "SZ", "W2", "W5S", "B1", "B200", "<<<<", ">>"};

	if (argc == 2)
		return child(argv[1]);
	seed = random_start();
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		uint64_t own = random_next(&seed);
		struct ended e;

		seed = own;
		child_run(&e, start, (void *)(uintptr_t)sets[i]);
		if (!ok(e.status == 0, "random operations with options \"%s\", seed %#llx", sets[i],
		    (unsigned long long)own))
			printf("# status %#x: %s\n# repeat: MALLOC_OPTIONS=%s model %#llx\n",
			    (unsigned)e.status, e.text, sets[i], (unsigned long long)own);
	}
	return tap_done();
}
