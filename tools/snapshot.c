/*
 * snapshot.c: reads page_dir in bulk and the bitmaps it points to; see snapshot.h. A count or a
 * pointer from the process is clamped or compared before it is used, and each step of the walk
 * goes on by a page at least.
 */
#include "snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 256U          /* entries at once */
#define BITMAP_NWORDS 2048U /* both bitmaps of a page, far above what any class needs */
#define TRIES 4
#define OWNERS_MAX 100000U
#define ARENA_NPAGES_MAX ((uint64_t)1 << 32)

#define KIND_FREE 1U
#define KIND_FIRST 2U
#define KIND_FOLLOW 3U
#define KIND_FLAGS 7U /* in an owner's address */

struct class_layout {
	uint32_t nwords;
	uint32_t remote;
};

struct reader {
	struct target *t;
	const struct phkmalloc_descriptor *d;
	struct snapshot *s;
	struct class_layout layout[CLASS_MAX];
	unsigned char *before; /* BLOCK entries, as seen before their bitmaps were read */
	unsigned char *after;
	uint64_t *bitmaps;     /* BLOCK times BITMAP_NWORDS */
	struct span spans[BLOCK];
	uint16_t span_of[BLOCK]; /* by entry; BLOCK means none */
};

static uint64_t
get(const unsigned char *entry, uint32_t offset, size_t nbytes)
{
	uint64_t v = 0;

	memcpy(&v, entry + offset, nbytes); /* little-endian, as all that phkmalloc runs on */
	return v;
}

static uint64_t
read_u64(struct reader *r, uint64_t address)
{
	uint64_t v = 0;

	return target_read(r->t, address, &v, sizeof(v)) ? v : 0;
}

static bool
read_classes(struct reader *r)
{
	const struct phkmalloc_descriptor *d = r->d;
	unsigned char *table = xcalloc(d->class_count, d->class_nbytes);
	bool ok = target_read(r->t, d->size_classes, table, (size_t)d->class_count * d->class_nbytes);

	r->s->class_count = d->class_count;
	for (uint32_t c = 0; c < d->class_count && ok; c++) {
		const unsigned char *e = table + (size_t)c * d->class_nbytes;
		struct class_figures *f = &r->s->classes[c];
		struct class_layout *l = &r->layout[c];

		f->size = (uint32_t)get(e, d->class_size, 4);
		f->nchunks = (uint32_t)get(e, d->class_nchunks, 2);
		l->nwords = (uint32_t)get(e, d->class_nwords, 2);
		l->remote = (uint32_t)get(e, d->class_remote, 2);
		ok = f->size != 0 && f->nchunks != 0 && f->nchunks <= l->nwords * 64 &&
		    (uint64_t)f->size * f->nchunks <= (uint64_t)1 << d->page_shift &&
		    l->remote + l->nwords <= BITMAP_NWORDS && l->nwords <= l->remote;
	}
	free(table);
	return ok;
}

static bool
is_chunks(const struct reader *r, const unsigned char *entry)
{
	return get(entry, 0, 8) > KIND_FOLLOW &&
	    get(entry, r->d->chunk_class_no, 1) < r->s->class_count;
}

/* The parts of an entry that may not change while its bitmaps are read. */
static bool
is_same(const struct reader *r, const unsigned char *a, const unsigned char *b)
{
	const struct phkmalloc_descriptor *d = r->d;

	if (get(a, 0, 8) <= KIND_FOLLOW || get(b, 0, 8) <= KIND_FOLLOW)
		return memcmp(a, b, d->entry_nbytes) == 0;
	return get(a, d->entry_bits, 8) == get(b, d->entry_bits, 8) &&
	    get(a, d->chunk_class_no, 1) == get(b, d->chunk_class_no, 1) &&
	    get(a, d->chunk_nchunks, 2) == get(b, d->chunk_nchunks, 2);
}

static bool
any_live(const uint64_t *used, uint32_t first, uint32_t last)
{
	for (uint32_t w = first / 64; w <= last / 64; w++) {
		uint64_t mask = ~(uint64_t)0;

		if (w == first / 64)
			mask &= ~(uint64_t)0 << first % 64;
		if (w == last / 64)
			mask &= ~(uint64_t)0 >> (63 - last % 64);
		if ((used[w] & mask) != 0)
			return true;
	}
	return false;
}

