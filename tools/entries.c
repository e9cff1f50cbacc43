/*
 * entries.c: entries of page_dir and the bitmaps they point to; see reader.h and snapshot.h.
 *
 * Order is what makes figures right without a lock. What was freed is read before the bitmaps, so
 * that no chunk is both in use and freed. Remote bitmaps are read before the others: a chunk on its
 * way from one to the other is free in both or in the second. An entry that does not say the same
 * before and after its bitmaps were read is read again, each time in one system call.
 */
#include "reader.h"

#include <stdlib.h>

#define TRIES 6
#define NO_SPAN UINT32_MAX

#define KIND_NOT_MINE 0U
#define KIND_FREE 1U
#define KIND_FIRST 2U
#define KIND_FOLLOW 3U
#define KIND_RUN_MOVING 5U
#define KIND_RUN_KEPT 6U
#define OWNER_MIN 64U /* an owner's address is not below, */
#define OWNER_FLAGS ((uint64_t)63) /* and has flags in these bits */

bool
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
		    l->nwords * 64 < f->nchunks + 64 && l->nwords <= l->remote &&
		    (uint64_t)f->size * f->nchunks <= (uint64_t)1 << d->page_shift &&
		    l->nwords * 2 + 2 <= BITMAP_NWORDS;
	}
	free(table);
	return ok;
}

enum entry_kind
entry_kind(const struct reader *r, const unsigned char *entry)
{
	uint64_t class_no = get(entry, r->d->chunk_class_no, 1), word = get(entry, 0, 8);

	if (word >= OWNER_MIN && class_no < r->s->class_count &&
	    get(entry, r->d->chunk_nchunks, 2) == r->s->classes[class_no].nchunks)
		return ENTRY_CHUNKS;
	if (word == KIND_NOT_MINE || word == KIND_FOLLOW)
		return ENTRY_INSIDE;
	if (word == KIND_FREE)
		return ENTRY_FREE;
	if (word == KIND_FIRST)
		return ENTRY_LARGE;
	return word == KIND_RUN_MOVING || word == KIND_RUN_KEPT ? ENTRY_MOVING : ENTRY_OTHER;
}

bool
entry_held_still(const struct reader *r, uint32_t i)
{
	const struct phkmalloc_descriptor *d = r->d;
	const unsigned char *a = r->before + (size_t)i * d->entry_nbytes;
	const unsigned char *b = r->after + (size_t)i * d->entry_nbytes;
	enum entry_kind kind = entry_kind(r, a);

	if (kind != entry_kind(r, b))
		return false;
	if (kind == ENTRY_CHUNKS)
		return get(a, d->entry_bits, 8) == get(b, d->entry_bits, 8) &&
		    get(a, d->chunk_class_no, 1) == get(b, d->chunk_class_no, 1);
	if (kind == ENTRY_FREE)
		return get(a, d->free_npages, 4) == get(b, d->free_npages, 4);
	if (kind == ENTRY_LARGE || kind == ENTRY_MOVING)
		return get(a, d->large_npages, 4) == get(b, d->large_npages, 4) &&
		    get(a, d->large_nbytes, 8) == get(b, d->large_nbytes, 8) &&
		    get(a, d->large_guard, 1) == get(b, d->large_guard, 1);
	return true;
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

static uint32_t
count_hollow(const struct snapshot *s, const struct class_figures *f, const uint64_t *used)
{
	uint32_t n = 0;

	for (uint32_t at = 0; at < s->page_nbytes; at += s->os_page_nbytes) {
		uint32_t first = at / f->size;
		uint32_t last = (at + s->os_page_nbytes - 1) / f->size;

		if (last >= f->nchunks)
			last = f->nchunks - 1;
		n += first >= f->nchunks || !any_live(used, first, last);
	}
	return n;
}

/*
 * Frees since the owner last counted: the difference of two numbers in the word before the bits.
 * It was read twice: between the owner's two stores it can be far off once, but not twice.
 */
static uint64_t
count_uncounted(const struct reader *r, const uint64_t *words)
{
	int64_t least = INT64_MAX;

	for (int k = 0; k < 2; k++) {
		const unsigned char *end = (const unsigned char *)&words[k + 1];
		int64_t n = (int64_t)(int16_t)get(end - r->d->bits_started, 0, 2) -
		    (int16_t)get(end - r->d->bits_countdown, 0, 2);

		if (n < least)
			least = n;
	}
	return least < 0 ? 0 : (uint64_t)least;
}

/* Keeps a page's bitmap, or none at all where they are too many. */
static void
keep_bitmap(struct reader *r, const uint64_t *bits, uint32_t nwords)
{
	struct snapshot *s = r->s;

	if (!r->with_runs || s->bitmap_nwords > SNAPSHOT_BITMAP_NWORDS)
		return;
	if (s->bitmaps == NULL)
		s->bitmaps = xcalloc(SNAPSHOT_BITMAP_NWORDS, sizeof(*bits));
	s->bitmap_nwords += nwords;
	if (s->bitmap_nwords <= SNAPSHOT_BITMAP_NWORDS) {
		memcpy(s->bitmaps + s->bitmap_nwords - nwords, bits, nwords * sizeof(*bits));
		return;
	}
	free(s->bitmaps);
	s->bitmaps = NULL;
}

/* What a page adds to its owner, if that was known at the start. */
static void
count_for_owner(struct reader *r, const struct run *run, uint32_t i)
{
	uint64_t address = get(r->before + (size_t)i * r->d->entry_nbytes, 0, 8) & ~OWNER_FLAGS;
	size_t low = 0, high = r->s->owner_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		struct owner_figures *o = &r->s->owners[mid];

		if (o->address == address) {
			o->npages++;
			o->live += run->live;
			o->live_nbytes += (uint64_t)run->live * r->s->classes[run->class_no].size;
			return;
		}
		if (o->address < address)
			low = mid + 1;
		else
			high = mid;
	}
}

