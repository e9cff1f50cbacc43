/*
 * find.c: looks for the library's note in what is mapped from ELF files, and checks the descriptor
 * that it leads to; see find.h. What only looks like one is told from it by its numbers: all are
 * bounded. The number of files bounds the work.
 */
#include "find.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define STRUCT_NBYTES_MAX 4096U
#define HEADERS_MAX 256U
#define NOTES_NBYTES_MAX 16384U

struct found {
	struct phkmalloc_descriptor d;
	bool whole;       /* d is usable */
	bool used;        /* and its heap has an arena */
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
	return d->page_shift >= 12 && d->page_shift <= 24 && d->arena_max <= 4096 &&
	    d->arena_nbytes >= 32 && d->arena_nbytes <= STRUCT_NBYTES_MAX &&
	    within(d->arena_origin, 8, d->arena_nbytes) &&
	    within(d->arena_limit, 8, d->arena_nbytes) &&
	    within(d->arena_page_dir, 8, d->arena_nbytes) &&
	    within(d->arena_npages, 8, d->arena_nbytes) && d->entry_nbytes >= 16 &&
	    d->entry_nbytes <= STRUCT_NBYTES_MAX && within(d->entry_bits, 8, d->entry_nbytes) &&
	    d->bits_countdown <= 8 && d->bits_countdown >= 2 &&
	    within(d->chunk_nchunks, 2, d->entry_nbytes) &&
	    within(d->chunk_class_no, 1, d->entry_nbytes) &&
	    within(d->chunk_state, 1, d->entry_nbytes) &&
	    d->bits_started <= 8 && d->bits_started >= 2 &&
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
	static const char magic[16] = PHKMALLOC_DESCRIPTOR_MAGIC;
	struct phkmalloc_descriptor d;
	uint32_t arena_count;

	memset(&d, 0, sizeof(d));
	if (!target_read(t, address, &d, offsetof(struct phkmalloc_descriptor, arenas)) ||
	    memcmp(d.magic, magic, sizeof(magic)) != 0 || d.version == 0 || d.version > 1000 ||
	    d.nbytes < 64 || d.nbytes > STRUCT_NBYTES_MAX ||
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

/* The notes of a segment that was loaded at this address. */
static void
look_through(struct target *t, struct found *f, uint64_t address, uint64_t nbytes)
{
	char notes[NOTES_NBYTES_MAX];

	if (nbytes > sizeof(notes) || !target_read(t, address, notes, nbytes))
		return;
	for (uint64_t at = 0; nbytes - at >= sizeof(Elf64_Nhdr);) {
		Elf64_Nhdr h;
		uint64_t name = at + sizeof(h), text, end;

		memcpy(&h, notes + at, sizeof(h));
		text = name + (((uint64_t)h.n_namesz + 3) & ~(uint64_t)3);
		end = text + (((uint64_t)h.n_descsz + 3) & ~(uint64_t)3);
		if (end > nbytes)
			return;
		if (h.n_namesz == sizeof(PHKMALLOC_NOTE_NAME) && h.n_type == PHKMALLOC_NOTE_TYPE &&
		    h.n_descsz == 4 && memcmp(notes + name, PHKMALLOC_NOTE_NAME, h.n_namesz) == 0) {
			int32_t distance;

			memcpy(&distance, notes + text, sizeof(distance));
			look_at(t, f, address + text + (uint64_t)(int64_t)distance);
		}
		at = end;
	}
}

static void
look_into(struct target *t, struct found *f, const struct mapping *m)
{
	Elf64_Ehdr e;
	Elf64_Phdr headers[HEADERS_MAX];
	uint64_t bias = m->start;

	if (m->offset != 0 || !target_read(t, m->start, &e, sizeof(e)) ||
	    memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 || e.e_ident[EI_CLASS] != ELFCLASS64 ||
	    e.e_phentsize != sizeof(*headers) || e.e_phnum > HEADERS_MAX ||
	    !target_read(t, m->start + e.e_phoff, headers, e.e_phnum * sizeof(*headers)))
		return;
	for (unsigned i = 0; i < e.e_phnum; i++) {
		if (headers[i].p_type == PT_LOAD && headers[i].p_offset == 0)
			bias = m->start - headers[i].p_vaddr;
	}
	for (unsigned i = 0; i < e.e_phnum && !f->used; i++) {
		if (headers[i].p_type == PT_NOTE)
			look_through(t, f, bias + headers[i].p_vaddr, headers[i].p_filesz);
	}
}

bool
find_descriptor(struct target *t, struct phkmalloc_descriptor *d)
{
	struct found f;

	memset(&f, 0, sizeof(f));
	for (size_t i = 0; i < t->map_count && !f.used && t->status == STATUS_OK; i++)
		look_into(t, &f, &t->maps[i]);
	if (!target_is_there(t))
		return false;
	*d = f.d;
	if (f.whole)
		return true;
	if (f.version != 0)
		target_trouble(t, STATUS_VERSION,
		    "%s uses phkmalloc %s, which describes its heap in version %u; this command "
		    "reads version %u: use the one that came with the library",
		    t->program, f.library, f.version, PHKMALLOC_DESCRIPTOR_VERSION);
	else if (t->core != NULL)
		target_trouble(t, STATUS_NOT_PHKMALLOC, "%s: no heap of phkmalloc in this core file",
		    t->core);
	else
		target_trouble(t, STATUS_NOT_PHKMALLOC, "process %d (%s) does not use phkmalloc",
		    t->pid, t->program);
	return false;
}
