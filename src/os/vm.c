/*
 * vm.c: mmap, mprotect, madvise, mremap; see vm.h. No other file calls them.
 */
#include "os/vm.h"

#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* The same number on all machines, and not in the headers of older systems. */
#define MSEAL 462

size_t vm_pagesize = 4096;
unsigned long vm_fail_countdown;
bool vm_fail_all;
unsigned long vm_calls;
bool vm_lazy;
bool vm_guard_splits;

/* True when a test wants this call to fail. */
static bool
injected(void)
{
	__atomic_fetch_add(&vm_calls, 1, __ATOMIC_RELAXED);
	if (LIKELY(load_relaxed(&vm_fail_countdown) == 0))
		return false;
	if (__atomic_sub_fetch(&vm_fail_countdown, 1, __ATOMIC_RELAXED) != 0)
		return false;
	if (vm_fail_all)
		store_relaxed(&vm_fail_countdown, 1);
	return true;
}

void
vm_init(void)
{
	unsigned long n = getauxval(AT_PAGESZ);

	if (n > 0)
		vm_pagesize = n;
}

void *
vm_reserve(size_t nbytes, size_t alignment)
{
	int saved = errno;
	size_t slack = alignment > vm_pagesize ? alignment : 0;
	char *base;

	if (injected() || nbytes > PTRDIFF_MAX - slack)
		return NULL;
	base = mmap(NULL, nbytes + slack, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	errno = saved;
	if (base == MAP_FAILED)
		return NULL;
	if (slack != 0) {
		char *aligned = (char *)round_up((uintptr_t)base, alignment);
		size_t head = (size_t)(aligned - base);

		if (head != 0)
			vm_unreserve(base, head);
		if (slack != head)
			vm_unreserve(aligned + nbytes, slack - head);
		base = aligned;
	}
	return base;
}

bool
vm_unreserve(void *base, size_t nbytes)
{
	int saved = errno;
	bool done = !injected() && munmap(base, nbytes) == 0;

	errno = saved;
	return done;
}

bool
vm_commit(void *base, size_t nbytes)
{
	int saved = errno;
	bool done = !injected() && mprotect(base, nbytes, PROT_READ | PROT_WRITE) == 0;

	errno = saved;
	return done;
}

bool
vm_decommit(void *base, size_t nbytes)
{
	int saved = errno;
	bool done = !injected() && mmap(base, nbytes, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == base;

	errno = saved;
	return done;
}

bool
vm_purge(void *base, size_t nbytes)
{
	int saved = errno;
	bool done = !injected() && madvise(base, nbytes, vm_lazy ? MADV_FREE : MADV_DONTNEED) == 0;

	errno = saved;
	return done;
}

size_t
vm_resident(void *base, size_t nbytes)
{
	int saved = errno;
	unsigned char map[512];
	size_t step = sizeof(map) * vm_pagesize, count = 0;

	for (size_t at = 0; at < nbytes; at += step) {
		size_t n = nbytes - at < step ? nbytes - at : step;
		bool told = mincore((char *)base + at, n, map) == 0;

		for (size_t i = 0; i < n / vm_pagesize; i++)
			count += !told || (map[i] & 1) != 0;
	}
	errno = saved;
	return count;
}

bool
vm_move(void *from, void *to, size_t nbytes)
{
	int saved = errno;
	bool done = !injected() && mremap(from, nbytes, nbytes,
	    MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == to;

	errno = saved;
	return done;
}

bool
vm_renew(void *base, size_t nbytes)
{
	int saved = errno;
	bool done = !injected() && mmap(base, nbytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == base;

	errno = saved;
	return done;
}

/* An emulator may take advice that it does not know and do nothing: looked at once. */
static bool
guard_traps(void *base)
{
	static bool seen;

	if (!load_relaxed(&seen) && madvise(base, vm_pagesize, MADV_POPULATE_READ) == 0)
		errno = EINVAL;
	else
		store_relaxed(&seen, true);
	return load_relaxed(&seen);
}

bool
vm_guard(void *base, size_t nbytes)
{
	int saved = errno;
	bool done = !injected();

	/* Guards without a mapping of their own, in Linux from 6.13 on; else a mapping. */
	if (done && !load_relaxed(&vm_guard_splits) &&
	    madvise(base, nbytes, MADV_GUARD_INSTALL) == 0 && guard_traps(base))
		nbytes = 0;
	if (done && nbytes != 0) {
		if (errno == EINVAL)
			store_relaxed(&vm_guard_splits, true);
		done = mprotect(base, nbytes, PROT_NONE) == 0 &&
		    madvise(base, nbytes, MADV_DONTNEED) == 0;
	}
	errno = saved;
	return done;
}

bool
vm_unguard(void *base, size_t nbytes)
{
	int saved = errno;
	bool done = !injected();

	/* It may be either, whatever guards are now. */
	if (done)
		done = (madvise(base, nbytes, MADV_GUARD_REMOVE) == 0 &&
		    !load_relaxed(&vm_guard_splits)) ||
		    mprotect(base, nbytes, PROT_READ | PROT_WRITE) == 0;
	errno = saved;
	return done;
}

bool
vm_conceal(void *base, size_t nbytes, bool on)
{
	int saved = errno;
	bool done = !injected() && madvise(base, nbytes, on ? MADV_DONTDUMP : MADV_DODUMP) == 0;

	errno = saved;
	return done;
}

bool
vm_collapse(void *base, size_t nbytes)
{
	int saved = errno;
	bool done = !injected() && madvise(base, nbytes, MADV_COLLAPSE) == 0;

	errno = saved;
	return done;
}

void
vm_populate(void *base, size_t nbytes)
{
	int saved = errno;

	if (!injected())
		(void)madvise(base, nbytes, MADV_POPULATE_WRITE);
	errno = saved;
}

bool
vm_seal(void *base, size_t nbytes, bool hard)
{
	int saved = errno;
	bool done = !injected() && mprotect(base, nbytes, PROT_READ) == 0;

	if (done && hard)
		(void)syscall(MSEAL, base, nbytes, 0);
	errno = saved;
	return done;
}

void *
vm_map_file(void *where, int fd, uint64_t offset, size_t nbytes, bool children)
{
	int saved = errno;
	void *p = injected() ? MAP_FAILED : mmap(where, nbytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | (where != NULL ? MAP_FIXED : 0), fd, (off_t)offset);

	if (p != MAP_FAILED && !children)
		(void)madvise(p, nbytes, MADV_DONTFORK);
	errno = saved;
	return p == MAP_FAILED ? NULL : p;
}

bool
vm_wipe_on_fork(void *base, size_t nbytes)
{
	int saved = errno;
	bool done = !injected() && madvise(base, nbytes, MADV_WIPEONFORK) == 0;

	errno = saved;
	return done;
}

size_t
vm_limit(void)
{
	int saved = errno;
	struct rlimit r;
	int rc = getrlimit(RLIMIT_AS, &r);

	errno = saved;
	return rc != 0 || r.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)r.rlim_cur;
}
