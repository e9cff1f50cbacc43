/*
 * dirty.c: the dirty bits of an arena; see dirty.h. A word covers 64 pages, 4 MiB.
 */
#include "page/dirty.h"

static void
dirty_bits(const struct pginfo *first, size_t npages, uint64_t **words, size_t *from, size_t *to)
{
	struct arena *a = arena_of(first);

	*words = a->dirty;
	*from = (size_t)(first - a->page_dir);
	*to = *from + npages;
}

/* The bits of one word that lie in [from, to), for the word that holds bit `from`. */
static uint64_t
word_mask(size_t from, size_t to)
{
	uint64_t mask = ~(uint64_t)0 << (from % 64);

	if (to - (from - from % 64) < 64)
		mask &= ~(~(uint64_t)0 << (to % 64));
	return mask;
}

size_t
dirty_count(const struct pginfo *first, size_t npages)
{
	uint64_t *words;
	size_t from, to, n = 0;

	dirty_bits(first, npages, &words, &from, &to);
	for (; from < to; from = (from / 64 + 1) * 64)
		n += count_bits(words[from / 64] & word_mask(from, to));
	return n;
}

size_t
dirty_end(const struct pginfo *first, size_t npages)
{
	uint64_t *words, word;
	size_t from, to;

	dirty_bits(first, npages, &words, &from, &to);
	for (size_t w = (to + 63) / 64; to > from && w-- > from / 64; to = w * 64) {
		word = words[w] & word_mask(w * 64 < from ? from : w * 64, to);
		if (word != 0)
			return w * 64 + log2_floor(word) + 1 - from;
	}
	return 0;
}

void
dirty_set(struct pginfo *first, size_t npages, bool value)
{
	uint64_t *words;
	size_t from, to;

	dirty_bits(first, npages, &words, &from, &to);
	for (; from < to; from = (from / 64 + 1) * 64) {
		if (value)
			words[from / 64] |= word_mask(from, to);
		else
			words[from / 64] &= ~word_mask(from, to);
	}
}
