/*
 * leak.c: what is still in use at exit (option D), largest first: by stack, exactly with option T
 * and estimated from the profile with option B, and else by size.
 *
 * Whether something still points to it is not known. Sums are kept in memory of their own, at a
 * stack's number; other threads may go on meanwhile, and what they free is counted or not.
 */
#include "base/fmt.h"
#include "conf/conf.h"
#include "diag/stack.h"
#include "heap/inspect.h"
#include "heap/note.h"
#include "os/env.h"
#include "os/lock.h"
#include "os/vm.h"
#include "watch/profile.h"

#define STACKS_SHOWN 20U
#define SIZES_SHOWN 10U

struct sum {
	double bytes;
	double count;
};

static struct sum *sums;   /* by stack; 0 has what has none */
static uint32_t sum_count;

static void
add(uint32_t stack, double bytes, double count)
{
	struct sum *s = &sums[stack < sum_count ? stack : 0];

	s->bytes += bytes;
	s->count += count;
}

/* --- exactly ------------------------------------------------------------------------------- */

/* Counts what is in use in a page or large allocation; returns how many pages it has. */
static size_t
add_entry(const struct pginfo *pg)
{
	uintptr_t kind = load_acquire(&pg->owner);

	if (kind == MALLOC_FREE)
		return pg->free.npages;
	if (page_dir_is_idle(kind))
		return pg->large.npages;
	if (kind == MALLOC_FIRST && !pg->large.guard) {
		add(pg->large.allocated, (double)pg->large.nbytes, 1);
		return pg->large.npages;
	}
	if (!owner_is(kind) || profile_has(kind))
		return 1;
	for (size_t i = 0; i < pg->chunk.nchunks; i++) {
		uint32_t word = load_acquire(note_of(pg, i));

		if (note_state(word) == NOTE_USED)
			add(note_stacks(pg, i)->allocated, (double)note_asked(word), 1);
	}
	return 1;
}

static void
add_heap(void)
{
	/* So that no page changes its kind. */
	lock_take(LOCK_PAGE);
	for (unsigned i = 0; i < arena_count; i++) {
		size_t n = arenas[i].limit >> malloc_pageshift;

		for (size_t at = 0; at < n;)
			at += add_entry(&arenas[i].page_dir[at]);
	}
	lock_drop(LOCK_PAGE);
}

/* --- estimated ----------------------------------------------------------------------------- */

/* e^-x for x >= 0, exact to 1e-6: libc has no such function, libm is not used. */
static double
exp_minus(double x)
{
	double y = x / 1024, t = 1 - y + y * y / 2 - y * y * y / 6;

	if (x > 50)
		return 0;
	for (int i = 0; i < 10; i++)
		t *= t;
	return t;
}

/* The formulas of phkmalloc_inspect.h. */
static void
add_site(const struct phkmalloc_site *s)
{
	double n = (double)load_relaxed(&s->nalloc) - (double)load_relaxed(&s->nfree);
	double weight = (double)load_relaxed(&s->alloc_weight) -
	    (double)load_relaxed(&s->free_weight);
	double all;

	if (n <= 0 || weight <= 0)
		return;
	if (s->large == 0) {
		all = s->rate == 1 ? weight * s->size : weight * s->rate;
		add(s->stack, all, all / s->size);
	} else {
		all = s->rate == 1 ? 1 : 1 / (1 - exp_minus(weight / n / s->rate));
		add(s->stack, weight * all, n * all);
	}
}

static void
add_profile(void)
{
	const struct phkmalloc_site *sites = (const void *)(uintptr_t)profile.sites;

	for (uint32_t i = 1; i < load_acquire(&profile.nsites); i++)
		add_site(&sites[i]);
}

/* --- the report ---------------------------------------------------------------------------- */

static void
show_stacks(const char *how)
{
	struct sum all = { 0, 0 };
	size_t n = 0;
	struct fmt f;

	for (uint32_t i = 0; i < sum_count; i++) {
		all.bytes += sums[i].bytes;
		all.count += sums[i].count;
		n += sums[i].count > 0;
	}
	f.len = 0;
	fmt_add(&f, "in use at exit: %z bytes in %z allocations, from %z stacks%s\n",
	    (size_t)all.bytes, (size_t)(all.count + 0.5), n, how);
	env_write(f.text, f.len);
	for (unsigned shown = 0; shown < STACKS_SHOWN && shown < n; shown++) {
		uint32_t best = 0;

		for (uint32_t i = 1; i < sum_count; i++)
			if (sums[i].bytes > sums[best].bytes)
				best = i;
		f.len = 0;
		fmt_add(&f, "  %z bytes in %z allocations\n", (size_t)sums[best].bytes,
		    (size_t)(sums[best].count + 0.5));
		stack_print(&f, "  allocated at:", best);
		env_write(f.text, f.len);
		sums[best].bytes = 0;
	}
	if (n <= STACKS_SHOWN)
		return;
	f.len = 0;
	fmt_add(&f, "  and less from %z more stacks\n", n - STACKS_SHOWN);
	env_write(f.text, f.len);
}

/* Without stacks: the sizes that take most. */
static void
show_sizes(void)
{
	static struct heap_figures h;
	struct fmt f;

	inspect(&h);
	f.len = 0;
	fmt_add(&f, "in use at exit, by size (letters T or B tell by stack):\n");
	for (unsigned shown = 0; shown < SIZES_SHOWN; shown++) {
		unsigned best = 0;

		for (unsigned c = 1; c < CLASS_COUNT; c++)
			if (h.class_live[c] * size_classes[c].size >
			    h.class_live[best] * size_classes[best].size)
				best = c;
		if (h.large_nbytes >= h.class_live[best] * size_classes[best].size) {
			if (h.large_nbytes == 0)
				break;
			fmt_add(&f, "  %z bytes in %z large allocations\n", h.large_nbytes, h.large_count);
			h.large_nbytes = 0;
		} else {
			fmt_add(&f, "  %z bytes in %z chunks of %u\n",
			    h.class_live[best] * size_classes[best].size, h.class_live[best],
			    (unsigned)size_classes[best].size);
			h.class_live[best] = 0;
		}
	}
	env_write(f.text, f.len);
}

static bool
sums_init(void)
{
	size_t nbytes;

	sum_count = load_acquire(&stack_table.nwords);
	nbytes = round_up(((size_t)sum_count + 1) * sizeof(*sums), vm_pagesize);
	sums = vm_reserve(nbytes, vm_pagesize);
	return sums != NULL && vm_commit(sums, nbytes);
}

static COLD void
show_leaks(void)
{
	bool exact = opt.stacks, estimated = !exact && load_acquire(&profile.sites) != 0;

	if ((!exact && !estimated) || !sums_init()) {
		show_sizes();
		return;
	}
	if (exact)
		add_heap();
	else
		add_profile();
	show_stacks(exact || opt.profile_rate == 1 ? "" : ", estimated from samples");
}

USUAL __attribute__((destructor)) static void
leak_exit(void)
{
	if (opt.dump)
		show_leaks();
}
