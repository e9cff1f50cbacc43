/*
 * kinds.h: wrong pointers of every kind, and what each is called in messages.
 */
#ifndef KINDS_H
#define KINDS_H

#include "everywhere.h"

#include "phkmalloc_inspect.h"

extern const struct phkmalloc_descriptor phkmalloc_descriptor;

/* --- freed ---------------------------------------------------------------------------------- */

static void *
freed(size_t n)
{
	char *p = with_neighbour(n);

	free(p);
	return p;
}

static void *
freed_long_ago(size_t n)
{
	char *p = with_neighbour(n), *others[50];

	for (size_t i = 0; i < 50; i++)
		others[i] = malloc(n < ((size_t)4 << 20) ? n : 5000);
	free(p);
	for (size_t i = 0; i < 50; i += 2)
		free(others[i]);
	return p;
}

/* One of many that are all freed, so that pages go back. */
static void *
freed_with_page(size_t n)
{
	size_t count = ((size_t)1 << 20) / (n < 16 ? 16 : n) + 2;
	char **p = mmap(NULL, count * sizeof(*p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	    -1, 0), *one;

	for (size_t i = 0; i < count; i++)
		p[i] = malloc(n);
	one = p[count / 2];
	for (size_t i = 0; i < count; i++)
		free(p[i]);
	malloc_trim(0);
	munmap(p, count * sizeof(*p));
	return one;
}

/* And are used again for chunks of another size, none of which is freed or starts there. */
static void *
freed_page_used(size_t n)
{
	char *one = freed_with_page(n), *q;

	for (int i = 0; i < 2000; i++) {
		q = malloc(n < 1000 ? 6000 : 80);
		if (q == one)
			abort();
	}
	return one;
}

static void *
free_it(void *p)
{
	free(p);
	return NULL;
}

static void *
freed_elsewhere(size_t n)
{
	char *p = with_neighbour(n);

	in_thread(free_it, p);
	return p;
}

static size_t wanted;

static void *
allocate_it(void *out)
{
	*(void **)out = with_neighbour(wanted);
	return NULL;
}

/* By a thread that has ended. */
static void *
of_ended(size_t n)
{
	void *p;

	wanted = n;
	in_thread(allocate_it, &p);
	return p;
}

static void *
freed_of_ended(size_t n)
{
	void *p = of_ended(n);

	free(p);
	return p;
}

static void *
freed_aligned(size_t n)
{
	void *p = aligned_alloc(1024, n), *q = aligned_alloc(1024, n);

	free(p);
	return q != NULL ? p : NULL;
}

static void *
freed_concealed(size_t n)
{
	void *p = malloc_conceal(n);

	freezero(p, n);
	return p;
}

/* What realloc moved away from. */
static void *
moved_from(size_t n)
{
	char *p = with_neighbour(n), *behind = malloc(n), *q = realloc(p, 30 * n + 1000000);

	free(behind);

	if (q == p)
		abort();
	return p;
}

/* The end of what realloc made smaller. */
static void *
cut_off(size_t n)
{
	char *p = realloc(malloc(n + ((size_t)1 << 20)), n);

	return p + n + ((size_t)1 << 19);
}

/* --- inside --------------------------------------------------------------------------------- */

static void *inside_1(size_t n) { return with_neighbour(n) + 1; }
static void *inside_8(size_t n) { return with_neighbour(n) + 8; }
static void *inside_16(size_t n) { return with_neighbour(n) + 16; }
static void *inside_page(size_t n) { return with_neighbour(n) + PAGE; }
static void *inside_end(size_t n) { return with_neighbour(n) + n - 1; }
static void *inside_of_ended(size_t n) { return (char *)of_ended(n) + 1; }
static void *inside_freed(size_t n) { return (char *)freed(n) + 1; }
static void *inside_aligned(size_t n) { return (char *)aligned_alloc(1024, n) + 16; }

static void *
behind_last(size_t n)
{
	char *p = malloc(n);
	uintptr_t page = (uintptr_t)p & ~(uintptr_t)(PAGE - 1);

	return (void *)(page + PAGE / phkmalloc_size(p) * phkmalloc_size(p));
}

/* --- not ours ------------------------------------------------------------------------------- */

static __thread char thread_local[64];
static char variable[64];

/* A large variable of a function that has been left. */
__attribute__((noinline)) static void *
on_stack(size_t n)
{
	char local[64];

	memset(local, (int)n, sizeof(local));
	return opaque(local + 16);
}

static void *global(size_t n) { (void)n; return variable; }
static void *in_tls(size_t n) { (void)n; return thread_local + 16; }
static void *literal(size_t n) { (void)n; return opaque((void *)(uintptr_t) "literal"); }
static void *code(size_t n) { return n == 0 ? NULL : (void *)(uintptr_t)code; }
static void *of_library(size_t n) { (void)n; return (void *)(uintptr_t)stdout; }
static void *environment(size_t n) { (void)n; return environ[0]; }
static void *small(size_t n) { return (void *)n; }
static void *negative(size_t n) { return (void *)-n; }
static void *non_canonical(size_t n) { return (void *)(((uintptr_t)0x8000 << 48) + n * 16); }
static void *non_canonical_low(size_t n) { return (void *)(((uintptr_t)0x8000 << 32) + n * 16); }
static void *of_sbrk(size_t n) { return (char *)sbrk((intptr_t)n + 64) + 16; }

static void *
mapped(size_t n)
{
	return mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *
unmapped(size_t n)
{
	void *p = mapped(n);

	munmap(p, n);
	return p;
}

/* --- of the allocator ----------------------------------------------------------------------- */

static uint64_t
arena_word(uint32_t offset)
{
	return *(uint64_t *)(uintptr_t)(phkmalloc_descriptor.arenas + offset);
}

static uint64_t
arena_field(uint32_t offset)
{
	free(malloc(1));
	return arena_word(offset);
}

#define ORIGIN arena_field(phkmalloc_descriptor.arena_origin)

static void *
page_dir(size_t n)
{
	return (void *)(uintptr_t)(arena_field(phkmalloc_descriptor.arena_page_dir) + n * 64);
}

/* The owner in the entry of a page of chunks. */
static void *
owner(size_t n)
{
	uintptr_t p = (uintptr_t)malloc(n);
	const uint64_t *entry = page_dir((p - ORIGIN) / PAGE);

	return (void *)(uintptr_t)(*entry & ~(uint64_t)7);
}

static void *
bitmap(size_t n)
{
	uintptr_t p = (uintptr_t)malloc(n);
	char *entry = page_dir((p - ORIGIN) / PAGE);

	return *(void **)(entry + phkmalloc_descriptor.entry_bits);
}

static void *
above_limit(size_t n)
{
	return (void *)(uintptr_t)(ORIGIN + arena_word(phkmalloc_descriptor.arena_limit) + n * 4096);
}

static void *below_origin(size_t n) { return (void *)(uintptr_t)(ORIGIN - n); }

/* A page that was never given to anybody: the last. */
static void *
never_used(size_t n)
{
	return (char *)above_limit(0) - n % PAGE - 1;
}

/* Reserved beyond what can be. */
static void *
above_arena(size_t n)
{
	return (void *)(uintptr_t)(ORIGIN +
	    arena_word(phkmalloc_descriptor.arena_npages) * PAGE + n * 16);
}

/* --- the table ------------------------------------------------------------------------------ */

static const size_t most[] = {24, 1, 1000, 5000, 100000, 32700, 10 << 20, 0};
static const size_t chunk_sizes[] = {1, 24, 1000, 5000, 30000, 0};
static const size_t inner_sizes[] = {40, 1000, 5000, 30000, 100000, 10 << 20, 0};
static const size_t page_sizes[] = {200000, 1 << 20, 10 << 20, 0};
static const size_t slack_sizes[] = {40, 150, 1500, 0};
static const size_t once[] = {100, 0};
static const size_t numbers[] = {1, 8, 16, 4096, 65536, 0x123450, 0};

static const struct kind {
	const char *name;
	const char *texts; /* with | between */
	const size_t *sizes;
	void *(*make)(size_t n);
	bool freed; /* it is right again when somebody gets it */
	bool plain; /* it is what it is called only without options */
} kinds[] = {
	{"freed", FREE_TEXT, most, freed, true, false},
	{"freed long ago", FREE_TEXT, most, freed_long_ago, true, false},
	{"freed with all of its page", FREE_TEXT "|" WRONG_PAGE "|" MODIFIED, chunk_sizes,
	    freed_with_page, true, false},
	{"freed with its page, which is used for another size", FREE_TEXT "|" WRONG_PAGE "|" MODIFIED,
	    chunk_sizes, freed_page_used, true, true},
	{"freed by another thread", FREE_TEXT, most, freed_elsewhere, true, false},
	{"freed, of a thread that ended", FREE_TEXT, most, freed_of_ended, true, false},
	{"freed, aligned", FREE_TEXT, most, freed_aligned, true, false},
	{"freed, concealed", FREE_TEXT, once, freed_concealed, true, false},
	{"moved by realloc", FREE_TEXT, most, moved_from, true, false},
	{"cut off by realloc", FREE_TEXT "|" WRONG_PAGE, page_sizes, cut_off, true, true},
	{"1 byte inside", MODIFIED, inner_sizes, inside_1, false, false},
	{"8 bytes inside", MODIFIED, inner_sizes, inside_8, false, false},
	{"16 bytes inside", MODIFIED, inner_sizes, inside_16, false, false},
	{"a page inside", WRONG_PAGE, page_sizes, inside_page, false, true},
	{"the last byte", MODIFIED "|" WRONG_PAGE, inner_sizes, inside_end, false, false},
	{"inside, of a thread that ended", MODIFIED, inner_sizes, inside_of_ended, false, false},
	{"inside what is free", MODIFIED "|" FREE_TEXT, inner_sizes, inside_freed, true, false},
	{"inside an aligned one", MODIFIED, inner_sizes, inside_aligned, false, false},
	{"behind the last chunk of a page", MODIFIED, slack_sizes, behind_last, false, true},
	{"the stack", JUNK_TEXT, once, on_stack, false, false},
	{"a static variable", JUNK_TEXT, once, global, false, false},
	{"a thread-local variable", JUNK_TEXT, once, in_tls, false, false},
	{"a string literal", JUNK_TEXT, once, literal, false, false},
	{"a function", JUNK_TEXT, once, code, false, false},
	{"a variable of a library", JUNK_TEXT, once, of_library, false, false},
	{"the environment", JUNK_TEXT, once, environment, false, false},
	{"memory from mmap", JUNK_TEXT, page_sizes, mapped, false, false},
	{"memory that was unmapped", JUNK_TEXT, page_sizes, unmapped, false, false},
	{"memory from sbrk", JUNK_TEXT, once, of_sbrk, false, false},
	{"a small number", JUNK_TEXT, numbers, small, false, false},
	{"a negative number", JUNK_TEXT, numbers, negative, false, false},
	{"an address that no machine has", JUNK_TEXT, numbers, non_canonical, false, false},
	{"the lowest such address", JUNK_TEXT, numbers, non_canonical_low, false, false},
	{"page_dir", JUNK_TEXT, numbers, page_dir, false, false},
	{"an owner", JUNK_TEXT, once, owner, false, true},
	{"a bitmap", JUNK_TEXT, once, bitmap, false, true},
	{"beyond what is committed", JUNK_TEXT, numbers, above_limit, false, false},
	{"before the arena", JUNK_TEXT, numbers, below_origin, false, false},
	{"behind the arena", JUNK_TEXT, numbers, above_arena, false, false},
	{"a page never used", FREE_TEXT, numbers, never_used, false, true},
};

#endif
