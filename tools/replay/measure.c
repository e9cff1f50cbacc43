/*
 * measure.c: what the kernel tells of this process's memory; see engine.h. One thread at a time.
 *
 * Pages touched are told by the bits that the processor sets in the page tables. The kernel clears
 * them and leaves the translations that the processor has remembered: a page that is used by one of
 * those is not marked again. So all are dropped after each clearing, and before the first operation
 * it is tried out on pages of our own whether the bits are then exact.
 */
#include "engine.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* More pages than a kernel drops one by one (33 on x86-64, 512 on arm64); then it drops all. */
#define DROP_PAGES 1024
#define PROBE_PAGES 256

static char *drop;
static size_t page_nbytes;

/* A file of /proc, piece by piece; each line goes to `line`. */
static bool
each_line(const char *path, void (*line)(const char *, void *), void *arg)
{
	char buf[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = read(fd, buf + have, sizeof(buf) - 1 - have)) > 0) {
		char *at = buf, *end;

		have += (size_t)n;
		buf[have] = '\0';
		while ((end = memchr(at, '\n', (size_t)(buf + have - at))) != NULL) {
			*end = '\0';
			line(at, arg);
			at = end + 1;
		}
		have = (size_t)(buf + have - at);
		if (have == sizeof(buf) - 1)
			have = 0;
		memmove(buf, at, have);
	}
	close(fd);
	return n == 0;
}

/* The number of KiB behind a name, in bytes. */
static bool
kib(const char *line, const char *name, uint64_t *nbytes)
{
	size_t len = strlen(name);

	if (strncmp(line, name, len) != 0)
		return false;
	*nbytes = strtoull(line + len, NULL, 10) * 1024;
	return true;
}

static void
status_line(const char *line, void *arg)
{
	struct status *s = arg;

	(void)(kib(line, "VmRSS:", &s->rss) || kib(line, "VmHWM:", &s->peak));
}

void
measure_memory(struct status *s)
{
	memset(s, 0, sizeof(*s));
	(void)each_line("/proc/self/status", status_line, s);
}

static bool
clear_refs(const char *what)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, what, 1) == 1;

	if (fd >= 0)
		close(fd);
	return done;
}

bool
measure_reset_peak(void)
{
	return clear_refs("5");
}

/* Without write access, and with it again: translations are dropped, on all processors. */
bool
measure_reset_pages(void)
{
	size_t nbytes = DROP_PAGES * page_nbytes;

	if (!clear_refs("1") || mprotect(drop, nbytes, PROT_READ) != 0 ||
	    mprotect(drop, nbytes, PROT_READ | PROT_WRITE) != 0)
		return false;
	for (size_t i = 0; i < nbytes; i += page_nbytes)
		((volatile char *)drop)[i] = 1;
	return true;
}

struct count {
	uintptr_t only;  /* the one mapping that counts; 0: all that may be an allocator's */
	bool counts;     /* the mapping that lines are of */
	uint64_t nbytes;
};

/* Memory that is neither a file's, nor a stack; ours is shared, which has the name of a file. */
static void
smaps_line(const char *line, void *arg)
{
	struct count *c = arg;
	char *at;
	uint64_t nbytes;
	uintptr_t from = (uintptr_t)strtoull(line, &at, 16);

	if (*at == '-' && at > line) {
		const char *name = line;

		for (int i = 0; i < 5 && name != NULL; i++)
			name = name == NULL ? NULL : strchr(name + 1, ' ');
		while (name != NULL && *name == ' ')
			name++;
		c->counts = c->only != 0 ? from == c->only : name == NULL || *name == '\0' ||
		    strcmp(name, "[heap]") == 0 || strncmp(name, "[anon", 5) == 0;
	} else if (c->counts && kib(line, "Referenced:", &nbytes)) {
		c->nbytes += nbytes;
	}
}

bool
measure_pages(uint64_t *nbytes)
{
	struct count c = { .only = 0 };

	if (!each_line("/proc/self/smaps", smaps_line, &c))
		return false;
	*nbytes = c.nbytes;
	return true;
}

/* Every second page of some, several times: just those are to be seen. */
static bool
pages_are_exact(void)
{
	/* Between two that no neighbour is joined with. */
	size_t nbytes = (PROBE_PAGES + 2) * page_nbytes;
	char *all = mmap(NULL, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile char *probe = all + page_nbytes;
	struct count c = { .only = (uintptr_t)probe };
	bool exact = true;

	if (all == MAP_FAILED ||
	    mprotect(all + page_nbytes, PROBE_PAGES * page_nbytes, PROT_READ | PROT_WRITE) != 0)
		finish(REPLAY_NO_MEMORY);
	(void)madvise(all, nbytes, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < PROBE_PAGES; i++)
		probe[i * page_nbytes] = 1;
	for (size_t round = 0; round < 6 && exact; round++) {
		c.nbytes = 0;
		exact = measure_reset_pages();
		for (size_t i = round % 2; i < PROBE_PAGES; i += 2)
			probe[i * page_nbytes] = 2;
		exact = exact && each_line("/proc/self/smaps", smaps_line, &c) &&
		    c.nbytes == PROBE_PAGES / 2 * page_nbytes;
	}
	munmap(all, nbytes);
	return exact;
}

void
measure_begin_pages(void)
{
	page_nbytes = (size_t)sysconf(_SC_PAGESIZE);
	drop = table(DROP_PAGES * page_nbytes);
	if (!measure_reset_pages())
		finish(REPLAY_NO_PAGES);
	if (!pages_are_exact())
		finish(REPLAY_INEXACT_PAGES);
	(void)measure_reset_pages();
}
