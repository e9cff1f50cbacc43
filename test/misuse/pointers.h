/*
 * pointers.h: wrong pointers given to functions that take pointers. Each is found without any
 * option. An act returns only when nothing was found.
 */
#ifndef MISUSE_POINTERS_H
#define MISUSE_POINTERS_H

#include "misuse.h"

/* What a large allocation was is part of a free run. p is in use still. */
static void
expect_freed(const void *at, const void *p)
{
	if (phkmalloc_size(p) > CHUNK_MAX)
		expect(at, "RUN");
	else
		expect_at(at, p, "");
}

static int
free_twice(size_t n)
{
	char *p = with_neighbour(n);

	expect_freed(p, p);
	free(p);
	free(p);
	return 0;
}

static int
free_twice_later(size_t n)
{
	char *p = with_neighbour(n), *others[50];

	for (size_t i = 0; i < 50; i++)
		others[i] = malloc(n < ((size_t)4 << 20) ? n : 5000);
	expect_freed(p, p);
	free(p);
	for (size_t i = 0; i < 50; i += 2)
		free(others[i]);
	free(p);
	return 0;
}

/* The page of chunks has gone back as a whole. */
static int
free_twice_page_gone(size_t n)
{
	size_t count = (4 << 20) / (n < 16 ? 16 : n);
	char **p = mmap(NULL, count * sizeof(*p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	    -1, 0);

	for (size_t i = 0; i < count; i++)
		p[i] = malloc(n);
	for (size_t i = 0; i < count; i++)
		free(p[i]);
	malloc_trim(0);
	expect(p[count / 2], "ANY");
	free(p[count / 2]);
	return 0;
}

static int
free_of_others(size_t n)
{
	char *p = with_neighbour(n), *q;

	free(p);
	q = opaque(malloc(n));
	if (q != p)
		return 3;
	expect_freed(q, q);
	/* Nobody can know that p is not q; who frees q finds out. */
	free(p);
	free(q);
	return 0;
}

static void *
free_it(void *p)
{
	free(p);
	return NULL;
}

static int
free_twice_here_there(size_t n)
{
	char *p = with_neighbour(n);

	/* What libc allocates for the first thread must not be where p was. */
	in_thread(free_it, NULL);
	expect_freed(p, p);
	free(p);
	in_thread(free_it, p);
	return 0;
}

static int
free_twice_there_here(size_t n)
{
	char *p = with_neighbour(n);

	expect_freed(p, p);
	in_thread(free_it, p);
	free(p);
	return 0;
}

static int
free_twice_there(size_t n)
{
	char *p = with_neighbour(n);

	expect_freed(p, p);
	in_thread(free_it, p);
	in_thread(free_it, p);
	return 0;
}

static pthread_barrier_t gate;

static void *
free_at_once(void *p)
{
	pthread_barrier_wait(&gate);
	free(p);
	return NULL;
}

static int
free_race(size_t n)
{
	char *p = with_neighbour(n);
	pthread_t t[2];

	pthread_barrier_init(&gate, NULL, 2);
	expect(p, "ANY");
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, free_at_once, p);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	return 0;
}

/* One of the two is the thread that owns the page. */
static int
free_race_owner(size_t n)
{
	char *p = with_neighbour(n);
	pthread_t t;

	pthread_barrier_init(&gate, NULL, 2);
	pthread_create(&t, NULL, free_at_once, p);
	expect(p, "ANY");
	free_at_once(p);
	pthread_join(t, NULL);
	return 0;
}

static void *
realloc_at_once(void *p)
{
	size_t n = malloc_usable_size(p);

	pthread_barrier_wait(&gate);
	return realloc(p, n * 2 + 1);
}

/* If realloc is first and does not move it, the free is right, and wrong is what follows. */
static int
realloc_race(size_t n)
{
	char *p = with_neighbour(n);
	pthread_t t;
	void *q;

	pthread_barrier_init(&gate, NULL, 2);
	pthread_create(&t, NULL, free_at_once, p);
	expect(p, "ANY");
	q = realloc_at_once(p);
	pthread_join(t, NULL);
	if (q == p)
		free(q);
	return 0;
}

