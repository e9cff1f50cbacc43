/*
 * profile.c: samples by stack and size; see profile.h.
 *
 *   index   | 0 | 2 | 0 | 1 | ...           a site's number, at its hash or a little after
 *   sites   | - | stack size rate sums | stack size rate sums | ...
 */
#include "watch/profile.h"

#include "chunk/chunk.h"
#include "diag/stack.h"
#include "os/env.h"
#include "os/lock.h"
#include "os/vm.h"

#define SITE_MAX ((uint32_t)1 << 15)
#define INDEX_BITS 16U
#define INDEX_COUNT ((size_t)1 << INDEX_BITS)
#define COMMIT_NBYTES ((size_t)64 << 10)
#define PROBES 32U

_Static_assert(sizeof(struct profile_note) == CHUNK_SAMPLED_NBYTES, "a page has room for notes");
_Static_assert(sizeof(struct phkmalloc_site) == CACHE_LINE, "sums do not share cache lines");

struct phkmalloc_profile profile;

static uint32_t *site_index;
static struct phkmalloc_site *sites;
static size_t committed; /* bytes of sites */

/* --- sites -------------------------------------------------------------------------------- */

static void
add(uint64_t *sum, uint64_t n)
{
	__atomic_fetch_add(sum, n, __ATOMIC_RELAXED);
}

/* Makes the tables. LOCK_SAMPLED held. */
static bool
setup(void)
{
	size_t nindex = INDEX_COUNT * sizeof(*site_index);
	char *base;

	if (!owner_sampled_init())
		return false;
	base = vm_reserve(nindex + SITE_MAX * sizeof(*sites), COMMIT_NBYTES);
	if (base == NULL)
		return false;
	if (!vm_commit(base, nindex + COMMIT_NBYTES)) {
		(void)vm_unreserve(base, nindex + SITE_MAX * sizeof(*sites));
		return false;
	}
	site_index = (uint32_t *)base;
	sites = (struct phkmalloc_site *)(base + nindex);
	committed = COMMIT_NBYTES;
	profile.start_ms = env_clock_ms();
	profile.nsites = 1;
	/* Pairs with the acquire of sites by who switches profiles on, or writes one: all is there. */
	store_release(&profile.sites, (uint64_t)(uintptr_t)sites);
	return true;
}

/* The caller's stack, when there are tables to put a sample into; they are made for the first. */
static bool
begin(uint32_t *stack)
{
	bool ready = load_acquire(&profile.sites) != 0;

	if (UNLIKELY(!ready) && stack_init()) {
		lock_take(LOCK_SAMPLED);
		ready = sites != NULL || setup();
		lock_drop(LOCK_SAMPLED);
	}
	*stack = ready ? stack_record(STACK_DEPTH_MAX) : 0;
	if (!ready)
		add(&profile.nlost, 1);
	return ready;
}

/* Room for one more. */
static bool
grow(void)
{
	if ((profile.nsites + 1) * sizeof(*sites) <= committed)
		return true;
	if (profile.nsites == SITE_MAX || !vm_commit((char *)sites + committed, COMMIT_NBYTES))
		return false;
	committed += COMMIT_NBYTES;
	return true;
}

/* The number of the site, made if need be; 0 when there is no room. LOCK_SAMPLED held. */
static uint32_t
site_find(uint32_t stack, uint32_t size, uint32_t rate, bool large)
{
	uint64_t hash = ((uint64_t)stack << 32 ^ (uint64_t)size << 8 ^ rate) * 0x9e3779b97f4a7c15U;

	for (unsigned i = 0; i < PROBES; i++) {
		uint32_t *at = &site_index[((hash >> (64 - INDEX_BITS)) + i) % INDEX_COUNT];
		struct phkmalloc_site *s = &sites[*at];

		if (*at != 0 && s->stack == stack && s->size == size && s->rate == rate &&
		    s->large == large)
			return *at;
		if (*at != 0)
			continue;
		if (!grow())
			return 0;
		s = &sites[profile.nsites];
		s->stack = stack;
		s->size = size;
		s->rate = rate;
		s->large = large;
		*at = profile.nsites;
		/* Pairs with a tool's reading of the count before the sites. */
		store_release(&profile.nsites, profile.nsites + 1);
		return *at;
	}
	return 0;
}

