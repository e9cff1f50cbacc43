/*
 * Fuzzed: the heap of another process, as torn as it may be. The fuzzer makes the memory up, and
 * the descriptor; the reader must end, within its bounds, and say what it left out.
 */
/* For is_plausible(), which every descriptor passes before it is believed. */
#include "../../tools/find.c"
#include "../../tools/snapshot.h"

#include <stdlib.h>
#include <string.h>

#define BASE 0x10000U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

static const uint8_t *memory;
static size_t memory_nbytes;
static unsigned reads;

/* The memory is there again and again, a little different each time it is read. */
static void
read_spans(struct target *t, struct span *spans, size_t n)
{
	(void)t;
	for (size_t i = 0; i < n; i++) {
		uint64_t at = spans[i].address - BASE;

		spans[i].done = spans[i].address >= BASE && memory_nbytes != 0 &&
		    at < (uint64_t)memory_nbytes << 16;
		if (!spans[i].done)
			continue;
		for (size_t k = 0; k < spans[i].nbytes; k++)
			((uint8_t *)spans[i].to)[k] = memory[(at + k) % memory_nbytes];
		if (++reads % 7 == 0 && spans[i].nbytes != 0)
			((uint8_t *)spans[i].to)[reads % spans[i].nbytes] ^= (uint8_t)reads;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
	struct target t = {.read_spans = read_spans, .fd = -1};
	struct phkmalloc_descriptor d;
	struct snapshot s;

	if (nbytes < sizeof(d) + 8)
		return 0;
	snapshot_entries_max = 4096;
	memcpy(&d, data, sizeof(d));
	memory = data + sizeof(d);
	memory_nbytes = nbytes - sizeof(d);
	reads = 0;
	if (!is_plausible(&d))
		return 0;
	(void)snapshot_take(&t, &d, data[sizeof(d) + 7] % 2 == 0, NULL, &s);
	snapshot_free(&s);
	return 0;
}
