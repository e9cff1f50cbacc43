/*
 * corrupt.c: a process that has overwritten its own bookkeeping, so that the command reads garbage
 * where the real one lies. Argument: a seed. Prints "ready" and waits; calls no malloc after.
 */
#include "phkmalloc_inspect.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t state;

static uint64_t
next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t
get(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* A kind, an owner, or anything, and counts that fit or do not. */
static void
corrupt_entry(char *entry, const struct phkmalloc_descriptor *d)
{
	uint64_t r = next_random(), word = r >> 8;

	switch (r % 6) {
	case 0:
		word = word % 6;
		memcpy(entry, &word, sizeof(word));
		break;
	case 1:
		memcpy(entry + d->entry_bits, &word, sizeof(word));
		break;
	case 2:
		word = get(entry + d->entry_bits) + word % 4096 * 8;
		memcpy(entry + d->entry_bits, &word, sizeof(word));
		break;
	case 3:
		entry[d->chunk_class_no] = (char)word;
		break;
	case 4:
		memcpy(entry + d->free_npages, &word, sizeof(uint32_t));
		break;
	case 5:
		for (uint32_t i = 0; i < d->entry_nbytes; i++)
			entry[i] = (char)next_random();
		break;
	}
}

static void
corrupt(const struct phkmalloc_descriptor *d)
{
	const char *arena = (const char *)(uintptr_t)d->arenas;
	char *page_dir = (char *)(uintptr_t)get(arena + d->arena_page_dir);
	char *owner = (char *)(uintptr_t)get((const char *)(uintptr_t)d->owners);
	uint64_t npages = get(arena + d->arena_limit) >> d->page_shift;
	uint64_t word = next_random();

	for (uint64_t i = 0; i < npages; i++)
		if (next_random() % 4 == 0)
			corrupt_entry(page_dir + i * d->entry_nbytes, d);
	/* A list that comes back to itself, or leads nowhere. */
	if (word % 3 == 0)
		word = (uint64_t)(uintptr_t)owner;
	memcpy(owner + d->owner_next, &word, sizeof(word));
}

int
main(int argc, char **argv)
{
	const struct phkmalloc_descriptor *d = dlsym(RTLD_DEFAULT, "phkmalloc_descriptor");
	static void *kept[20000];

	state = 88172645463325252U + (argc > 1 ? strtoull(argv[1], NULL, 10) : 0) * 977;
	if (d == NULL)
		return 1;
	for (size_t i = 0; i < 20000; i++)
		kept[i] = malloc(next_random() % 3000 + (i % 100 == 0 ? 100000 : 0));
	for (size_t i = 0; i < 20000; i += 1 + i % 3)
		free(kept[i]);
	corrupt(d);
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	for (;;)
		pause();
}
