/*
 * Out of memory: NULL with ENOMEM, nothing is lost, and when memory is freed all works again. In
 * a child each: under RLIMIT_AS, RLIMIT_DATA, exhausted mappings, strict overcommit, mlockall.
 */
#include "phkmalloc.h"
#include "resident.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* As in <linux/capability.h>, which is not everywhere. */
#define IPC_LOCK 14

#define MB ((size_t)1 << 20)
#define CELLS 500000

static void **cells;

/* Takes n bytes at a time until there are none; each is marked. Returns how many. */
static size_t
exhaust(size_t n, size_t at)
{
	size_t i = at;

	for (errno = 0; i < CELLS; i++) {
		size_t *p = malloc(n);

		if (p == NULL)
			break;
		p[0] = i;
		p[n / sizeof(size_t) - 1] = ~i;
		cells[i] = p;
	}
	return i;
}

static bool
marks_whole(size_t n, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		size_t *p = cells[i];

		if (p[0] != i || p[n / sizeof(size_t) - 1] != ~i)
			return false;
	}
	return true;
}

/* Every function says ENOMEM and leaves alone what there is. */
static bool
all_refuse(size_t n)
{
	size_t *p = cells[0];
	void *q = &p;
	bool good;

	errno = 0;
	good = malloc(n) == NULL && errno == ENOMEM;
	errno = 0;
	good &= calloc(2, n) == NULL && errno == ENOMEM;
	errno = 0;
	good &= realloc(p, n * 40 + 400 * MB) == NULL && errno == ENOMEM;
	errno = 0;
	good &= aligned_alloc(64, n * 2) == NULL && errno == ENOMEM;
	good &= posix_memalign(&q, 4096, n + 8192) == ENOMEM && q == &p;
	return good && p[0] == 0;
}

/* 100000 bytes a piece, then chunks, until all is gone; then back, twice. */
static int
to_the_end(void)
{
	for (int round = 0; round < 2; round++) {
		size_t large = exhaust(100000, 0), all = exhaust(16000, large), rest;

		if (large < 50 || errno != ENOMEM)
			return 10;
		rest = exhaust(64, all);
		if (!all_refuse(200000))
			return 11;
		if (phkmalloc_check() != 0)
			return 12;
		if (!marks_whole(100000, 0, large) || !marks_whole(16000, large, all) ||
		    !marks_whole(64, all, rest))
			return 13;
		for (size_t i = 0; i < rest; i++)
			free(cells[i]);
		malloc_trim(0);
		if (phkmalloc_check() != 0)
			return 14;
	}
	for (size_t n = 1; n < 2 * MB; n = n * 3 / 2 + 1) {
		char *p = calloc(1, n);

		if (p == NULL || p[n - 1] != 0)
			return 15;
		free(p);
	}
	return 0;
}

static int
limit(unsigned resource, size_t nbytes)
{
	struct rlimit r = {nbytes, nbytes};

	return setrlimit(resource, &r);
}

/* What is reserved already counts: a new process starts under the limit. */
static int
start(void *arg)
{
	const char *name = arg;

	if (strcmp(name, "as") == 0)
		limit(RLIMIT_AS, 300 * MB);
	else if (strcmp(name, "as-small") == 0)
		limit(RLIMIT_AS, 64 * MB);
	else if (strcmp(name, "data") == 0)
		limit(RLIMIT_DATA, 200 * MB);
	execl("/proc/self/exe", "limits", name, (char *)NULL);
	return 127;
}

/* The limit comes when there is much in use. */
static int
late_limit(void *arg)
{
	size_t n;

	(void)arg;
	for (size_t i = 0; i < 1000; i++)
		cells[i] = malloc(100000);
	limit(RLIMIT_AS, status_kib("VmSize:") * 1024 + 1 * MB);
	limit(RLIMIT_DATA, status_kib("VmData:") * 1024 + 1 * MB);
	for (n = 1000; n < 10000 && (cells[n] = malloc(MB)) != NULL; n++)
		;
	if (n < 10000 && errno != ENOMEM)
		return 2;
	for (size_t i = 0; i < n; i++)
		free(cells[i]);
	if (phkmalloc_check() != 0)
		return 3;
	for (size_t size = 1; size < MB; size = size * 2 + 1)
		if ((cells[0] = malloc(size)) == NULL) {
			dprintf(STDERR_FILENO, "malloc(%zu) fails after %zu allocations were freed\n", size, n);
			return 4;
		}
	return 0;
}

