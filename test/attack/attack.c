/*
 * Known ways to turn a mistake in a program into power over it through its allocator, as far as
 * they apply to any allocator; each written as it is done to allocators that keep their lists and
 * sizes beside the user's memory. Each must gain nothing, in the default build and with the secure
 * set: it is caught (a message, and the process ends), traps (SIGSEGV), or just has no effect.
 *
 *   attack --table     the table of SECURITY.md
 */
#include "attack/attack.h"

#include <pthread.h>
#include <sys/mman.h>

/* What an attacker wants to write to: nothing of the heap. */
static struct {
	uintptr_t before[4];
	uintptr_t fake[8];
	uintptr_t after[64];
} target;

static bool
in_target(const void *p)
{
	return (uintptr_t)p - (uintptr_t)&target < sizeof(target);
}

/* The target is as it was: the attack itself writes only the fake chunk. */
static bool
untouched(void)
{
	for (size_t i = 0; i < 4; i++)
		if (target.before[i] != 0)
			return false;
	for (size_t i = 0; i < 64; i++)
		if (target.after[i] != 0)
			return false;
	return true;
}

#define TAKES 200

/* Gained: an allocation in the target, or two in one place. */
static int
gained(size_t n, void *const *held, size_t nheld)
{
	void *p[TAKES];

	if (!untouched())
		return GAINED;
	for (size_t i = 0; i < TAKES; i++) {
		p[i] = malloc(n);
		if (p[i] == NULL || in_target(p[i]))
			return GAINED;
		for (size_t k = 0; k < nheld; k++)
			if (p[i] == held[k])
				return GAINED;
		for (size_t k = 0; k < i; k++) {
			uintptr_t apart = (uintptr_t)p[i] - (uintptr_t)p[k];

			if (apart < n || -apart < n)
				return GAINED;
		}
		memset(p[i], 'A', n);
	}
	return untouched() ? NOTHING : GAINED;
}

/* --- lists and sizes beside the user's memory --------- */

/* A pointer where freed chunks of others link to the next one (tcache, fastbin). */
static int
freelist_poisoning(void)
{
	uintptr_t *a = malloc(64), *b = malloc(64);

	free(opaque(a));
	free(opaque(b));
	b[0] = (uintptr_t)target.fake;
	b[1] = 0;
	return gained(64, NULL, 0);
}

/* Forward and backward pointers of a free chunk, so that taking it out writes to the target. */
static int
unsafe_unlink(void)
{
	uintptr_t *a = malloc(128), *b = malloc(128);
	void *held[] = {a};

	/* A fake free chunk in a; b's header says that its neighbour is free and how long it is. */
	a[0] = 0;
	a[1] = 128;
	a[2] = (uintptr_t)&target.before[0];
	a[3] = (uintptr_t)&target.before[1];
	a[16] = 128;
	a[17] = 144;
	free(opaque(b));
	return gained(128, held, 1);
}

/* Backward pointers of freed chunks (unsorted, small and large bins; house of lore). */
static int
bin_pointers(void)
{
	uintptr_t *p[8];

	for (size_t i = 0; i < 8; i++)
		p[i] = malloc(1200);
	for (size_t i = 0; i < 8; i += 2) {
		free(opaque(p[i]));
		for (size_t k = 0; k < 4; k++)
			p[i][k] = (uintptr_t)&target.before[k % 2 == 0 ? 0 : 2];
	}
	return gained(1200, (void **)&p[1], 1);
}

/* The size in front of a chunk made larger, so that it spans its neighbour when it is free. */
static int
overlapping_chunks(void)
{
	uintptr_t *a = malloc(64), *b = malloc(64), *c = malloc(64);
	void *held[] = {a, c};

	a[8] = 1;
	a[9] = 0x100 | 1;
	b[-1] = 0x100 | 1;
	free(opaque(b));
	memset(c, 'C', 64);
	if (gained(240, held, 2) == GAINED)
		return GAINED;
	for (size_t i = 0; i < 64; i++)
		if (((char *)c)[i] != 'C')
			return GAINED;
	return NOTHING;
}

/* The size of what is left at the top, so that a large request wraps around (house of force). */
static int
top_size(void)
{
	uintptr_t *a = malloc(1024);
	size_t distance = (uintptr_t)&target - (uintptr_t)a;

	for (size_t i = 128; i < 132; i++)
		a[i] = UINTPTR_MAX;
	if (in_target(malloc(distance - 64)) || in_target(malloc(64)))
		return GAINED;
	return gained(1024, (void *[]){a}, 1);
}

/* One byte of zero behind a chunk, where others keep the neighbour's size (poison null byte). */
static int
null_byte(void)
{
	char *a = malloc(248), *b = malloc(512), *c = malloc(248);
	void *held[] = {c};

	memset(c, 'C', 248);
	((char *)opaque(a))[248] = 0;
	((uintptr_t *)b)[62] = 0x200;
	free(opaque(b));
	if (gained(200, held, 1) == GAINED)
		return GAINED;
	for (size_t i = 0; i < 248; i++)
		if (c[i] != 'C')
			return GAINED;
	free(opaque(a));
	free(opaque(c));
	return gained(500, NULL, 0);
}