static void
site_add(const struct profile_note *note, size_t nbytes)
{
	struct phkmalloc_site *s = &sites[note->site];

	add(&s->nalloc, 1);
	add(&s->alloc_weight, s->large ? nbytes : note->weight);
	add(&s->alloc_tenths, note->tenths);
}

void
profile_gone(const struct profile_note *note, size_t nbytes)
{
	struct phkmalloc_site *s = &sites[note->site];

	if (note->site == 0)
		return;
	add(&s->nfree, 1);
	add(&s->free_weight, s->large ? nbytes : note->weight);
	add(&s->free_tenths, note->tenths);
}

static struct profile_note
note_new(uint32_t site, uint32_t weight, size_t n)
{
	return (struct profile_note){ .site = site, .weight = weight,
		.tenths = (uint32_t)((env_clock_ms() - profile.start_ms) / 100),
		.nbytes = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX };
}

/* --- allocating -------------------------------------------------------------------------- */

void *
profile_alloc(size_t n, unsigned class_no, uint32_t weight)
{
	uint32_t rate = load_relaxed(&owner_watch.profile_rate), stack, site;
	void *p = NULL;

	if (!begin(&stack))
		return NULL;
	lock_take(LOCK_SAMPLED);
	site = site_find(stack, size_classes[class_no].size, rate, false);
	if (site != 0 && !chunk_take(&owner_sampled->slots[class_no], &p))
		p = chunk_take_slow(owner_sampled, &owner_sampled->slots[class_no], n);
	if (p != NULL) {
		struct pginfo *pg = page_dir_find(p);
		struct profile_note *note = chunk_notes(pg);
		size_t i;

		(void)chunk_index(pg, p, &i);
		note[i] = note_new(site, weight, n);
		site_add(&note[i], size_classes[class_no].size);
	} else {
		add(&profile.nlost, 1);
	}
	lock_drop(LOCK_SAMPLED);
	return p;
}

/* Sizes of large allocations that share a site: eight to a doubling. */
static uint32_t
size_group(size_t n)
{
	unsigned e = log2_floor(n | 1);

	return e < 4 ? (uint32_t)n : (uint32_t)(e << 3 | (n >> (e - 3) & 7));
}

void
profile_large(struct pginfo *pg, size_t n)
{
	uint32_t rate = load_relaxed(&owner_watch.profile_rate), stack;
	struct profile_note note;

	if (!begin(&stack))
		return;
	lock_take(LOCK_SAMPLED);
	note = note_new(site_find(stack, size_group(n), rate, true), 1, n);
	lock_drop(LOCK_SAMPLED);
	pg->large.sampled = note.site;
	pg->large.sampled_tenths = note.tenths;
	if (note.site != 0)
		site_add(&note, n);
	else
		add(&profile.nlost, 1);
}

/* --- freeing ------------------------------------------------------------------------------ */

enum ptr_fault
profile_free(struct pginfo *pg, const void *p)
{
	enum ptr_fault fault = chunk_verify(pg, p);
	struct profile_note note;
	size_t i;

	if (UNLIKELY(fault != PTR_OK))
		return fault;
	/* Before it is free and may be somebody else's. */
	(void)chunk_index(pg, p, &i);
	note = ((struct profile_note *)chunk_notes(pg))[i];
	fault = chunk_free_slow(owner_self, pg, p);
	if (LIKELY(fault == PTR_OK))
		profile_gone(&note, 0);
	return fault;
}

bool
profile_trim(void)
{
	bool any = false;

	lock_take(LOCK_SAMPLED);
	if (owner_sampled != NULL)
		any = owner_trim(owner_sampled);
	lock_drop(LOCK_SAMPLED);
	return any;
}
