/*
 * misuse.h: a mistake in a process of its own. Before it makes the mistake, the process says on
 * standard error which pointer and which place the message must name; the parent compares.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include "phkmalloc.h"
#include "tap.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE ((size_t)65536)
#define CHUNK_MAX ((size_t)32768)

/* C++ operators, by the names they have for the linker. */
void _ZdlPv(void *p);
void _ZdaPv(void *p);
void _ZdlPvm(void *p, size_t n);
void _ZdaPvm(void *p, size_t n);
void _ZdlPvSt11align_val_t(void *p, size_t alignment);
void _ZdlPvmSt11align_val_t(void *p, size_t n, size_t alignment);
void *_Znwm(size_t n);
void *_ZnwmSt11align_val_t(size_t n, size_t alignment);
void cfree(void *p);

/* Says that the message must name p and this place. "RUN": a free run around p; "ANY": any. */
static inline void
expect(const void *p, const char *place)
{
	char line[300];
	int len = snprintf(line, sizeof(line), "EXPECT 0x%lx %s\n", (unsigned long)(uintptr_t)p, place);

	/* Not by dprintf, which allocates when it is called the first time. */
	if (write(STDERR_FILENO, line, (size_t)len) != len)
		_exit(126);
}

/*
 * The same where the place is the allocation p is in: extra stands behind its bounds. To be
 * called while p, its start, is in use. `at` is the pointer that the message will name.
 */
static inline void
expect_at(const void *at, const void *p, const char *extra)
{
	uintptr_t start = (uintptr_t)p, end = (uintptr_t)phkmalloc_base(p) + phkmalloc_size(p);
	size_t n = end - start;
	char place[200];

	if (n <= CHUNK_MAX)
		snprintf(place, sizeof(place), "chunk of %zu bytes, 0x%lx-0x%lx, page 0x%lx%s, thread %d",
		    n, (unsigned long)start, (unsigned long)end,
		    (unsigned long)(start & ~(uintptr_t)(PAGE - 1)), extra, (int)gettid());
	else
		snprintf(place, sizeof(place), "allocation of %zu pages, 0x%lx-0x%lx%s",
		    (n + PAGE - 1) / PAGE, (unsigned long)start, (unsigned long)end, extra);
	expect(at, place);
}

/* Two chunks of one page, so that the page stays when one is freed. */
static inline char *
with_neighbour(size_t n)
{
	char *p = malloc(n), *q;

	/* A canary may make it too large for a chunk. */
	if (phkmalloc_size(p) > CHUNK_MAX)
		return p;
	for (int i = 0; i < 10000; i++) {
		q = malloc(n);
		if (((uintptr_t)p ^ (uintptr_t)q) < PAGE)
			return opaque(q);
		p = q;
	}
	abort();
}

/* What traps when it is freed, wherever it is: see option F in malloc.conf(5). */
#define TRAPS_NBYTES ((size_t)1 << 20)

/*
 * Whether smaller pieces trap too. Before Linux 6.13 each trap is a mapping, and the library makes
 * none for them. An emulator may take the advice and do nothing.
 */
static inline bool
small_ones_trap(void)
{
	size_t n = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return madvise(p, n, 102 /* MADV_GUARD_INSTALL */) == 0 &&
	    madvise(p, n, 22 /* MADV_POPULATE_READ */) != 0;
}
#define SMALL_ONES_WHY "before Linux 6.13 less than 1 MiB does not trap"

/* Runs act in another thread and waits for it. */
static inline void
in_thread(void *(*act)(void *), void *p)
{
	pthread_t t;

	if (pthread_create(&t, NULL, act, p) != 0 || pthread_join(t, NULL) != 0)
		abort();
}

#endif
