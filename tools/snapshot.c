/*
 * snapshot.c: walks the arenas and owners of a process; see snapshot.h. A count or a pointer from
 * the process is clamped or compared before it is used, and each step of the walk goes on by a
 * page at least. Counters of owners are read before those of pages, which move there: what moves
 * meanwhile is missed, never doubled.
 */
#include "reader.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define OWNERS_MAX ((uint64_t)1 << 20)
#define FAILURES_MAX 64
#define ADDRESS_BITS 57

uint64_t snapshot_entries_max = (uint64_t)1 << 25;

static uint64_t
read_u64(struct reader *r, uint64_t address)
{
	uint64_t v = 0;

	return target_read(r->t, address, &v, sizeof(v)) ? v : 0;
}

/* --- runs ------------------------------------------------------------------------------------ */

static void
finish_run(struct reader *r)
{
	struct snapshot *s = r->s;
	const struct run *run = &r->last;

	if (run->npages == 0)
		return;
	if (run->kind == RUN_LARGE) {
		s->large_count++;
		s->large_npages += run->npages;
		s->large_nbytes += run->nbytes;
	} else if (run->kind == RUN_FREE) {
		s->free_runs++;
		s->free_npages += run->npages;
		s->free_ndirty += run->ndirty;
		if (run->npages > s->free_longest)
			s->free_longest = run->npages;
	} else if (run->kind == RUN_GUARD) {
		s->guard_npages += run->npages;
	} else if (run->kind == RUN_HELD) {
		s->held_npages += run->npages;
	} else if (run->kind == RUN_UNSETTLED) {
		s->unsettled_npages += run->npages;
	}
	if (r->with_runs) {
		if ((s->run_count & (s->run_count - 1)) == 0)
			s->runs = xgrow(s->runs, s->run_count == 0 ? 1 : s->run_count * 2,
			    sizeof(*run));
		s->runs[s->run_count++] = *run;
	}
	r->last.npages = 0;
}

static void
add_run(struct reader *r, const struct run *run, uint64_t entry)
{
	struct run *last = &r->last;

	if (last->npages != 0 && last->kind == run->kind && run->kind >= RUN_GUARD &&
	    last->address + (uint64_t)last->npages * r->s->page_nbytes == run->address &&
	    last->npages <= UINT32_MAX - run->npages) {
		last->npages += run->npages;
		return;
	}
	finish_run(r);
	*last = *run;
	r->last_entry = entry;
}

/* What the entry of a run of pages says, where left is the number of pages behind it. */
static void
fill_run(const struct reader *r, struct run *run, const unsigned char *e, uint64_t left)
{
	const struct phkmalloc_descriptor *d = r->d;
	enum entry_kind kind = entry_kind(r, e);
	uint64_t n = 1;

	run->kind = RUN_UNSETTLED;
	run->nbytes = run->ndirty = 0;
	if (kind == ENTRY_FREE) {
		run->kind = RUN_FREE;
		n = get(e, d->free_npages, 4);
		run->ndirty = (uint32_t)get(e, d->free_ndirty, 4);
	} else if (kind == ENTRY_LARGE) {
		run->kind = get(e, d->large_guard, 1) != 0 ? RUN_GUARD : RUN_LARGE;
		n = get(e, d->large_npages, 4);
		run->nbytes = get(e, d->large_nbytes, 8);
	} else if (kind == ENTRY_MOVING) {
		run->kind = RUN_HELD;
		n = get(e, d->large_npages, 4);
	}
	if (n == 0 || n > left) {
		run->kind = RUN_UNSETTLED;
		n = 1;
	}
	run->npages = (uint32_t)n;
	if (run->ndirty > n)
		run->ndirty = run->npages;
	if (run->nbytes > n * r->s->page_nbytes)
		run->nbytes = n * r->s->page_nbytes;
}

