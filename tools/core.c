/*
 * core.c: the memory of a process that a 64-bit ELF core file kept; see target.h. Every number in
 * the file is checked against the size of the file before it is used.
 */
#include "command.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENTS_MAX (1U << 22)
#define NOTES_NBYTES_MAX ((uint64_t)64 << 20)
#define FILE_HEAD 4096U

static bool
pread_all(int fd, void *to, uint64_t nbytes, uint64_t offset)
{
	while (nbytes > 0) {
		ssize_t got = pread(fd, to, nbytes, (off_t)offset);

		if (got <= 0)
			return false;
		to = (char *)to + got;
		nbytes -= (uint64_t)got;
		offset += (uint64_t)got;
	}
	return true;
}

/* NT_FILE: count, page size, then start, end and offset in pages of each, then the names. */
static void
parse_files(struct target *t, const char *data, size_t nbytes)
{
	uint64_t count, unit;
	const char *names;

	if (nbytes < 16)
		return;
	memcpy(&count, data, 8);
	memcpy(&unit, data + 8, 8);
	if (count > (nbytes - 16) / 24)
		return;
	names = data + 16 + count * 24;
	t->maps = xcalloc(count, sizeof(*t->maps));
	for (uint64_t i = 0; i < count; i++) {
		struct mapping *m = &t->maps[t->map_count];
		size_t left = (size_t)(data + nbytes - names);
		size_t len = strnlen(names, left);
		uint64_t v[3];

		if (len == left)
			return;
		memcpy(v, data + 16 + i * 24, sizeof(v));
		m->start = v[0];
		m->end = v[1];
		m->offset = v[2] * unit;
		m->path = xstrdup(names);
		t->map_count++;
		names += len + 1;
	}
}

static void
parse_notes(struct target *t, uint64_t offset, uint64_t nbytes)
{
	char *notes;
	uint64_t at = 0;

	if (nbytes > NOTES_NBYTES_MAX)
		return;
	notes = xcalloc(nbytes, 1);
	if (!pread_all(t->fd, notes, nbytes, offset))
		nbytes = 0;
	while (nbytes - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr h;
		uint64_t data, end;

		memcpy(&h, notes + at, sizeof(h));
		data = at + sizeof(h) + (((uint64_t)h.n_namesz + 3) & ~(uint64_t)3);
		end = data + (((uint64_t)h.n_descsz + 3) & ~(uint64_t)3);
		if (end > nbytes)
			break;
		if (h.n_type == NT_PRPSINFO && h.n_descsz >= sizeof(struct elf_prpsinfo)) {
			struct elf_prpsinfo info;

			memcpy(&info, notes + data, sizeof(info));
			t->pid = t->tid = info.pr_pid;
			snprintf(t->program, sizeof(t->program), "%.*s",
			    (int)sizeof(info.pr_fname), info.pr_fname);
		}
		if (h.n_type == NT_FILE && t->maps == NULL)
			parse_files(t, notes + data, h.n_descsz);
		at = end;
	}
	free(notes);
}

static int
by_start(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static uint64_t
segment_count(struct target *t, const Elf64_Ehdr *e)
{
	Elf64_Shdr s;

	if (e->e_phnum != PN_XNUM)
		return e->e_phnum;
	return pread_all(t->fd, &s, sizeof(s), e->e_shoff) ? s.sh_info : 0;
}

/* The bytes at address that lie in one piece in the core; 0 when it has none there. */
static uint64_t
core_find(const struct target *t, uint64_t address, uint64_t *offset)
{
	size_t low = 0, high = t->segment_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct segment *s = &t->segments[mid];

		if (address < s->start) {
			high = mid;
		} else if (address - s->start >= s->nbytes) {
			low = mid + 1;
		} else {
			*offset = s->offset + (address - s->start);
			return s->nbytes - (address - s->start);
		}
	}
	return 0;
}

