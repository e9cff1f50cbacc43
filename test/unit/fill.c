/* Canaries and junk: of any length and place, whole until one byte is changed, and which. */
#include "diag/fill.h"
#include "unit.h"

#include <string.h>

#define ROOM 400

static unsigned char memory[ROOM] ALIGNED(16);

/* Each byte of a canary of this place, changed to anything else, is found. */
static int
canary_finds(size_t from, size_t to, uint64_t secret)
{
	unsigned char before[ROOM];

	memset(memory, 0xaa, ROOM);
	fill_canary(memory, from, to, secret);
	memcpy(before, memory, ROOM);
	if (fill_check_canary(memory, from, to, secret) != FILL_WHOLE)
		return 0;
	for (size_t i = 0; i < ROOM; i++)
		if ((i < from || i >= to) && memory[i] != 0xaa)
			return 0;
	for (size_t i = from; i < to; i++) {
		if (memory[i] == 0)
			return 0;
		for (unsigned bit = 1; bit < 256; bit <<= 1) {
			memory[i] = (unsigned char)(before[i] ^ bit);
			memory[to - 1] ^= i == to - 1 ? 0 : 1;
			if (fill_check_canary(memory, from, to, secret) != i)
				return 0;
			memory[to - 1] = before[to - 1];
			memory[i] = before[i];
		}
	}
	return 1;
}

static int
junk_finds(size_t n)
{
	fill_junk(memory, n, JUNK_FREED);
	if (fill_check_junk(memory, n) != FILL_WHOLE)
		return 0;
	for (size_t i = 0; i < n; i++) {
		memory[i] = 0;
		if (fill_check_junk(memory, n) != i)
			return 0;
		memory[i] = JUNK_FREED;
	}
	return 1;
}

int
main(void)
{
	unsigned char other[64], same[ROOM];
	int canaries = 1, junk = 1;

	for (size_t from = 0; from < 20; from++)
		for (size_t n = 0; n < 150; n++)
			canaries &= canary_finds(from, from + n, from * 977 + n);
	promise(canaries, "each changed bit of a canary is found, at its place, and no byte is zero");
	for (size_t n = 0; n < 300; n++)
		junk &= junk_finds(n);
	promise(junk, "each byte of junk that is zeroed is found, at its place");
	fill_canary(memory, 10, 26, 1);
	memcpy(other, memory + 10, 16);
	fill_canary(memory, 26, 42, 1);
	promise(memcmp(other, memory + 26, 16) != 0, "canaries of two places differ");
	memcpy(same, memory, ROOM);
	fill_canary(memory, 10, 26, 2);
	promise(memcmp(same + 10, memory + 10, 16) != 0, "canaries of two secrets differ");
	return unit_done();
}