/* Behind a run is a page of its inside: the run has grown since it was read. */
static bool
extend_last(struct reader *r, uint64_t address, uint64_t left)
{
	struct run now = r->last;
	uint64_t before = now.npages;

	if (before == 0 || (now.kind != RUN_FREE && now.kind != RUN_LARGE) ||
	    now.address + before * r->s->page_nbytes != address ||
	    !target_read(r->t, r->last_entry, r->after, r->d->entry_nbytes))
		return false;
	fill_run(r, &now, r->after, before + left);
	if (now.kind != r->last.kind || now.npages <= before)
		return false;
	r->last = now;
	return true;
}

/* Adds what starts with this entry; returns how many pages that is. */
static uint64_t
add_entry(struct reader *r, uint64_t address, uint64_t entry, uint64_t left, uint32_t i)
{
	const unsigned char *e = r->before + (size_t)i * r->d->entry_nbytes;
	struct run run = { .address = address, .npages = 1, .kind = RUN_UNSETTLED };
	enum entry_kind kind = entry_kind(r, e);
	uint64_t before = r->last.npages;

	if (!entry_held_still(r, i)) {
		; /* it changed each time */
	} else if (kind == ENTRY_CHUNKS) {
		if (r->seen[i]) {
			run.kind = RUN_CHUNKS;
			run.class_no = (uint8_t)get(e, r->d->chunk_class_no, 1);
			count_chunks(r, &run, i);
		}
	} else if (kind == ENTRY_INSIDE) {
		if (extend_last(r, address, left))
			return r->last.npages - before;
	} else {
		fill_run(r, &run, e, left);
	}
	add_run(r, &run, entry);
	return run.npages;
}

/* --- the walk -------------------------------------------------------------------------------- */

static void
read_pages(struct reader *r, uint64_t origin, uint64_t page_dir, uint64_t npages)
{
	uint64_t at = 0, failures = 0, page = r->s->page_nbytes, entry = r->d->entry_nbytes;

	while (at < npages) {
		uint64_t start = at;
		uint32_t n = npages - at < BLOCK ? (uint32_t)(npages - at) : BLOCK;
		bool ok = r->looks < snapshot_entries_max && failures < FAILURES_MAX &&
		    r->t->status == STATUS_OK;

		r->s->cut |= r->looks >= snapshot_entries_max;
		if (!ok)
			n = npages - at < UINT32_MAX ? (uint32_t)(npages - at) : UINT32_MAX;
		else
			ok = read_block(r, page_dir + at * entry, n);
		if (!ok) {
			struct run run = { .address = origin + at * page, .npages = n,
				.kind = RUN_UNSETTLED };

			add_run(r, &run, 0);
			at += n;
			failures++;
			continue;
		}
		r->looks += n;
		while (at < start + n)
			at += add_entry(r, origin + at * page, page_dir + at * entry, npages - at,
			    (uint32_t)(at - start));
		if (r->progress != NULL)
			r->progress(at, npages);
	}
	finish_run(r);
}

struct range {
	uint64_t start;
	uint64_t nbytes;
};

static bool
is_apart(const struct range *ranges, uint64_t n, const struct range *new)
{
	for (uint64_t i = 0; i < n; i++)
		if (new->start < ranges[i].start + ranges[i].nbytes &&
		    ranges[i].start < new->start + new->nbytes)
			return false;
	return true;
}