/* Whether a file still starts as it did: the kernel keeps the first bytes, with the build id. */
static bool
is_same_file(const struct target *t, const struct mapping *m, int fd)
{
	char kept[FILE_HEAD], now[FILE_HEAD];
	uint64_t offset;

	for (size_t i = 0; i < t->map_count; i++) {
		const struct mapping *first = &t->maps[i];

		if (first->offset == 0 && strcmp(first->path, m->path) == 0 &&
		    core_find(t, first->start, &offset) >= FILE_HEAD)
			return pread_all(t->fd, kept, FILE_HEAD, offset) &&
			    pread_all(fd, now, FILE_HEAD, 0) && memcmp(kept, now, FILE_HEAD) == 0;
	}
	return true;
}

/* What a process never wrote the kernel leaves out of the core: it is in the mapped file. */
static bool
file_read(const struct target *t, uint64_t address, void *to, uint64_t nbytes)
{
	for (size_t i = 0; i < t->map_count; i++) {
		const struct mapping *m = &t->maps[i];
		bool done;
		int fd;

		if (address < m->start || address >= m->end || nbytes > m->end - address)
			continue;
		fd = open(m->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			return false;
		done = is_same_file(t, m, fd) &&
		    pread_all(fd, to, nbytes, m->offset + (address - m->start));
		close(fd);
		return done;
	}
	return false;
}

static bool
core_read(struct target *t, uint64_t address, void *to, size_t nbytes)
{
	while (nbytes > 0) {
		uint64_t offset;
		uint64_t n = core_find(t, address, &offset);

		if (n == 0)
			return file_read(t, address, to, nbytes);
		if (n > nbytes)
			n = nbytes;
		if (!pread_all(t->fd, to, n, offset))
			return false;
		to = (char *)to + n;
		address += n;
		nbytes -= n;
	}
	return true;
}

static void
core_read_spans(struct target *t, struct span *spans, size_t n)
{
	for (size_t i = 0; i < n; i++)
		spans[i].done = core_read(t, spans[i].address, spans[i].to, spans[i].nbytes);
}

void
target_open_core(struct target *t, const char *path)
{
	Elf64_Ehdr e;
	uint64_t n, end = 0;
	struct stat st;

	memset(t, 0, sizeof(*t));
	t->read_spans = core_read_spans;
	t->core = path;
	t->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (t->fd < 0)
		fail(STATUS_FILE, "%s: %m", path);
	if (!pread_all(t->fd, &e, sizeof(e), 0) || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 ||
	    e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_type != ET_CORE ||
	    e.e_phentsize != sizeof(Elf64_Phdr))
		fail(STATUS_FILE, "%s: not a core file of a 64-bit process", path);
	n = segment_count(t, &e);
	if (n == 0 || n > SEGMENTS_MAX)
		fail(STATUS_FILE, "%s: damaged core file", path);
	t->segments = xcalloc(n, sizeof(*t->segments));
	for (uint64_t i = 0; i < n; i++) {
		Elf64_Phdr p;

		if (!pread_all(t->fd, &p, sizeof(p), e.e_phoff + i * sizeof(p)))
			fail(STATUS_FILE, "%s: core file is cut off", path);
		if (p.p_type == PT_NOTE)
			parse_notes(t, p.p_offset, p.p_filesz);
		if (p.p_offset + p.p_filesz > end)
			end = p.p_offset + p.p_filesz;
		if (p.p_type == PT_LOAD && p.p_filesz > 0)
			t->segments[t->segment_count++] =
			    (struct segment){ p.p_vaddr, p.p_filesz, p.p_offset };
	}
	if (fstat(t->fd, &st) == 0 && (uint64_t)st.st_size < end)
		fprintf(stderr, "phkmalloc: %s is cut off: %s of %s are there\n", path,
		    show_bytes((uint64_t)st.st_size), show_bytes(end));
	qsort(t->segments, t->segment_count, sizeof(*t->segments), by_start);
}
