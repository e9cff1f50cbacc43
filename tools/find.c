/*
 * find.c: searches what is mapped from ELF files for the descriptor's magic; see find.h. A string
 * that only looks like it is told from a descriptor by the numbers that follow: all are bounded.
 */
#include "find.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_NBYTES ((size_t)1 << 20)
#define MAPPING_NBYTES_MAX ((uint64_t)1 << 28)
#define STRUCT_NBYTES_MAX 4096U

struct found {
	struct phkmalloc_descriptor d;
	bool whole;      /* d is usable */
	bool used;       /* and its heap has an arena */
	uint32_t version; /* of a descriptor of another version, or 0 */
	char library[17];
};

static bool
within(uint32_t offset, uint32_t nbytes, uint32_t size)
{
	return offset <= size && nbytes <= size - offset;
}

/* All that the reader later relies on to stay inside its buffers. */
static bool
is_plausible(const struct phkmalloc_descriptor *d)
{
	return d->page_shift >= 12 && d->page_shift <= 24 && d->arena_max <= 65536 &&
	    d->arena_nbytes >= 32 && d->arena_nbytes <= STRUCT_NBYTES_MAX &&
	    within(d->arena_origin, 8, d->arena_nbytes) &&
	    within(d->arena_limit, 8, d->arena_nbytes) &&
	    within(d->arena_page_dir, 8, d->arena_nbytes) &&
	    within(d->arena_npages, 8, d->arena_nbytes) && d->entry_nbytes >= 16 &&
	    d->entry_nbytes <= STRUCT_NBYTES_MAX && within(d->entry_bits, 8, d->entry_nbytes) &&
	    within(d->entry_countdown, 4, d->entry_nbytes) &&
	    within(d->chunk_nchunks, 2, d->entry_nbytes) &&
	    within(d->chunk_class_no, 1, d->entry_nbytes) &&
	    within(d->chunk_state, 1, d->entry_nbytes) &&
	    within(d->chunk_started, 4, d->entry_nbytes) &&
	    within(d->free_npages, 4, d->entry_nbytes) &&
	    within(d->free_ndirty, 4, d->entry_nbytes) &&
	    within(d->large_npages, 4, d->entry_nbytes) &&
	    within(d->large_nbytes, 8, d->entry_nbytes) &&
	    within(d->large_guard, 1, d->entry_nbytes) && d->class_count > 0 &&
	    d->class_count <= 256 && d->class_nbytes >= 8 &&
	    d->class_nbytes <= STRUCT_NBYTES_MAX && within(d->class_size, 4, d->class_nbytes) &&
	    within(d->class_nchunks, 2, d->class_nbytes) &&
	    within(d->class_nwords, 2, d->class_nbytes) &&
	    within(d->class_remote, 2, d->class_nbytes);
}

static void
look_at(struct target *t, struct found *f, uint64_t address)
{
	struct phkmalloc_descriptor d;
	uint32_t arena_count;

	memset(&d, 0, sizeof(d));
	if (!target_read(t, address, &d, offsetof(struct phkmalloc_descriptor, arenas)) ||
	    d.version == 0 || d.version > 1000 || d.nbytes < 64 || d.nbytes > STRUCT_NBYTES_MAX ||
	    memchr(d.library, '\0', sizeof(d.library)) == NULL)
		return;
	if (d.version != PHKMALLOC_DESCRIPTOR_VERSION || d.nbytes < sizeof(d)) {
		f->version = d.version;
		memcpy(f->library, d.library, sizeof(d.library));
		return;
	}
	if (!target_read(t, address, &d, sizeof(d)) || !is_plausible(&d) ||
	    !target_read(t, d.arena_count, &arena_count, sizeof(arena_count)))
		return;
	/* A program can have the library twice; the heap is where the memory is. */
	if (!f->whole || arena_count > 0) {
		f->d = d;
		f->whole = true;
		f->used = arena_count > 0;
	}
}

static void
search(struct target *t, struct found *f, const struct mapping *m, char *block)
{
	static const char magic[16] = PHKMALLOC_DESCRIPTOR_MAGIC;
	uint64_t end = m->end;

	if (end - m->start > MAPPING_NBYTES_MAX)
		end = m->start + MAPPING_NBYTES_MAX;
	for (uint64_t at = m->start; at < end && !f->used; at += BLOCK_NBYTES) {
		size_t n = end - at < BLOCK_NBYTES ? (size_t)(end - at) : BLOCK_NBYTES;

		if (!target_read(t, at, block, n))
			continue;
		/* The compiler aligns it so, and no descriptor's magic crosses a block then. */
		for (size_t i = 0; i + sizeof(magic) <= n; i += 16)
			if (memcmp(block + i, magic, sizeof(magic)) == 0)
				look_at(t, f, at + i);
	}
}

static bool
is_elf(struct target *t, const struct mapping *m)
{
	char head[SELFMAG];

	return m->offset == 0 && target_read(t, m->start, head, sizeof(head)) &&
	    memcmp(head, ELFMAG, SELFMAG) == 0;
}

/* Two rounds: files with the library's name come first, and mostly that is all. */
static void
search_files(struct target *t, struct found *f, bool named, char *block)
{
	bool elf = false;

	for (size_t i = 0; i < t->map_count && !f->used; i++) {
		const struct mapping *m = &t->maps[i];

		if (i == 0 || strcmp(m->path, m[-1].path) != 0 || m->offset == 0)
			elf = is_elf(t, m);
		if (elf && (strstr(m->path, "libphkmalloc") != NULL) == named)
			search(t, f, m, block);
	}
}

void
find_descriptor(struct target *t, struct phkmalloc_descriptor *d)
{
	struct found f;
	char *block = xcalloc(BLOCK_NBYTES, 1);

	memset(&f, 0, sizeof(f));
	search_files(t, &f, true, block);
	search_files(t, &f, false, block);
	free(block);
	target_still_there(t);
	if (!f.whole && f.version != 0)
		fail(STATUS_VERSION,
		    "%s uses phkmalloc %s, which describes its heap in version %u; this command "
		    "reads version %u: use the one that came with the library",
		    t->program, f.library, f.version, PHKMALLOC_DESCRIPTOR_VERSION);
	if (!f.whole && t->core != NULL)
		fail(STATUS_NOT_PHKMALLOC, "%s: no heap of phkmalloc in this core file", t->core);
	if (!f.whole)
		fail(STATUS_NOT_PHKMALLOC, "process %d (%s) does not use phkmalloc", t->pid,
		    t->program);
	*d = f.d;
}
