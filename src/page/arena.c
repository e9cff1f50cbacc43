/*
 * arena.c: reservations and metadata; see arena.h. Protected by the page lock; `limit` of an
 * arena is read without it by anybody, and is raised only when page_dir is readable up to there.
 *
 *   meta    | guard .. | page_dir ... | guard | dirty | guard | pool .......... | guard |
 *
 * It lies apart from the pages, at a random distance from the start of its reservation.
 */
#include "page/arena.h"

#include "os/env.h"
#include "os/vm.h"

#include <string.h>

#define ARENA_NPAGES_MAX ((size_t)1 << 24)         /* 1 TiB */
#define ARENA_NPAGES_MIN ((size_t)16)              /* 1 MiB */
#define ALIGNED_NPAGES_MIN ((size_t)1024)          /* 64 MiB: its first page begins a huge one */
#define GUARD_NBYTES ((size_t)64 << 10)
#define META_STEP ((size_t)64 << 10)
#define POOL_BASE ((size_t)256 << 10)              /* room for owners beside the bitmaps */
#define META_PIECES ((size_t)128 << 10 >> 6)       /* sizes of metadata, in cache lines */

struct arena arenas[ARENA_MAX];
unsigned arena_count;

/* Metadata given back, by size in cache lines; the first word of each links to the next. */
static void *meta_lists[META_PIECES + 1];

struct pginfo *
page_dir_find(const void *p)
{
	unsigned n = load_acquire(&arena_count);

	for (unsigned i = 0; i < n; i++) {
		size_t offset = (size_t)((uintptr_t)p - (uintptr_t)arenas[i].origin);

		if (offset < load_acquire(&arenas[i].limit))
			return &arenas[i].page_dir[offset >> malloc_pageshift];
	}
	return NULL;
}

struct arena *
arena_of(const struct pginfo *pg)
{
	struct arena *a = arenas;

	while ((uintptr_t)pg - (uintptr_t)a->page_dir >= a->npages * sizeof(*pg)) {
		a++;
		ASSERT(a < arenas + ARENA_MAX);
	}
	return a;
}

char *
page_address(const struct pginfo *pg)
{
	struct arena *a = arena_of(pg);

	return a->origin + ((size_t)(pg - a->page_dir) << malloc_pageshift);
}

static size_t
pool_size_for(size_t npages)
{
	return POOL_BASE + npages * 1024 + (npages >= (1U << 20) ? (size_t)1 << 30 : 0);
}

/* Reserves the metadata of an arena of npages. */
static bool
meta_reserve(struct arena *a, size_t npages)
{
	size_t dir = round_up(npages * sizeof(struct pginfo), META_STEP);
	size_t dirty = round_up(npages / 8 + 8, META_STEP);
	size_t pool = round_up(pool_size_for(npages), META_STEP);
	size_t nbytes = dir + dirty + pool + 4 * GUARD_NBYTES;
	/* Up to as much again of room to place it at random, unless addresses are scarce. */
	size_t spare = npages == ARENA_NPAGES_MAX ? nbytes : 0;
	char *base = vm_reserve(nbytes + spare, META_STEP);
	char *at;

	if (base == NULL)
		return false;
	at = base + (spare == 0 ? 0 : env_random() % (spare / META_STEP) * META_STEP);
	a->meta = base;
	a->meta_nbytes = nbytes + spare;
	at += GUARD_NBYTES;
	a->page_dir = (struct pginfo *)at;
	at += dir + GUARD_NBYTES;
	a->dirty = (uint64_t *)at;
	at += dirty + GUARD_NBYTES;
	a->pool = at;
	a->pool_size = pool;
	return true;
}

/* The largest arena worth asking for: addresses are free without a limit, else a quarter of it. */
static size_t
arena_npages_wanted(void)
{
	size_t limit = vm_limit();
	size_t npages = ARENA_NPAGES_MAX;

	while (npages > ARENA_NPAGES_MIN && limit != SIZE_MAX &&
	    npages > (limit >> malloc_pageshift) / 4)
		npages /= 2;
	return npages;
}

struct arena *
arena_add(size_t npages)
{
	size_t want = arena_npages_wanted(), align = malloc_pagesize;
	struct arena *a;

	if (arena_count == ARENA_MAX || npages > PTRDIFF_MAX >> malloc_pageshift)
		return NULL;
	a = &arenas[arena_count];
	if (want < npages)
		want = npages;
	for (;;) {
		memset(a, 0, sizeof(*a));
		if (meta_reserve(a, want)) {
			align = want < ALIGNED_NPAGES_MIN ? malloc_pagesize : VM_HUGE_NBYTES;
			a->origin = vm_reserve((want + 1) * malloc_pagesize + align, align);
			if (a->origin != NULL)
				break;
			vm_unreserve(a->meta, a->meta_nbytes);
		}
		if (want <= npages || want <= ARENA_NPAGES_MIN)
			return NULL;
		want /= 2;
		if (want < npages)
			want = npages;
	}
	/* What overflows at either end meets a page that is never committed. */
	a->origin += align;
	a->npages = want;
	/* Pairs with the acquire in page_dir_find: who sees the count sees the arena. */
	store_release(&arena_count, arena_count + 1);
	return a;
}