static int
free_inside(size_t n, size_t by)
{
	char *p = with_neighbour(n);

	expect_at(p + by, p, "");
	free(p + by);
	return 0;
}

static int free_inside_1(size_t n) { return free_inside(n, 1); }
static int free_inside_8(size_t n) { return free_inside(n, 8); }
static int free_inside_16(size_t n) { return free_inside(n, 16); }
static int free_inside_middle(size_t n) { return free_inside(n, n / 2 / PAGE * PAGE); }
static int free_inside_last(size_t n) { return free_inside(n, (n - 1) / PAGE * PAGE); }

static void *
free_inside_it(void *p)
{
	free((char *)p + 1);
	return NULL;
}

static int
free_inside_there(size_t n)
{
	char *p = with_neighbour(n);

	expect_at(p + 1, p, "");
	in_thread(free_inside_it, p);
	return 0;
}

/* A page of 48-byte chunks holds 1365 of them, and 16 bytes more. */
static int
free_slack(size_t n)
{
	char *p = malloc(n);
	char *end = (char *)((uintptr_t)p & ~(PAGE - 1)) + PAGE / phkmalloc_size(p) * phkmalloc_size(p);

	expect(end, "ANY");
	free(end);
	return 0;
}

static int
free_tail(size_t n)
{
	char *p = malloc(n + ((size_t)1 << 20)), *behind = malloc(n + 1);

	p = realloc(p, n);
	expect(p + n + ((size_t)1 << 19), "RUN");
	free(p + n + ((size_t)1 << 19));
	free(behind);
	return 0;
}

static int
free_foreign(const void *p)
{
	free(malloc(1));
	expect(p, "");
	free(opaque((void *)(uintptr_t)p));
	return 0;
}

static int
free_stack(size_t n)
{
	char local[64];

	memset(local, (int)n, sizeof(local));
	return free_foreign(local + 16);
}

static int
free_static(size_t n)
{
	static char global[64];

	(void)n;
	return free_foreign(global);
}