void
count_chunks(struct reader *r, struct run *run, uint32_t i)
{
	struct class_figures *f = &r->s->classes[run->class_no];
	uint64_t *bits = r->bitmaps + (size_t)i * BITMAP_NWORDS;
	uint32_t nwords = r->layout[run->class_no].nwords, npending = 0, live = 0;

	for (uint32_t w = 0; w < nwords; w++) {
		uint64_t remote = bits[nwords + w] & ~bits[w];

		if (w == nwords - 1 && f->nchunks % 64 != 0) {
			remote &= ~(uint64_t)0 >> (64 - f->nchunks % 64);
			bits[w] |= ~(uint64_t)0 << f->nchunks % 64;
		}
		npending += (uint32_t)__builtin_popcountll(remote);
		bits[w] = ~(bits[w] | remote); /* now 1 is in use */
		live += (uint32_t)__builtin_popcountll(bits[w]);
	}
	keep_bitmap(r, bits, nwords);
	run->live = (uint16_t)live;
	run->hollow = (uint16_t)count_hollow(r->s, f, bits);
	f->npages++;
	f->live += live;
	f->hollow += run->hollow;
	count_for_owner(r, run, i);
	f->nfreed += npending + count_uncounted(r, &bits[(size_t)2 * nwords]);
}

/* The bitmaps that an entry of chunks points to, in the order that matters. */
static void
want_bitmaps(struct reader *r, uint32_t i, struct span *spans)
{
	const unsigned char *e = r->before + (size_t)i * r->d->entry_nbytes;
	const struct class_layout *l = &r->layout[get(e, r->d->chunk_class_no, 1)];
	uint64_t *to = r->bitmaps + (size_t)i * BITMAP_NWORDS;
	uint64_t bits = get(e, r->d->entry_bits, 8);

	spans[0] = (struct span){ .address = bits - 8, .to = to + 2 * (size_t)l->nwords, .nbytes = 8 };
	spans[1] = (struct span){ .address = bits + (uint64_t)l->remote * 8, .to = to + l->nwords,
		.nbytes = (size_t)l->nwords * 8 };
	spans[2] = (struct span){ .address = bits, .to = to, .nbytes = (size_t)l->nwords * 8 };
	spans[3] = spans[0];
	spans[3].to = to + 2 * (size_t)l->nwords + 1;
}

/* Reads bitmaps and then the entry again, of all entries or of those that changed. */
static void
read_round(struct reader *r, uint64_t address, uint32_t n, bool all)
{
	size_t nbytes = r->d->entry_nbytes;
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++) {
		r->first[i] = NO_SPAN;
		if (!all && entry_held_still(r, i))
			continue;
		if (!all)
			memcpy(r->before + i * nbytes, r->after + i * nbytes, nbytes);
		r->seen[i] = false;
		if (entry_kind(r, r->before + i * nbytes) == ENTRY_CHUNKS) {
			r->first[i] = count;
			want_bitmaps(r, i, &r->spans[count]);
			count += BITMAP_SPANS;
		}
		if (!all)
			r->spans[count++] = (struct span){ .address = address + i * nbytes,
				.to = r->after + i * nbytes, .nbytes = nbytes };
	}
	if (all)
		r->spans[count++] = (struct span){ .address = address, .to = r->after,
			.nbytes = n * nbytes };
	target_read_spans(r->t, r->spans, count);
	for (uint32_t i = 0; i < n; i++) {
		r->seen[i] |= r->first[i] != NO_SPAN;
		for (uint32_t k = 0; r->first[i] != NO_SPAN && k < BITMAP_SPANS; k++)
			r->seen[i] &= r->spans[r->first[i] + k].done;
	}
}

/* Entries, then the bitmaps they point to, then the entries again; those that changed again. */
bool
read_block(struct reader *r, uint64_t address, uint32_t n)
{
	if (!target_read(r->t, address, r->before, (size_t)n * r->d->entry_nbytes))
		return false;
	read_round(r, address, n, true);
	for (int try = 1; try < TRIES; try++) {
		uint32_t changed = 0;

		for (uint32_t i = 0; i < n; i++)
			changed += !entry_held_still(r, i);
		if (changed == 0)
			break;
		read_round(r, address, n, false);
	}
	return true;
}