static void
add_chunks(struct reader *r, struct run *run, const unsigned char *entry, uint64_t *bits)
{
	struct class_figures *f = &r->s->classes[run->class_no];
	const struct class_layout *l = &r->layout[run->class_no];
	uint32_t npending = 0, live = 0;

	for (uint32_t w = 0; w < l->nwords; w++) {
		uint64_t remote = bits[l->remote + w] & ~bits[w];

		if (w == l->nwords - 1 && f->nchunks % 64 != 0) {
			remote &= ~(uint64_t)0 >> (64 - f->nchunks % 64);
			bits[w] |= ~(uint64_t)0 << f->nchunks % 64;
		}
		npending += (uint32_t)__builtin_popcountll(remote);
		bits[w] = ~(bits[w] | remote); /* now 1 is in use */
		live += (uint32_t)__builtin_popcountll(bits[w]);
	}
	for (uint32_t at = 0; at < r->s->page_nbytes; at += r->s->os_page_nbytes) {
		uint32_t first = at / f->size;
		uint32_t last = (at + r->s->os_page_nbytes - 1) / f->size;

		if (last >= f->nchunks)
			last = f->nchunks - 1;
		if (first >= f->nchunks || !any_live(bits, first, last))
			run->hollow++;
	}
	run->live = (uint16_t)live;
	f->npages++;
	f->live += live;
	f->hollow += run->hollow;
	/* What was freed since the owner last counted. */
	f->nfreed += npending + (uint64_t)((int64_t)(int32_t)get(entry, r->d->chunk_started, 4) -
	    (int32_t)get(entry, r->d->entry_countdown, 4));
}

static void
add_run(struct reader *r, const struct run *run)
{
	struct snapshot *s = r->s;
	struct run *last = s->run_count > 0 ? &s->runs[s->run_count - 1] : NULL;

	if (last != NULL && last->kind == run->kind && run->kind >= RUN_GUARD &&
	    last->address + (uint64_t)last->npages * s->page_nbytes == run->address &&
	    last->npages <= UINT32_MAX - run->npages) {
		last->npages += run->npages;
		return;
	}
	if ((s->run_count & (s->run_count - 1)) == 0)
		s->runs = xgrow(s->runs, s->run_count == 0 ? 1 : s->run_count * 2, sizeof(*run));
	s->runs[s->run_count++] = *run;
}

/* Adds what starts with this entry; returns how many pages that is. */
static uint32_t
add_entry(struct reader *r, uint64_t address, uint64_t left, uint32_t i)
{
	const struct phkmalloc_descriptor *d = r->d;
	const unsigned char *e = r->before + (size_t)i * d->entry_nbytes;
	struct run run = { .address = address, .npages = 1, .kind = RUN_UNSETTLED };
	uint64_t kind = get(e, 0, 8);
	uint64_t n = 1;

	if (!is_same(r, e, r->after + (size_t)i * d->entry_nbytes)) {
		; /* it changed */
	} else if (kind > KIND_FOLLOW && r->span_of[i] < BLOCK && r->spans[r->span_of[i]].done) {
		run.kind = RUN_CHUNKS;
		run.class_no = (uint8_t)get(e, d->chunk_class_no, 1);
		add_chunks(r, &run, e, r->bitmaps + (size_t)r->span_of[i] * BITMAP_NWORDS);
	} else if (kind == KIND_FREE) {
		run.kind = RUN_FREE;
		n = get(e, d->free_npages, 4);
		run.ndirty = (uint32_t)get(e, d->free_ndirty, 4);
	} else if (kind == KIND_FIRST) {
		run.kind = get(e, d->large_guard, 1) != 0 ? RUN_GUARD : RUN_LARGE;
		n = get(e, d->large_npages, 4);
		run.nbytes = get(e, d->large_nbytes, 8);
	}
	if (n == 0 || n > left) {
		run.kind = RUN_UNSETTLED;
		n = 1;
	}
	run.npages = (uint32_t)n;
	if (run.ndirty > n)
		run.ndirty = run.npages;
	if (run.nbytes > n * r->s->page_nbytes)
		run.nbytes = n * r->s->page_nbytes;
	add_run(r, &run);
	return run.npages;
}

/* Entries, then the bitmaps they point to, then the entries again. */
static bool
read_block(struct reader *r, uint64_t address, uint32_t n)
{
	size_t nbytes = (size_t)n * r->d->entry_nbytes;
	uint16_t count = 0;

	if (!target_read(r->t, address, r->before, nbytes))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		const unsigned char *e = r->before + (size_t)i * r->d->entry_nbytes;
		const struct class_layout *l;

		r->span_of[i] = BLOCK;
		if (!is_chunks(r, e))
			continue;
		l = &r->layout[get(e, r->d->chunk_class_no, 1)];
		r->spans[count] = (struct span){ .address = get(e, r->d->entry_bits, 8),
			.to = r->bitmaps + (size_t)count * BITMAP_NWORDS,
			.nbytes = (size_t)(l->remote + l->nwords) * 8 };
		r->span_of[i] = count++;
	}
	target_read_spans(r->t, r->spans, count);
	return target_read(r->t, address, r->after, nbytes);
}

static uint32_t
count_changed(const struct reader *r, uint32_t n)
{
	uint32_t changed = 0;

	for (uint32_t i = 0; i < n; i++)
		changed += !is_same(r, r->before + (size_t)i * r->d->entry_nbytes,
		    r->after + (size_t)i * r->d->entry_nbytes);
	return changed;
}