static void
read_arenas(struct reader *r)
{
	const struct phkmalloc_descriptor *d = r->d;
	uint64_t count = read_u64(r, d->arena_count) & UINT32_MAX;
	uint64_t npages_max = (uint64_t)1 << (ADDRESS_BITS - d->page_shift);
	unsigned char *arena = xcalloc(1, d->arena_nbytes);
	struct range *ranges = xcalloc(d->arena_max, sizeof(*ranges));

	if (count > d->arena_max) {
		r->s->damage++;
		count = 0;
	}
	for (uint64_t i = 0; i < count; i++) {
		uint64_t npages, reserved;
		struct range range;
		bool ok = target_read(r->t, d->arenas + i * d->arena_nbytes, arena, d->arena_nbytes);

		npages = get(arena, d->arena_limit, 8) >> d->page_shift;
		reserved = get(arena, d->arena_npages, 8);
		range.start = get(arena, d->arena_origin, 8);
		range.nbytes = reserved << d->page_shift;
		ok = ok && npages <= reserved && reserved <= npages_max &&
		    range.start < (uint64_t)1 << ADDRESS_BITS &&
		    (range.start & (r->s->page_nbytes - 1)) == 0 &&
		    is_apart(ranges, r->s->arenas, &range);
		if (!ok) {
			r->s->damage++;
			continue;
		}
		ranges[r->s->arenas++] = range;
		r->s->npages += npages;
		read_pages(r, range.start, get(arena, d->arena_page_dir, 8), npages);
	}
	free(ranges);
	free(arena);
}

struct owner_sums {
	uint64_t count[3]; /* live, parked, other */
	uint64_t nfreed[CLASS_MAX];
	uint64_t nlooks[CLASS_MAX];
	uint64_t nrounded[CLASS_MAX];
	uint64_t large[2]; /* allocations, frees */
};

