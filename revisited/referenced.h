/*
 * referenced.h: which OS pages a program referenced, by the bits that the processor sets in the
 * page tables: cleared by way of /proc/self/clear_refs, read from /proc/self/smaps.
 *
 * The kernel clears the bits and leaves the translations that the processor has remembered: a page
 * that is used by one of those is not marked again. So all are dropped after each clearing. Whether
 * the bits are then exact, page by page, is tried out on pages of our own: on a machine where many
 * pages share a bit, or where somebody else clears them, they say nothing.
 *
 * Counted is private memory that was or can be written: an allocator's static data is its own as
 * much as its heap. Not stacks, nor what is locked, nor [from, to). Called by one thread at a time;
 * a page that is touched and unmapped between two calls is missed.
 */
#ifndef REVISITED_REFERENCED_H
#define REVISITED_REFERENCED_H

#include "common.h"

/* More than the kernel drops one by one; beyond that it drops all (33 on x86-64, 512 on arm64). */
#define FLUSH_NBYTES ((size_t)1024 * OS_PAGE)
#define PROBE_NPAGES ((size_t)256)

struct references {
	uintptr_t from, to;	/* what does not count; or for the probe, all that does */
	bool is_inside;
	bool counts;
	size_t referenced;	/* of the mapping that is being read */
	size_t npages;
};

static char *references_flush;

static inline void
references_line(char *line, void *arg)
{
	struct references *r = arg;
	unsigned long from, inode, kib;
	char access[5];

	if (sscanf(line, "%lx-%*x %4s %*s %*s %lu", &from, access, &inode) == 3) {
		r->counts = access[3] == 'p' && (inode == 0 || access[1] == 'w') &&
		    (from >= r->from && from < r->to) == r->is_inside &&
		    strstr(line, "[stack]") == NULL && strstr(line, "[v") == NULL;
	} else if (sscanf(line, "Referenced: %lu", &kib) == 1) {
		r->referenced = (kib << 10) / OS_PAGE;
	} else if (strncmp(line, "VmFlags:", 8) == 0 && r->counts &&
	    strstr(line, " lo") == NULL) {
		r->npages += r->referenced;
	}
}

/* Pages referenced since they were cleared, [from, to) not counting. */
static inline size_t
references_npages(uintptr_t from, uintptr_t to)
{
	struct references r = { .from = from, .to = to };

	lines_of("/proc/self/smaps", references_line, &r);
	return r.npages;
}

/* Without write access, and with it again: the kernel drops the translations of all threads. */
static inline void
references_drop_translations(void)
{
	if (mprotect(references_flush, FLUSH_NBYTES, PROT_READ) != 0 ||
	    mprotect(references_flush, FLUSH_NBYTES, PROT_READ | PROT_WRITE) != 0)
		die("mprotect");
	for (size_t i = 0; i < FLUSH_NBYTES; i += OS_PAGE)
		references_flush[i] = 1;
}

static inline bool
references_clear(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	bool is_clear = fd >= 0 && write(fd, "1", 1) == 1;

	if (fd >= 0)
		close(fd);
	if (is_clear)
		references_drop_translations();
	return is_clear;
}

/* Every second page of some, several times: just those are to be seen. */
static inline bool
references_are_exact(void)
{
	size_t nbytes = (PROBE_NPAGES + 2) * OS_PAGE;
	char *all = mmap(NULL, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *pages = all + OS_PAGE;	/* between pages that no neighbour is joined with */
	struct references r = { .from = (uintptr_t)pages, .is_inside = true };
	bool is_exact = true;

	r.to = r.from + PROBE_NPAGES * OS_PAGE;
	if (all == MAP_FAILED ||
	    mprotect(pages, PROBE_NPAGES * OS_PAGE, PROT_READ | PROT_WRITE) != 0)
		die("no memory for the probe");
	memset(pages, 1, PROBE_NPAGES * OS_PAGE);
	for (int round = 0; round < 6 && is_exact; round++) {
		r.npages = 0;
		references_clear();
		for (size_t i = (size_t)round % 2; i < PROBE_NPAGES; i += 2)
			((volatile char *)pages)[i * OS_PAGE] ^= 1;
		lines_of("/proc/self/smaps", references_line, &r);
		is_exact = r.npages == PROBE_NPAGES / 2;
	}
	munmap(all, nbytes);
	return is_exact;
}

/* Whether pages can be counted here; why not is printed. Clears the bits. */
static inline bool
references_begin(void)
{
	/* Shared, so that it is no part of a private mapping beside it, and never counted. */
	references_flush = mmap(NULL, FLUSH_NBYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (references_flush == MAP_FAILED)
		die("no memory to drop translations with");
	if (!references_clear())
		say(1, "unreferenced=the kernel has no /proc/self/clear_refs\n");
	else if (!references_are_exact())
		say(1, "unreferenced=the kernel's referenced bits are not exact here\n");
	else
		return references_clear();
	return false;
}

#endif