/*
 * A huge page of the metadata that has just been filled becomes one: in heaps of gigabytes every
 * free would else wait for the translations of two addresses more.
 */
static void
meta_collapse(void *base, size_t before, size_t now)
{
	uintptr_t end = ((uintptr_t)base + now) & ~(VM_HUGE_NBYTES - 1);
	char *block = (char *)end - VM_HUGE_NBYTES;

	/* Where OS pages are larger, so are huge ones. */
	if (vm_pagesize != 4096 || end <= (uintptr_t)base + before ||
	    (uintptr_t)block < (uintptr_t)base)
		return;
	if (vm_resident(block, VM_HUGE_NBYTES) >= VM_HUGE_NBYTES / 4096 * 7 / 8)
		(void)vm_collapse(block, VM_HUGE_NBYTES);
}

/* Commits a part of the metadata from *done to at least want bytes. */
static bool
meta_commit(void *base, size_t *done, size_t want)
{
	size_t step = vm_pagesize > META_STEP ? vm_pagesize : META_STEP;
	size_t upto = round_up(want, step);

	if (want <= *done)
		return true;
	if (!vm_commit((char *)base + *done, upto - *done)) {
		upto = round_up(want, vm_pagesize);
		if (!vm_commit((char *)base + *done, upto - *done))
			return false;
	}
	meta_collapse(base, *done, upto);
	*done = upto;
	return true;
}

/* A limit set after the addresses were reserved would not be felt otherwise. */
static bool
limit_allows(size_t nbytes)
{
	size_t limit = vm_limit(), sum = nbytes;

	for (unsigned i = 0; limit != SIZE_MAX && i < arena_count; i++)
		sum += arenas[i].limit;
	return sum <= limit;
}

bool
arena_commit(struct arena *a, size_t npages)
{
	size_t upto = (a->limit >> malloc_pageshift) + npages;

	if (upto > a->npages || !limit_allows(npages << malloc_pageshift))
		return false;
	if (!meta_commit(a->page_dir, &a->page_dir_nbytes, upto * sizeof(struct pginfo)))
		return false;
	if (!meta_commit(a->dirty, &a->dirty_nbytes, upto / 8 + 8))
		return false;
	if (!vm_commit(a->origin + a->limit, npages << malloc_pageshift))
		return false;
	/* Pairs with the loads of limit without the lock: page_dir is there first. */
	store_release(&a->limit, upto << malloc_pageshift);
	return true;
}

bool
arena_decommit(struct arena *a, size_t npages)
{
	size_t nbytes = npages << malloc_pageshift;

	if (!vm_decommit(a->origin + a->limit - nbytes, nbytes))
		return false;
	store_release(&a->limit, a->limit - nbytes);
	return true;
}

void *
meta_take(size_t nbytes)
{
	size_t lines = (nbytes + CACHE_LINE - 1) / CACHE_LINE;
	void *p;

	ASSERT(lines <= META_PIECES);
	p = meta_lists[lines];
	if (p != NULL) {
		meta_lists[lines] = *(void **)p;
		memset(p, 0, lines * CACHE_LINE);
		return p;
	}
	/* A pool may be full, which another arena mends, or the kernel may refuse to commit more. */
	for (unsigned i = 0; i < arena_count || arena_add(1) != NULL; i++) {
		struct arena *a = &arenas[i];
		size_t used = a->pool_used + lines * CACHE_LINE;

		if (used > a->pool_size)
			continue;
		/* A step ahead, so that there is some left when the kernel gives no more. */
		if (!meta_commit(a->pool, &a->pool_nbytes, used + META_STEP < a->pool_size ?
		    used + META_STEP : used) && used > a->pool_nbytes)
			return NULL;
		p = a->pool + a->pool_used;
		a->pool_used = used;
		return p;
	}
	return NULL;
}

void
meta_give(void *p, size_t nbytes)
{
	size_t lines = (nbytes + CACHE_LINE - 1) / CACHE_LINE;

	*(void **)p = meta_lists[lines];
	meta_lists[lines] = p;
}

size_t
meta_committed(void)
{
	size_t sum = 0;

	for (unsigned i = 0; i < arena_count; i++)
		sum += arenas[i].page_dir_nbytes + arenas[i].dirty_nbytes + arenas[i].pool_nbytes;
	return sum;
}
