/*
 * shim.c: lock, fork, libc's names and the break for the historical allocators; see shim.h.
 *
 * One mutex protects everything. The thread that forks, or that aborts, holds it and may come
 * back in (its handlers may allocate): `inside` lets it pass.
 *
 * What differs from the originals, because programs of today rely on it:
 * - sizes above PTRDIFF_MAX fail with ENOMEM; the originals computed with the wrapped value;
 * - realloc(p, 0) frees and returns NULL in all of them, as glibc does;
 * - free keeps errno; a failed realloc keeps the old block;
 * - memalign and its relatives exist, and what they return can be freed.
 */
#include "shim.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define RESERVE_NBYTES ((size_t)1 << 40)
#define RESERVE_MIN_NBYTES ((size_t)1 << 22)
#define COMMIT_STEP ((size_t)1 << 18)

extern char **environ;

/* glibc declares these only where its own malloc.h is included. */
EXPORT void *memalign(size_t alignment, size_t nbytes);
EXPORT void *pvalloc(size_t nbytes);
EXPORT size_t malloc_usable_size(void *p);

/* ---- lock and fork ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static __thread bool inside;

static void
lock(void)
{
	if (!inside)
		pthread_mutex_lock(&mutex);
}

static void
unlock(void)
{
	if (!inside)
		pthread_mutex_unlock(&mutex);
}

static void
fork_prepare(void)
{
	lock();
	inside = true;
}

static void
fork_done(void)
{
	inside = false;
	unlock();
}

__attribute__((constructor)) static void
shim_start(void)
{
	pthread_atfork(fork_prepare, fork_done, fork_done);
}

__attribute__((destructor)) static void
shim_finish(void)
{
	lock();
	if (allocator.finish != NULL)
		allocator.finish();
	unlock();
}

_Noreturn void
shim_abort(void)
{
	inside = true;
	abort();
}

/* ---- the break ---- */

/*
 *	base            now        committed                                     limit
 *	 │  heap         │  ready   │  PROT_NONE: costs addresses, no memory        │
 *	 ├───────────────┼──────────┼───────────────────────────────────────────────┤
 */
static struct {
	char *base, *now, *committed, *limit;
	size_t mapped_nbytes;		/* by shim_map */
} core;

static size_t
round_up(size_t n, size_t unit)
{
	return (n + unit - 1) & ~(unit - 1);
}

size_t
shim_pagesize(void)
{
	return getauxval(AT_PAGESZ);
}