/* The previous size of a chunk, so that it merges backwards over others (house of Einherjar). */
static int
backward_merge(void)
{
	uintptr_t *a = malloc(256), *b = malloc(248);
	void *held[] = {a};

	target.fake[0] = 0;
	target.fake[1] = (uintptr_t)b - (uintptr_t)target.fake;
	b[-2] = (uintptr_t)b - (uintptr_t)target.fake;
	b[-1] = 0x100;
	free(opaque(b));
	return gained(256, held, 1);
}

/* The size in front of a large allocation, so that freeing it unmaps its neighbours. */
static int
large_header(void)
{
	char *a = malloc(300000), *b = malloc(300000), *c = malloc(300000);

	memset(a, 'A', 300000);
	memset(c, 'C', 300000);
	((uintptr_t *)b)[-1] = 0x200000 | 2;
	((uintptr_t *)b)[-2] = 0x100000;
	free(opaque(b));
	memset(malloc(900000), 'X', 900000);
	return a[0] == 'A' && a[299999] == 'A' && c[0] == 'C' && c[299999] == 'C' ? NOTHING : GAINED;
}

/* What the allocator leaves in freed memory tells where its things are. */
static int
leaked_pointers(void)
{
	uintptr_t *a = malloc(256), before[32];

	for (size_t i = 0; i < 32; i++)
		a[i] = 0x4141414141414141U;
	free(opaque(a));
	memcpy(before, opaque(a), sizeof(before));
	for (size_t i = 0; i < 32; i++)
		if (before[i] != 0x4141414141414141U && before[i] != 0xdfdfdfdfdfdfdfdfU)
			return GAINED;
	return NOTHING;
}

/* --- wrong frees --------- */

/* free of something that looks like a chunk (house of spirit). */
static int
fake_chunk(void)
{
	free(malloc(64));
	target.fake[1] = 0x50;
	target.fake[7] = 0x50;
	free(opaque(&target.fake[2]));
	return GAINED;
}

static int
fake_chunk_on_stack(void)
{
	uintptr_t chunk[32] ALIGNED_TO(64);

	memset(chunk, 0, sizeof(chunk));
	chunk[1] = 0x50;
	chunk[11] = 0x50;
	free(malloc(64));
	free(opaque(&chunk[2]));
	return GAINED;
}

/* A chunk made inside another one, with all that belongs to it. */
static int
fake_chunk_in_heap(void)
{
	uintptr_t *a = malloc(1024);

	for (size_t i = 0; i < 128; i += 2)
		a[i + 1] = 0x51;
	free(opaque(&a[8]));
	return GAINED;
}

static int
double_free(void)
{
	void *a = malloc(64), *b = malloc(64);

	free(opaque(a));
	free(opaque(b));
	free(opaque(a));
	return GAINED;
}

/* What defeats a key in freed memory: it is overwritten between the two. */
static int
double_free_wiped(void)
{
	uintptr_t *a = malloc(64);

	free(opaque(a));
	a[0] = a[1] = 0;
	free(opaque(a));
	return GAINED;
}

/* A free chunk that is part of a larger free one by now (house of botcake). */
static int
double_free_merged(void)
{
	void *p[10];

	for (size_t i = 0; i < 10; i++)
		p[i] = malloc(256);
	for (size_t i = 0; i < 10; i++)
		free(opaque(p[i]));
	free(opaque(p[8]));
	return GAINED;
}

static int
double_free_large(void)
{
	char *a = malloc(200000), *b = malloc(200000);

	free(opaque(a));
	free(opaque(b));
	free(opaque(b));
	return GAINED;
}

static void *
free_it(void *p)
{
	free(opaque(p));
	return NULL;
}

static int
double_free_threads(void)
{
	void *a = malloc(64), *keep = malloc(64);
	pthread_t t;

	for (int i = 0; i < 2; i++) {
		pthread_create(&t, NULL, free_it, a);
		pthread_join(t, NULL);
	}
	free(opaque(keep));
	return GAINED;
}

/* The thread that allocated is gone; its memory has been taken over by others. */
static void *
take_it(void *where)
{
	*(void **)where = malloc(64);
	free(malloc(64));
	return NULL;
}

static int
double_free_of_ended(void)
{
	pthread_t t;
	void *p;

	free(malloc(64));
	pthread_create(&t, NULL, take_it, &p);
	pthread_join(t, NULL);
	free(opaque(p));
	free(opaque(p));
	return GAINED;
}

static int
free_of_bookkeeping(void)
{
	free(malloc(64));
	free(opaque(attack_page_dir()));
	return GAINED;
}

static int
free_of_library(void)
{
	free(malloc(64));
	free(opaque(attack_arenas()));
	return GAINED;
}

static int
realloc_of_fake(void)
{
	free(malloc(64));
	target.fake[1] = 0x50;
	return realloc(opaque(&target.fake[2]), 200) == NULL ? NOTHING : GAINED;
}

