/*
 * fill.c: junk and canaries; see fill.h.
 */
#include "diag/fill.h"

#include <string.h>

void
fill_junk(void *p, size_t nbytes, int junk)
{
	memset(p, junk, nbytes);
}

size_t
fill_check_junk(const void *p, size_t nbytes)
{
	const unsigned char *s = p;
	const uint64_t junk = JUNK_FREED * 0x0101010101010101U;
	size_t i = 0;

	for (uint64_t word; i + sizeof(word) <= nbytes; i += sizeof(word)) {
		memcpy(&word, s + i, sizeof(word));
		if (word != junk)
			break;
	}
	for (; i < nbytes; i++)
		if (s[i] != JUNK_FREED)
			return i;
	return FILL_WHOLE;
}

/* A byte that depends on the place, so that canaries cannot be copied from one to another. */
static unsigned char
canary(const unsigned char *at, uint64_t secret)
{
	uint64_t h = ((uintptr_t)at ^ secret) * 0x9e3779b97f4a7c15U;

	/* Never zero: a string's end that runs over must not look right. */
	return (unsigned char)(h >> 56 | 1);
}

void
fill_canary(void *p, size_t from, size_t to, uint64_t secret)
{
	unsigned char *s = p;

	for (size_t i = from; i < to; i++)
		s[i] = canary(s + i, secret);
}

size_t
fill_check_canary(const void *p, size_t from, size_t to, uint64_t secret)
{
	const unsigned char *s = p;

	for (size_t i = from; i < to; i++)
		if (s[i] != canary(s + i, secret))
			return i;
	return FILL_WHOLE;
}