/* Half of what a limit on addresses leaves is for others: stacks, libraries, files. */
static void
reserve(void)
{
	size_t nbytes = RESERVE_NBYTES;
	struct rlimit rl;

	if (getrlimit(RLIMIT_AS, &rl) == 0)
		while (nbytes > rl.rlim_cur / 2)
			nbytes /= 2;
	for (; nbytes >= RESERVE_MIN_NBYTES; nbytes /= 2) {
		char *p = mmap(NULL, nbytes, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			continue;
		core.base = core.now = core.committed = p;
		core.limit = p + nbytes;
		return;
	}
}

char *
shim_break(void)
{
	if (core.base == NULL)
		reserve();
	return core.now;
}

static bool
brk_raise(char *to)
{
	size_t lacking = (size_t)(to - core.committed);
	size_t step = round_up(lacking, COMMIT_STEP);

	if (step > (size_t)(core.limit - core.committed))
		step = (size_t)(core.limit - core.committed);
	/* Near a limit a whole step may be refused where what is needed is not. */
	if (mprotect(core.committed, step, PROT_READ | PROT_WRITE) != 0) {
		step = round_up(lacking, shim_pagesize());
		if (mprotect(core.committed, step, PROT_READ | PROT_WRITE) != 0)
			return false;
	}
	core.committed += step;
	return true;
}

/*
 * A new mapping in the old one's place gives back memory, its accounting and its contents. A
 * process over its limit of addresses is refused that: then all but the accounting.
 */
static bool
brk_lower(char *to)
{
	char *first = core.base + round_up((size_t)(to - core.base), shim_pagesize());
	size_t nbytes = (size_t)(core.committed - first);

	if (nbytes == 0)
		return true;
	if (mmap(first, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
	    MAP_FIXED, -1, 0) == MAP_FAILED &&
	    (madvise(first, nbytes, MADV_DONTNEED) != 0 || mprotect(first, nbytes, PROT_NONE) != 0))
		return false;
	core.committed = first;
	return true;
}

char *
shim_sbrk(size_t nbytes)
{
	char *old = shim_break();

	if (old == NULL || nbytes > (size_t)(core.limit - old))
		return NULL;
	if (nbytes > (size_t)(core.committed - old) && !brk_raise(old + nbytes))
		return NULL;
	core.now = old + nbytes;
	return old;
}

bool
shim_brk(char *to)
{
	if (to < core.base || to > core.now || !brk_lower(to))
		return false;
	core.now = to;
	return true;
}

void *
shim_map(size_t nbytes)
{
	void *p;

	nbytes = round_up(nbytes, shim_pagesize());
	p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	core.mapped_nbytes += nbytes;
	return p;
}

void
shim_unmap(void *p, size_t nbytes)
{
	nbytes = round_up(nbytes, shim_pagesize());
	if (munmap(p, nbytes) == 0)
		core.mapped_nbytes -= nbytes;
}

/* ---- environment and messages ---- */

const char *
shim_getenv(const char *name)
{
	size_t len = strlen(name);

	if (environ == NULL || getauxval(AT_SECURE) != 0)
		return NULL;
	for (char **e = environ; *e != NULL; e++)
		if (strncmp(*e, name, len) == 0 && (*e)[len] == '=')
			return *e + len + 1;
	return NULL;
}

size_t
shim_align(void)
{
	static size_t align;

	if (align == 0) {
		const char *wish = shim_getenv("CLASSIC_ALIGN");

		align = wish != NULL && strcmp(wish, "8") == 0 ? 8 : 16;
	}
	return align;
}

/* The digits of v before end; returns where they start. */
static char *
digits(char *end, size_t v, unsigned base)
{
	do {
		*--end = "0123456789abcdef"[v % base];
		v /= base;
	} while (v != 0);
	return end;
}

void
say(const char *format, ...)
{
	char line[256], number[32];
	size_t at = 0;
	va_list ap;

	number[sizeof number - 1] = '\0';
	va_start(ap, format);
	for (const char *f = format; *f != '\0'; f++) {
		char one[2] = { *f, '\0' };
		const char *piece = one;

		if (f[0] == '%' && f[1] == 's') {
			piece = va_arg(ap, const char *);
			f++;
		} else if (f[0] == '%' && f[1] == 'p') {
			uintptr_t v = (uintptr_t)va_arg(ap, void *);
			char *n = digits(number + sizeof number - 1, v, 16);

			*--n = 'x';
			*--n = '0';
			piece = n;
			f++;
		} else if (f[0] == '%' && f[1] == 'z') {
			piece = digits(number + sizeof number - 1, va_arg(ap, size_t), 10);
			f += 2;
		}
		for (; *piece != '\0' && at < sizeof line; piece++)
			line[at++] = *piece;
	}
	va_end(ap);
	for (size_t done = 0; done < at;) {
		ssize_t n = write(STDERR_FILENO, line + done, at - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
}

/* ---- libc's names ---- */

static void *
no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

EXPORT void *
malloc(size_t nbytes)
{
	void *p;

	if (nbytes > PTRDIFF_MAX)
		return no_memory();
	lock();
	p = allocator.malloc(nbytes);
	unlock();
	return p != NULL ? p : no_memory();
}

EXPORT void
free(void *p)
{
	int saved = errno;

	if (p == NULL)
		return;
	lock();
	allocator.free(p);
	unlock();
	errno = saved;
}

/* Memory may have been used before, so all of it is cleared, and touched: as it was then. */
EXPORT void *
calloc(size_t count, size_t nbytes)
{
	size_t total;
	void *p;

	if (__builtin_mul_overflow(count, nbytes, &total))
		return no_memory();
	p = malloc(total);
	if (p != NULL)
		memset(p, 0, total);
	return p;
}

EXPORT void *
realloc(void *p, size_t nbytes)
{
	void *to;

	if (p == NULL)
		return malloc(nbytes);
	if (nbytes == 0) {
		free(p);
		return NULL;
	}
	if (nbytes > PTRDIFF_MAX)
		return no_memory();
	lock();
	to = allocator.realloc(p, nbytes);
	unlock();
	return to != NULL ? to : no_memory();
}

EXPORT void *
reallocarray(void *p, size_t count, size_t nbytes)
{
	size_t total;

	if (__builtin_mul_overflow(count, nbytes, &total))
		return no_memory();
	return realloc(p, total);
}

static bool
power_of_two(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* NULL leaves errno to the caller. */
static void *
aligned(size_t alignment, size_t nbytes)
{
	void *p;

	if (nbytes > PTRDIFF_MAX || alignment > PTRDIFF_MAX - nbytes)
		return NULL;
	lock();
	p = allocator.memalign(alignment, nbytes);
	unlock();
	return p;
}

EXPORT void *
memalign(size_t alignment, size_t nbytes)
{
	void *p;

	if (!power_of_two(alignment)) {
		errno = EINVAL;
		return NULL;
	}
	p = aligned(alignment, nbytes);
	return p != NULL ? p : no_memory();
}

EXPORT void *
aligned_alloc(size_t alignment, size_t nbytes)
{
	return memalign(alignment, nbytes);
}

EXPORT int
posix_memalign(void **to, size_t alignment, size_t nbytes)
{
	int saved = errno;
	void *p;

	if (!power_of_two(alignment) || alignment % sizeof(void *) != 0)
		return EINVAL;
	p = aligned(alignment, nbytes);
	errno = saved;
	if (p == NULL)
		return ENOMEM;
	*to = p;
	return 0;
}

EXPORT void *
valloc(size_t nbytes)
{
	return memalign(shim_pagesize(), nbytes);
}

EXPORT void *
pvalloc(size_t nbytes)
{
	size_t page = shim_pagesize();

	if (nbytes > PTRDIFF_MAX)
		return no_memory();
	return memalign(page, nbytes == 0 ? page : round_up(nbytes, page));
}

EXPORT size_t
malloc_usable_size(void *p)
{
	size_t n;

	if (p == NULL)
		return 0;
	lock();
	n = allocator.usable(p);
	unlock();
	return n;
}

/* ---- for tests and measurements ---- */

EXPORT const char *
classic_name(void)
{
	return allocator.name;
}

EXPORT size_t
classic_check(void)
{
	size_t broken;

	lock();
	broken = allocator.check();
	unlock();
	return broken;
}

EXPORT size_t
classic_heap_nbytes(void)
{
	size_t n;

	lock();
	n = (size_t)(core.now - core.base) + core.mapped_nbytes;
	unlock();
	return n;
}