static void
read_pages(struct reader *r, uint64_t origin, uint64_t page_dir, uint64_t npages)
{
	uint64_t at = 0;

	r->s->npages += npages;
	while (at < npages) {
		uint64_t start = at;
		uint32_t n = npages - at < BLOCK ? (uint32_t)(npages - at) : BLOCK;
		bool ok = false;

		for (int try = 0; try < TRIES && (!ok || count_changed(r, n) > 0); try++)
			ok = read_block(r, page_dir + at * r->d->entry_nbytes, n);
		if (!ok) {
			struct run run = { .address = origin + at * r->s->page_nbytes,
				.npages = n, .kind = RUN_UNSETTLED };

			add_run(r, &run);
			at += n;
			continue;
		}
		while (at < start + n)
			at += add_entry(r, origin + at * r->s->page_nbytes, npages - at,
			    (uint32_t)(at - start));
	}
}

static void
read_arenas(struct reader *r)
{
	const struct phkmalloc_descriptor *d = r->d;
	uint64_t count = read_u64(r, d->arena_count) & UINT32_MAX;
	unsigned char *arena = xcalloc(1, d->arena_nbytes);

	if (count > d->arena_max)
		count = d->arena_max;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t npages, reserved;

		if (!target_read(r->t, d->arenas + i * d->arena_nbytes, arena, d->arena_nbytes))
			continue;
		npages = get(arena, d->arena_limit, 8) >> d->page_shift;
		reserved = get(arena, d->arena_npages, 8);
		if (npages > reserved || reserved > ARENA_NPAGES_MAX)
			continue;
		r->s->arenas++;
		read_pages(r, get(arena, d->arena_origin, 8), get(arena, d->arena_page_dir, 8),
		    npages);
	}
	free(arena);
}

static void
read_owners(struct reader *r)
{
	const struct phkmalloc_descriptor *d = r->d;
	uint64_t owner = read_u64(r, d->owners);
	uint64_t nfreed[CLASS_MAX];

	for (uint32_t i = 0; i < OWNERS_MAX && owner != 0; i++) {
		uint64_t next;
		int32_t state;
		struct span spans[] = {
			{ .address = owner + d->owner_next, .to = &next, .nbytes = 8 },
			{ .address = owner + d->owner_state, .to = &state, .nbytes = 4 },
			{ .address = owner + d->owner_nfreed, .to = nfreed,
			    .nbytes = d->class_count * sizeof(*nfreed) },
		};

		target_read_spans(r->t, spans, 3);
		if (!spans[0].done || !spans[1].done || !spans[2].done)
			return;
		r->s->owners_live += state == 0;
		r->s->owners_parked += state == 1;
		r->s->owners_other += state != 0 && state != 1;
		for (uint32_t c = 0; c < d->class_count; c++)
			r->s->classes[c].nfreed += nfreed[c];
		owner = next;
	}
}

static void
sum_up(struct snapshot *s)
{
	for (size_t i = 0; i < s->run_count; i++) {
		const struct run *run = &s->runs[i];

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
		} else if (run->kind == RUN_UNSETTLED) {
			s->unsettled_npages += run->npages;
		}
	}
	s->live_nbytes = s->large_nbytes;
	s->nmalloc = s->large_nmalloc;
	s->nfree = s->large_nfree;
	for (uint32_t c = 0; c < s->class_count; c++) {
		const struct class_figures *f = &s->classes[c];

		s->live_nbytes += f->live * f->size;
		s->chunk_npages += f->npages;
		s->chunk_live += f->live;
		s->hollow += f->hollow;
		s->nmalloc += f->nfreed + f->live;
		s->nfree += f->nfreed;
	}
}

void
snapshot_take(struct target *t, const struct phkmalloc_descriptor *d, struct snapshot *s)
{
	struct reader *r = xcalloc(1, sizeof(*r));
	struct timespec now;
	uint64_t options = d->conf_letters;

	memset(s, 0, sizeof(*s));
	*r = (struct reader){ .t = t, .d = d, .s = s };
	clock_gettime(CLOCK_REALTIME, &now);
	s->time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	s->page_nbytes = 1U << d->page_shift;
	s->os_page_nbytes = (uint32_t)sysconf(_SC_PAGESIZE);
	memcpy(s->library, d->library, sizeof(d->library));
	if (!target_read(t, options, s->options, sizeof(s->options) - 1))
		s->options[0] = '\0';
	if (!read_classes(r)) {
		target_still_there(t);
		fail(t->core != NULL ? STATUS_FILE : STATUS_GONE,
		    "the heap of %s cannot be read: its table of size classes is not there",
		    t->core != NULL ? t->core : t->program);
	}
	r->before = xcalloc(BLOCK, d->entry_nbytes);
	r->after = xcalloc(BLOCK, d->entry_nbytes);
	r->bitmaps = xcalloc(BLOCK, BITMAP_NWORDS * sizeof(*r->bitmaps));
	read_owners(r);
	read_arenas(r);
	s->large_nmalloc = read_u64(r, d->large_nmalloc);
	s->large_nfree = read_u64(r, d->large_nfree);
	s->npurged = read_u64(r, d->npurged);
	sum_up(s);
	free(r->before);
	free(r->after);
	free(r->bitmaps);
	free(r);
	target_still_there(t);
}

void
snapshot_free(struct snapshot *s)
{
	free(s->runs);
	s->runs = NULL;
}
