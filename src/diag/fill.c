/*
 * fill.c: junk and canaries; see fill.h. Sixteen bytes at a time where there are as many: options
 * that are cheap are used.
 */
#include "diag/fill.h"

#include <string.h>

typedef uint64_t pair __attribute__((vector_size(16)));

ALWAYS_INLINE pair
pair_load(const unsigned char *s)
{
	pair v;

	memcpy(&v, s, sizeof(v));
	return v;
}

/* The eight bytes that lie `by` bytes on in a word that is repeated. */
ALWAYS_INLINE uint64_t
turned(uint64_t word, size_t by)
{
	by = by % 8 * 8;
	return by == 0 ? word : word >> by | word << (64 - by);
}

/* Whether nbytes from s repeat the word. */
static bool
repeats(const unsigned char *s, size_t nbytes, uint64_t word)
{
	const pair want = {word, word};
	pair wrong = {0, 0};
	uint64_t eight;
	size_t i = 0;

	for (; i + 64 <= nbytes; i += 64) {
		wrong |= pair_load(s + i) ^ want;
		wrong |= pair_load(s + i + 16) ^ want;
		wrong |= pair_load(s + i + 32) ^ want;
		wrong |= pair_load(s + i + 48) ^ want;
		if ((wrong[0] | wrong[1]) != 0)
			return false;
	}
	for (; i + 16 <= nbytes; i += 16)
		wrong |= pair_load(s + i) ^ want;
	if (i + 8 <= nbytes) {
		memcpy(&eight, s + i, 8);
		wrong[0] |= eight ^ word;
		i += 8;
	}
	if (i < nbytes && nbytes >= 8) {
		memcpy(&eight, s + nbytes - 8, 8);
		wrong[0] |= eight ^ turned(word, nbytes);
		i = nbytes;
	}
	for (; i < nbytes; i++)
		wrong[0] |= s[i] ^ (turned(word, i) & 0xff);
	return (wrong[0] | wrong[1]) == 0;
}

/* The offset of the first of nbytes that does not repeat the word. */
static COLD size_t
first_other(const unsigned char *s, size_t nbytes, uint64_t word)
{
	for (size_t i = 0; i < nbytes; i++)
		if (s[i] != (turned(word, i) & 0xff))
			return i;
	return FILL_WHOLE;
}

void
fill_junk(void *p, size_t nbytes, int junk)
{
	memset(p, junk, nbytes);
}

size_t
fill_check_junk(const void *p, size_t nbytes)
{
	const uint64_t junk = JUNK_FREED * 0x0101010101010101U;

	return LIKELY(repeats(p, nbytes, junk)) ? FILL_WHOLE : first_other(p, nbytes, junk);
}

/*
 * What is repeated behind an allocation at p. It depends on the place, so that a canary cannot be
 * copied from one to another, and on a secret of the process. No byte is zero: a string's end
 * that runs over must not look right.
 */
ALWAYS_INLINE uint64_t
canary(const void *p, size_t from, uint64_t secret)
{
	uint64_t h = (((uintptr_t)p + from) ^ secret) * 0x9e3779b97f4a7c15U;

	h ^= h >> 32;
	/* One in each byte that is zero, and in some that are one. */
	return h | ((h - 0x0101010101010101U) & ~h & 0x8080808080808080U) >> 7;
}

void
fill_canary(void *p, size_t from, size_t to, uint64_t secret)
{
	uint64_t word = canary(p, from, secret);
	const pair both = {word, word};
	unsigned char *s = (unsigned char *)p + from;
	size_t i = 0, nbytes = to - from;

	for (; i + 16 <= nbytes; i += 16)
		memcpy(s + i, &both, 16);
	if (i + 8 <= nbytes) {
		memcpy(s + i, &word, 8);
		i += 8;
	}
	if (i < nbytes && nbytes >= 8) {
		word = turned(word, nbytes);
		memcpy(s + nbytes - 8, &word, 8);
		i = nbytes;
	}
	for (; i < nbytes; i++)
		s[i] = (unsigned char)turned(word, i);
}

size_t
fill_check_canary(const void *p, size_t from, size_t to, uint64_t secret)
{
	uint64_t word = canary(p, from, secret);
	const unsigned char *s = (const unsigned char *)p + from;

	if (LIKELY(repeats(s, to - from, word)))
		return FILL_WHOLE;
	return from + first_other(s, to - from, word);
}
