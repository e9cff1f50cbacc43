/*
 * profile.c: samples by stack and size; see profile.h and struct watch in owner.h.
 *
 *   index   | 0 | 2 | 0 | 1 | ...           a site's number, at its hash or a little after
 *   sites   | - | stack size rate sums | stack size rate sums | ...
 *
 * Bytes until the next sample are drawn from the exponential distribution, so each byte has the
 * same chance. Chunks are counted late, at most a page of them: the sample is taken of the same
 * class a random few allocations later, so that no loop's rhythm is met.
 */
#include "watch/profile.h"

#include "chunk/chunk.h"
#include "conf/conf.h"
#include "diag/stack.h"
#include "os/env.h"
#include "os/lock.h"
#include "os/vm.h"

#define SITE_MAX ((uint32_t)1 << 15)
#define INDEX_BITS 16U
#define INDEX_COUNT ((size_t)1 << INDEX_BITS)
#define COMMIT_NBYTES ((size_t)64 << 10)
#define PROBES 32U
/* The number of allocations that a sample is put off is below this. */
#define SKIP_MAX 64U
/* This rate is no rate: everything is in the profile. */
#define RATE_ALL 1U

_Static_assert(sizeof(struct profile_note) == CHUNK_NOTE_NBYTES, "a page has room for notes");
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

/* --- which to sample ---------------------------------------------------------------------- */

/*
 * Exponentially distributed with this mean: -ln of a random number in (0, 1], whose logarithm is
 * its exponent and a polynomial of its fraction, exact to 1e-4.
 */
static int64_t
draw(uint32_t mean)
{
	uint64_t r = env_random() >> 12 | 1;
	unsigned e = log2_floor(r);
	double f = (double)(r << (52 - e)) * 0x1p-52 - 1;
	double log2f = f * (1.4426039 + f * (-0.7167147 + f * (0.4405990 + f * (-0.2251030 +
	    f * 0.0586649))));

	return (int64_t)((52 - (double)e - log2f) * 0.6931471805599453 * mean) + 1;
}

struct watch *
profile_join(struct owner *o)
{
	union owner_watch now = { .any = load_relaxed(&owner_watch.any) };

	bool first = o->watch == NULL;

	if (!owner_watch_init(o))
		return NULL;
	if (first && opt.sample_rate != 0)
		o->watch->guard_left = (int64_t)(env_random() % opt.sample_rate);
	o->watch->joined = now.any;
	o->watch->profile_left = draw(now.profile_rate);
	return o->watch;
}

/* The next malloc of the class is not to find a chunk by itself. */
static void
slot_park(struct owner *o, unsigned class_no)
{
	o->slots[class_no].word = &owner_nothing;
	o->slots[class_no].none = 0;
}

static void *
sample_chunk(size_t n, unsigned class_no, uint32_t rate, uint32_t weight)
{
	uint32_t stack, site;
	void *p = NULL;

	if (!begin(&stack))
		return NULL;
	lock_take(LOCK_SAMPLED);
	site = site_find(stack, size_classes[class_no].size, rate, false);
	if (site != 0 && !chunk_take(&owner_sampled->slots[class_no], &p))
		p = chunk_take_slow(owner_sampled, class_no);
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

/* So many bytes were allocated in chunks of a class: how many samples are due for them. */
static void
count(struct watch *w, unsigned class_no, size_t nbytes, uint32_t rate, bool spread)
{
	w->profile_left -= (int64_t)nbytes;
	while (UNLIKELY(w->profile_left < 0) && w->due[class_no] < UINT32_MAX) {
		w->profile_left += draw(rate);
		w->due[class_no]++;
	}
	if (w->due[class_no] != 0 && w->skip[class_no] == 0)
		w->skip[class_no] = (uint8_t)(1 + (spread ? env_random() % SKIP_MAX : 0));
}

void *
profile_alloc(struct owner *o, size_t n, unsigned class_no, uint32_t taken)
{
	uint32_t rate = load_relaxed(&owner_watch.profile_rate), weight = 1;
	size_t size = size_classes[class_no].size;
	bool spread = rate >= SKIP_MAX * size;
	struct watch *w = o->watch;
	void *p;

	if (rate == 0)
		return NULL;
	if (rate == RATE_ALL) {
		slot_park(o, class_no);
		return sample_chunk(n, class_no, rate, 1);
	}
	count(w, class_no, taken * size, rate, spread);
	if (w->skip[class_no] == 0)
		return NULL;
	if (--w->skip[class_no] != 0) {
		if (!chunk_take(&o->slots[class_no], &p))
			p = chunk_take_slow(o, class_no);
	} else {
		/* Where samples would follow each other, one stands for all that are due. */
		if (!spread)
			weight = w->due[class_no];
		w->due[class_no] -= weight;
		count(w, class_no, size, rate, spread);
		p = sample_chunk(n, class_no, rate, weight);
	}
	slot_park(o, class_no);
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
profile_large(struct owner *o, struct pginfo *pg, size_t n)
{
	uint32_t rate = load_relaxed(&owner_watch.profile_rate), stack;
	struct watch *w = o->watch;
	struct profile_note note;

	if (rate == 0)
		return;
	if (rate != RATE_ALL) {
		w->profile_left -= (int64_t)n;
		if (LIKELY(w->profile_left >= 0))
			return;
		w->profile_left = draw(rate);
	}
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