/* Mappings of one OS page each, alternately readable, until the kernel has no more. */
static int
no_mappings(void *arg)
{
	char *p = mmap(NULL, 1000 * MB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t got = 0, count = 0;

	(void)arg;
	/* What is in use already grows without a mapping more. */
	free(malloc(5 * MB));
	free(malloc(200));
	for (size_t at = 0; at + 8192 < 1000 * MB; at += 8192)
		if (mprotect(p + at, 4096, PROT_READ) != 0)
			break;
	for (int round = 0; round < 3; round++) {
		for (got = 0; got < 20000; got++) {
			cells[got] = malloc(got % 100 == 0 ? 5 * MB : got % 10 == 0 ? 70000 : 200);
			if (cells[got] == NULL)
				break;
			memset(cells[got], 1, 200);
		}
		count += got;
		for (size_t i = 0; i < got; i += 2)
			free(cells[i]);
		for (size_t i = 1; i < got; i += 2)
			free(cells[i]);
		malloc_trim(0);
		if (phkmalloc_check() != 0)
			return 2;
	}
	munmap(p, 1000 * MB);
	dprintf(STDERR_FILENO, "%zu allocations\n", count);
	return count < 100;
}

/* Reserved and committed memory is not locked into existence. */
static int
locked(void *arg)
{
	size_t before, after;
	struct rlimit r;
	bool privileged = geteuid() == 0 && prctl(PR_CAPBSET_READ, IPC_LOCK) == 1;

	(void)arg;
	/* Under a limit, which is not root's outside of containers, allocations fail soon. */
	if (!privileged && (getrlimit(RLIMIT_MEMLOCK, &r) != 0 || r.rlim_cur != RLIM_INFINITY))
		return 77;
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		return 77;
	before = status_kib("VmRSS:");
	for (size_t i = 0; i < 200; i++)
		memset(cells[i] = malloc(100), 1, 100);
	after = status_kib("VmRSS:");
	dprintf(STDERR_FILENO, "RSS %zu then %zu KiB, locked %zu KiB\n", before, after,
	    status_kib("VmLck:"));
	return before > 60000 || after > before + 4096;
}

/* Writes a kernel setting; returns the old one, -1 when that is not allowed. */
static int
overcommit(int mode)
{
	int fd = open("/proc/sys/vm/overcommit_memory", O_RDWR | O_CLOEXEC);
	char text[16] = "";
	int old = -1;

	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) > 0)
		old = atoi(text);
	snprintf(text, sizeof(text), "%d\n", mode);
	if (pwrite(fd, text, strlen(text), 0) < 0)
		old = -1;
	close(fd);
	return old;
}

static void
strict_overcommit(void)
{
	const char *promise = "strict overcommit: 200 MiB can be had, and 1 PiB is refused";
	struct ended e;
	int old = overcommit(2);

	if (old < 0) {
		skip(promise, "vm.overcommit_memory cannot be set");
		return;
	}
	child_run(&e, start, (char[]){"strict"});
	(void)overcommit(old);
	if (!ok(e.status == 0, "%s", promise))
		printf("# status %#x: %s\n", (unsigned)e.status, e.text);
}

static int
strict(void)
{
	char *p = malloc(200 * MB);
	volatile size_t huge = (size_t)1 << 50;

	if (p == NULL)
		return 2;
	memset(p, 1, 200 * MB);
	errno = 0;
	if (malloc(huge) != NULL || errno != ENOMEM)
		return 3;
	free(p);
	for (size_t i = 0; i < 100000; i++)
		if ((cells[i] = malloc(i % 2000)) == NULL)
			return 4;
	for (size_t i = 0; i < 100000; i++)
		free(cells[i]);
	return phkmalloc_check() != 0;
}

int
main(int argc, char **argv)
{
	struct ended e;

	cells = mmap(NULL, CELLS * sizeof(*cells), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	    -1, 0);
	if (argc == 2)
		return strcmp(argv[1], "strict") == 0 ? strict() :
		    strcmp(argv[1], "locked") == 0 ? locked(NULL) : to_the_end();
	ok_in_child(start, (char[]){"as"}, "RLIMIT_AS of 300 MiB: refused, whole, and works again");
	ok_in_child(start, (char[]){"as-small"},
	    "RLIMIT_AS of 64 MiB: refused, whole, and works again");
	ok_in_child(start, (char[]){"data"},
	    "RLIMIT_DATA of 200 MiB: refused, whole, and works again");
	ok_in_child(late_limit, NULL, "a limit set late: refused, whole, and works again");
	ok_in_child(no_mappings, NULL, "no mapping to be had: the heap is whole, and works again");
	child_run(&e, start, (char[]){"locked"});
	if (e.status == 77 << 8)
		skip("mlockall makes nothing resident that is not used", "mlockall is not allowed");
	else
		ok(e.status == 0, "mlockall makes nothing resident that is not used");
	printf("# %s\n", e.text);
	strict_overcommit();
	ok(phkmalloc_check() == 0, "the heap is whole");
	return tap_done();
}