static int
wrong_delete(void)
{
	void *p = malloc(64);

	free_sized(opaque(p), 4000);
	return GAINED;
}

/* --- linear overflows --------- */

/* Writes on and on; returns only if all of the way to the bookkeeping can be written. */
static int
overflow(char *p, ptrdiff_t step)
{
	const char *goal = attack_page_dir();

	for (; p != goal; p += step)
		*(volatile char *)p = 0;
	return GAINED;
}

static int
overflow_up(void)
{
	char *high = NULL;

	for (size_t n = 16; n < 1000000; n *= 2) {
		char *p = malloc(n);

		high = p > high ? p : high;
	}
	/* At multiples of what the bookkeeping lies at, so that it would be met. */
	return overflow((char *)((uintptr_t)high & ~(uintptr_t)4095), 4096);
}

static int
overflow_down(void)
{
	char *low = malloc(16);

	for (size_t n = 16; n < 1000000; n *= 2) {
		char *p = malloc(n);

		low = p < low ? p : low;
	}
	return overflow((char *)((uintptr_t)low & ~(uintptr_t)4095), -4096);
}

/* --- numbers --------- */

static int
size_overflow(void)
{
	static volatile size_t half = (size_t)1 << 33, most = SIZE_MAX, top = (size_t)1 << 63;
	void *p = &p;

	if (calloc(half, half) != NULL || calloc(most, 2) != NULL || malloc(most) != NULL ||
	    malloc(most - 15) != NULL || reallocarray(NULL, half, half) != NULL ||
	    aligned_alloc(64, most - 62) != NULL || aligned_alloc(top, 1) != NULL ||
	    memalign(top, most) != NULL || pvalloc(most - 4094) != NULL || valloc(most) != NULL ||
	    posix_memalign(&p, top, 64) == 0 || realloc(malloc(64), most - 63) != NULL ||
	    recallocarray(malloc(64), 8, half, half) != NULL || malloc_conceal(most - 1) != NULL ||
	    calloc_conceal(half, half) != NULL || reallocf(malloc(64), most) != NULL)
		return GAINED;
	return NOTHING;
}

/* --- the options --------- */

static int
options_overwritten(void)
{
	free(malloc(64));
	*(volatile char *)attack_options() = 'a';
	return GAINED;
}

const struct attack attacks[] = {
	{"free-list poisoning (tcache, fastbin)", freelist_poisoning, HAS_NO_EFFECT, EITHER},
	{"unsafe unlink", unsafe_unlink, HAS_NO_EFFECT, EITHER},
	{"bin pointers (unsorted, small, large bin; house of lore)", bin_pointers, HAS_NO_EFFECT,
	    EITHER},
	{"overlapping chunks by a changed size", overlapping_chunks, HAS_NO_EFFECT, EITHER},
	{"size of the top (house of force, of orange)", top_size, HAS_NO_EFFECT, EITHER},
	{"off by one: a byte of zero (poison null byte)", null_byte, HAS_NO_EFFECT, EITHER},
	{"merging backwards (house of Einherjar)", backward_merge, HAS_NO_EFFECT, EITHER},
	{"size of a large allocation (house of muney)", large_header, HAS_NO_EFFECT, EITHER},
	{"pointers read from freed memory", leaked_pointers, HAS_NO_EFFECT, HAS_NO_EFFECT},
	{"fake chunk in static memory (house of spirit)", fake_chunk, CAUGHT, CAUGHT},
	{"fake chunk on the stack", fake_chunk_on_stack, CAUGHT, CAUGHT},
	{"fake chunk inside a chunk", fake_chunk_in_heap, CAUGHT, CAUGHT},
	{"double free (fastbin dup)", double_free, CAUGHT, CAUGHT},
	{"double free of wiped memory", double_free_wiped, CAUGHT, CAUGHT},
	{"double free of merged memory (house of botcake)", double_free_merged, CAUGHT, CAUGHT},
	{"double free of large memory", double_free_large, CAUGHT, CAUGHT},
	{"double free by two threads", double_free_threads, CAUGHT, CAUGHT},
	{"double free of what an ended thread left", double_free_of_ended, CAUGHT, CAUGHT},
	{"free of the bookkeeping", free_of_bookkeeping, CAUGHT, CAUGHT},
	{"free of the library's data", free_of_library, CAUGHT, CAUGHT},
	{"realloc of a fake chunk", realloc_of_fake, CAUGHT, CAUGHT},
	{"sized free of a wrong size", wrong_delete, CAUGHT, CAUGHT},
	{"linear overflow upwards from the last page", overflow_up, TRAPS, CAUGHT},
	{"linear overflow downwards from the first page", overflow_down, TRAPS, TRAPS},
	{"sizes that overflow", size_overflow, HAS_NO_EFFECT, HAS_NO_EFFECT},
	{"writing to the options", options_overwritten, TRAPS, TRAPS},
};
const size_t attack_count = sizeof(attacks) / sizeof(attacks[0]);