static int
free_mapped(size_t n)
{
	return free_foreign(mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static int free_literal(size_t n) { (void)n; return free_foreign("literal"); }
static int free_code(size_t n) { (void)n; return free_foreign((void *)(uintptr_t)free_code); }
static int free_number(size_t n) { return free_foreign((void *)n); }
static int free_minus(size_t n) { return free_foreign((void *)-n); }

static int
free_too_early(size_t n)
{
	char local[64];

	memset(local, (int)n, sizeof(local));
	expect(local, "");
	free(opaque(local));
	return 0;
}

static int
take_freed(size_t n, void (*act)(void *p, size_t n))
{
	char *p = with_neighbour(n);

	expect_freed(p, p);
	free(p);
	act(p, n);
	return 0;
}

static void by_realloc(void *p, size_t n) { realloc(p, n + 1); }
static void by_realloc_zero(void *p, size_t n) { (void)n; realloc(p, 0); }
static void by_reallocarray(void *p, size_t n) { reallocarray(p, n, 3); }
static void by_reallocf(void *p, size_t n) { reallocf(p, n * 2); }
static void by_recallocarray(void *p, size_t n) { recallocarray(p, n, n + 5, 1); }
static void by_usable(void *p, size_t n) { (void)n; malloc_usable_size(p); }
static void by_freezero(void *p, size_t n) { freezero(p, n); }
static void by_free_sized(void *p, size_t n) { free_sized(p, n); }
static void by_free_aligned(void *p, size_t n) { free_aligned_sized(p, 16, n); }
static void by_cfree(void *p, size_t n) { (void)n; cfree(p); }
static void by_delete(void *p, size_t n) { (void)n; _ZdlPv(p); }
static void by_delete_array(void *p, size_t n) { (void)n; _ZdaPv(p); }
static void by_delete_sized(void *p, size_t n) { _ZdlPvm(p, n); }
static void by_delete_aligned(void *p, size_t n) { _ZdlPvmSt11align_val_t(p, n, 16); }

#define FREED(by) static int freed_##by(size_t n) { return take_freed(n, by_##by); }
FREED(realloc)
FREED(realloc_zero)
FREED(reallocarray)
FREED(reallocf)
FREED(recallocarray)
FREED(usable)
FREED(freezero)
FREED(free_sized)
FREED(free_aligned)
FREED(cfree)
FREED(delete)
FREED(delete_array)
FREED(delete_sized)
FREED(delete_aligned)

static int
realloc_inside(size_t n)
{
	char *p = with_neighbour(n);

	expect_at(p + 8, p, "");
	realloc(p + 8, n * 2);
	return 0;
}

static int
realloc_foreign(size_t n)
{
	char local[64];

	free(malloc(1));
	expect(local + 16, "");
	realloc(opaque(local + 16), n);
	return 0;
}

struct sized {
	void *p;
	size_t n;
};

static void *
delete_sized(void *arg)
{
	const struct sized *s = arg;

	_ZdlPvm(s->p, s->n);
	return NULL;
}

/* By a thread that the library knows nothing of. */
static void
by_new_thread(void *p, size_t n)
{
	struct sized s = {p, n};

	in_thread(delete_sized, &s);
}

static int
wrong_size(size_t n, size_t size, void (*act)(void *p, size_t n))
{
	char *p = with_neighbour(n), extra[60];

	snprintf(extra, sizeof(extra), ", freed with size %zu", size);
	expect_at(p, p, extra);
	act(p, size);
	return 0;
}

static int sized_twice(size_t n) { return wrong_size(n, n * 2 + 20, by_free_sized); }
static int sized_tiny(size_t n) { return wrong_size(n, n / 3, by_free_sized); }
static int sized_page_more(size_t n) { return wrong_size(n, n + PAGE, by_free_sized); }
static int sized_less(size_t n) { return wrong_size(n, n - 1, by_free_sized); }
static int delete_more(size_t n) { return wrong_size(n, n + 1, by_delete_sized); }
static int delete_twice(size_t n) { return wrong_size(n, n * 2 + 20, by_delete_sized); }
static int delete_twice_elsewhere(size_t n) { return wrong_size(n, n * 2 + 20, by_new_thread); }
static int delete_tiny_elsewhere(size_t n) { return wrong_size(n, n / 3, by_new_thread); }
static int delete_tiny(size_t n) { return wrong_size(n, n / 3, by_delete_sized); }
static int aligned_twice(size_t n) { return wrong_size(n, n * 2 + 20, by_delete_aligned); }

/* What is free by then is found to be so. */
static int
sized_twice_free(size_t n)
{
	char *p = with_neighbour(n);

	by_free_sized(p, n * 2 + 20);
	free(p);
	return 0;
}

static int
zero_too_much(size_t n)
{
	return wrong_size(n, phkmalloc_size(malloc(n)) + 1, by_freezero);
}

/* Some allocation is not a multiple of 128 KiB. */
static int
wrong_alignment(size_t n, void (*act)(void *p, size_t n))
{
	char *p = malloc(n);

	for (int i = 0; i < 1000 && (uintptr_t)p % (2 * PAGE) == 0; i++)
		p = malloc(i % 2 == 0 ? PAGE : n);
	expect_at(p, p, "");
	act(p, n);
	return 0;
}

static void by_delete_page(void *p, size_t n) { (void)n; _ZdlPvSt11align_val_t(p, 2 * PAGE); }
static void by_delete_page_sized(void *p, size_t n) { _ZdlPvmSt11align_val_t(p, n, 2 * PAGE); }
static void by_free_page(void *p, size_t n) { free_aligned_sized(p, 2 * PAGE, n); }
static void by_free_aligned_3(void *p, size_t n) { free_aligned_sized(p, 3, n); }
static int delete_page(size_t n) { return wrong_alignment(n, by_delete_page); }
static int delete_page_sized(size_t n) { return wrong_alignment(n, by_delete_page_sized); }
static int free_page(size_t n) { return wrong_alignment(n, by_free_page); }
static int free_aligned_3(size_t n) { return wrong_alignment(n, by_free_aligned_3); }

#endif