static int
by_address(const void *a, const void *b)
{
	const struct owner_figures *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

static void
keep_owner(struct snapshot *s, const struct owner_figures *owner)
{
	if ((s->owner_count & (s->owner_count - 1)) == 0)
		s->owners = xgrow(s->owners, s->owner_count == 0 ? 1 : s->owner_count * 2,
		    sizeof(*owner));
	s->owners[s->owner_count++] = *owner;
}

/* What is read of an owner at once. */
#define SPANS 6

/* The list only grows, at its front; one that comes back to itself is damaged. */
static bool
read_owners(struct reader *r, struct owner_sums *o, bool keep)
{
	const struct phkmalloc_descriptor *d = r->d;
	uint64_t owner = read_u64(r, d->owners), seen = 0;
	uint64_t nfreed[CLASS_MAX];
	uint64_t large[2];
	uint32_t rounding[CLASS_MAX][2];

	memset(o, 0, sizeof(*o));
	for (uint64_t i = 0; owner != 0; i++) {
		uint64_t next;
		struct owner_figures f = { .address = owner };
		struct span spans[SPANS] = {
			{ .address = owner + d->owner_next, .to = &next, .nbytes = 8 },
			{ .address = owner + d->owner_state, .to = &f.state, .nbytes = 4 },
			{ .address = owner + d->owner_thread, .to = &f.thread, .nbytes = 4 },
			{ .address = owner + d->owner_nfreed, .to = nfreed,
			    .nbytes = d->class_count * sizeof(*nfreed) },
			{ .address = owner + d->owner_rounding, .to = rounding,
			    .nbytes = d->class_count * sizeof(*rounding) },
			{ .address = owner + d->owner_large, .to = large, .nbytes = sizeof(large) },
		};

		/* Brent's way to find a cycle: the one seen at each power of two. */
		if (owner == seen || i == OWNERS_MAX)
			return false;
		if ((i & (i - 1)) == 0)
			seen = owner;
		target_read_spans(r->t, spans, SPANS);
		for (int k = 0; k < SPANS; k++)
			if (!spans[k].done)
				return false;
		o->count[f.state < 2 ? f.state : 2]++;
		for (uint32_t c = 0; c < d->class_count; c++) {
			o->nfreed[c] += nfreed[c];
			f.nfreed += nfreed[c];
			o->nlooks[c] += rounding[c][0];
			o->nrounded[c] += rounding[c][1];
		}
		o->large[0] += large[0];
		o->large[1] += large[1];
		if (keep)
			keep_owner(r->s, &f);
		owner = next;
	}
	return true;
}

double
class_asked(const struct class_figures *g)
{
	/* The two numbers of an owner are not read at the same instant. */
	if (g->rounding_nlooks == 0 || g->rounding_nbytes / g->rounding_nlooks >= g->size)
		return g->size;
	return g->size - (double)g->rounding_nbytes / (double)g->rounding_nlooks;
}

static void
sum_up(struct snapshot *s, const struct owner_sums *before,
    const struct owner_sums *after)
{
	s->owners_live = after->count[0];
	s->owners_parked = after->count[1];
	s->owners_other = after->count[2];
	s->live_nbytes = s->asked_nbytes = s->large_nbytes + s->samples.live_nbytes;
	s->nmalloc = s->large_nmalloc + s->samples.nmalloc;
	s->nfree = s->large_nfree + s->samples.nfree;
	for (uint32_t c = 0; c < s->class_count; c++) {
		struct class_figures *f = &s->classes[c];

		/* Both are no more than there were; the higher one is nearer. */
		f->nfreed += before->nfreed[c];
		if (f->nfreed < after->nfreed[c])
			f->nfreed = after->nfreed[c];
		f->rounding_nlooks = after->nlooks[c];
		f->rounding_nbytes = after->nrounded[c];
		s->asked_nbytes += (uint64_t)((double)f->live * class_asked(f));
		s->live_nbytes += f->live * f->size;
		s->chunk_npages += f->npages;
		s->chunk_live += f->live;
		s->hollow += f->hollow;
		s->nmalloc += f->nfreed + f->live;
		s->nfree += f->nfreed;
	}
}

static void
read_heap(struct reader *r)
{
	struct owner_sums before, after;

	r->before = xcalloc(BLOCK, r->d->entry_nbytes);
	r->after = xcalloc(BLOCK, r->d->entry_nbytes);
	r->bitmaps = xcalloc(BLOCK, BITMAP_NWORDS * sizeof(*r->bitmaps));
	r->s->damage += !read_owners(r, &before, true);
	if (r->s->owner_count > 0)
		qsort(r->s->owners, r->s->owner_count, sizeof(*r->s->owners), by_address);
	read_arenas(r);
	(void)read_owners(r, &after, false);
	r->s->large_nfree = read_u64(r, r->d->large_nfree) + after.large[1];
	r->s->large_nmalloc = read_u64(r, r->d->large_nmalloc) + after.large[0];
	r->s->npurged = read_u64(r, r->d->npurged);
	r->s->nused_max = read_u64(r, r->d->nused_max);
	if (!target_read(r->t, r->d->samples, &r->s->samples, sizeof(r->s->samples)))
		memset(&r->s->samples, 0, sizeof(r->s->samples));
	sum_up(r->s, &before, &after);
	free(r->before);
	free(r->after);
	free(r->bitmaps);
}

bool
snapshot_take(struct target *t, const struct phkmalloc_descriptor *d, bool with_runs,
    snapshot_progress progress, struct snapshot *s)
{
	struct reader *r = xcalloc(1, sizeof(*r));
	struct timespec now;

	memset(s, 0, sizeof(*s));
	*r = (struct reader){ .t = t, .d = d, .s = s, .progress = progress, .with_runs = with_runs };
	clock_gettime(CLOCK_REALTIME, &now);
	s->time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	s->page_nbytes = 1U << d->page_shift;
	s->os_page_nbytes = (uint32_t)sysconf(_SC_PAGESIZE);
	memcpy(s->library, d->library, sizeof(d->library));
	if (!target_read(t, d->conf_letters, s->options, sizeof(s->options) - 1))
		s->options[0] = '\0';
	if (read_classes(r))
		read_heap(r);
	else if (target_is_there(t))
		target_trouble(t, t->core != NULL ? STATUS_FILE : STATUS_GONE,
		    "the heap of %s cannot be read: its table of size classes is not there",
		    t->core != NULL ? t->core : t->program);
	free(r);
	return target_is_there(t);
}

void
snapshot_free(struct snapshot *s)
{
	free(s->runs);
	free(s->bitmaps);
	free(s->owners);
	s->owners = NULL;
	s->runs = NULL;
	s->bitmaps = NULL;
}
