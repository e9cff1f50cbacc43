/*
 * api.c: what a program of today may expect of malloc and its family, of each of the historical
 * allocators. Linked with one of them; prints TAP.
 */
#include "../shim.h"
#include "tap.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* So that the compiler does not reason about what sizes and pointers mean. */
static size_t
opaque(size_t n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

static void *
same(void *p)
{
	__asm__ volatile("" : "+r"(p));
	return p;
}

static bool
all_bytes(const unsigned char *p, size_t n, unsigned char value)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != value)
			return false;
	return true;
}

static bool
refused(void *p)
{
	return p == NULL && errno == ENOMEM;
}

static void
test_sizes(void)
{
	bool aligned = true, usable = true, kept = true;
	void *a, *b;

	for (size_t n = 0; n < 70000; n += n < 5000 ? 1 : 997) {
		unsigned char *p = malloc(n);

		aligned &= p != NULL && (uintptr_t)p % 16 == 0;
		usable &= malloc_usable_size(p) >= n;
		memset(p, 0x5a, malloc_usable_size(p));
		kept &= all_bytes(p, malloc_usable_size(p), 0x5a);
		free(p);
	}
	ok(aligned, "every size from 0 to 70000 is aligned to 16");
	ok(usable && kept, "and as usable as malloc_usable_size says");
	a = malloc(0);
	b = malloc(0);
	ok(a != NULL && b != NULL && a != b, "malloc(0) gives a place of its own each time");
	free(a);
	free(b);
	ok(malloc_usable_size(NULL) == 0, "of NULL, nothing is usable");
}

static void
test_too_large(void)
{
	const size_t large[] = { SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4095, SIZE_MAX / 2 + 1,
	    SIZE_MAX / 2, SIZE_MAX / 2 - 4096 };
	char *p = malloc(100);
	bool fails = true;

	memset(p, 'x', 100);
	for (size_t i = 0; i < COUNT(large); i++) {
		errno = 0;
		fails &= refused(malloc(opaque(large[i])));
		errno = 0;
		fails &= refused(realloc(p, opaque(large[i])));
		errno = 0;
		fails &= refused(memalign(64, opaque(large[i])));
		errno = 0;
		fails &= refused(pvalloc(opaque(large[i])));
	}
	ok(fails, "sizes that no memory has: NULL and ENOMEM, and no wrapping round");
	errno = 0;
	ok(refused(calloc(opaque(SIZE_MAX / 2), 3)), "calloc: a product that overflows");
	errno = 0;
	ok(refused(reallocarray(same(p), opaque(SIZE_MAX / 2), 3)), "reallocarray: the same");
	ok(all_bytes((unsigned char *)p, 100, 'x'), "what realloc refused to grow is as it was");
	free(p);
}

static void
test_calloc(void)
{
	bool zero = true;

	for (size_t n = 1; n < 20000; n = n * 3 / 2 + 1) {
		unsigned char *p = malloc(n);

		memset(p, 0xff, n);
		free(p);
		p = calloc(n, 1);
		zero &= all_bytes(p, n, 0);
		free(p);
	}
	ok(zero, "calloc clears memory that was used");
}

static void
test_realloc(void)
{
	static const size_t steps[] = { 1, 16, 17, 100, 128, 64, 2000, 2048, 2049, 4096, 5000,
	    100000, 99999, 40000, 300, 3, 1000000, 1 };
	unsigned char *p = realloc(NULL, 1);
	size_t had = 1;
	bool kept = true;

	*p = 0x31;
	for (size_t i = 0; i < COUNT(steps); i++) {
		p = realloc(p, opaque(steps[i]));
		kept &= all_bytes(p, had < steps[i] ? had : steps[i], 0x31);
		memset(p, 0x31, steps[i]);
		had = steps[i];
	}
	ok(kept, "realloc keeps the contents, growing and shrinking");
	ok(realloc(p, opaque(0)) == NULL, "realloc to 0 frees");
}

static void
test_aligned(void)
{
	bool aligned = true, kept = true, refuses = true;
	void *p[200];
	size_t n = 0;

	for (size_t a = 1; a <= (size_t)1 << 20; a *= 2) {
		for (size_t size = 0; size < 100000; size = size * 7 + 1) {
			p[n] = memalign(a, size);
			aligned &= p[n] != NULL && (uintptr_t)p[n] % a == 0;
			memset(p[n], (int)n, size);
			kept &= malloc_usable_size(p[n]) >= size;
			n++;
		}
	}
	ok(aligned, "memalign gives every alignment up to 1 MB, %zu in use at once", n);
	ok(classic_check() == 0, "and the heap is whole with them");
	n = 0;
	for (size_t a = 1; a <= (size_t)1 << 20; a *= 2) {
		for (size_t size = 0; size < 100000; size = size * 7 + 1) {
			p[n] = realloc(p[n], size + 1);
			kept &= all_bytes(p[n], size, (unsigned char)n);
			free(p[n++]);
		}
	}
	ok(kept, "it can be resized and freed");
	ok((uintptr_t)(p[0] = valloc(10)) % 4096 == 0, "valloc is aligned to a page");
	free(p[0]);
	p[0] = pvalloc(4097);
	ok((uintptr_t)p[0] % 4096 == 0 && malloc_usable_size(p[0]) >= 8192,
	    "pvalloc also rounds up to one");
	free(p[0]);
	for (size_t a = 3; a < 100; a += 4) {
		errno = 0;
		refuses &= memalign(opaque(a), 10) == NULL && errno == EINVAL;
		errno = 0;
		refuses &= aligned_alloc(opaque(a), 10) == NULL && errno == EINVAL;
	}
	ok(refuses, "memalign and aligned_alloc: EINVAL when the alignment is no power of two");
}

static void
test_posix_memalign(void)
{
	void *p = &p;

	errno = 7;
	ok(posix_memalign(&p, opaque(4), 10) == EINVAL && posix_memalign(&p, 24, 10) == EINVAL &&
	    posix_memalign(&p, opaque(0), 10) == EINVAL, "posix_memalign: EINVAL for 0, 4, 24");
	ok(posix_memalign(&p, 64, opaque(SIZE_MAX)) == ENOMEM, "ENOMEM when there is none");
	ok(p == &p && errno == 7, "and neither the result nor errno is touched");
	ok(posix_memalign(&p, 256, 10) == 0 && (uintptr_t)p % 256 == 0, "else it is aligned");
	free(p);
	p = malloc(5000000);
	errno = 7;
	free(p);
	free(NULL);
	ok(errno == 7, "free keeps errno");
}

/* ---- threads, fork, want of memory ---- */

#define NSLOTS 512
static void *_Atomic slots[NSLOTS];
static bool _Atomic stop;

/* Each thread takes what any thread put, frees it, and puts something new. */
static void *
exchange(void *seed)
{
	unsigned s = (unsigned)(uintptr_t)seed;

	for (int i = 0; i < 200000 && !stop; i++) {
		void *p, *old;

		s = s * 1664525u + 1013904223u;
		p = malloc(s >> 20);
		if (p != NULL)
			memset(p, 1, s >> 20);
		old = __atomic_exchange_n((void **)&slots[s >> 8 & (NSLOTS - 1)], p,
		    __ATOMIC_ACQ_REL);
		free(old);
	}
	return NULL;
}

static void
test_threads_and_fork(void)
{
	pthread_t t[3];
	int good = 0;

	for (uintptr_t i = 0; i < COUNT(t); i++)
		pthread_create(&t[i], NULL, exchange, (void *)(i + 1));
	for (int i = 0; i < 50; i++) {
		int status = -1;
		pid_t pid = fork();

		if (pid == 0) {
			void *p = malloc(3000);

			free(p);
			_exit(p != NULL && classic_check() == 0 ? 0 : 1);
		}
		waitpid(pid, &status, 0);
		good += status == 0;
	}
	stop = true;
	for (size_t i = 0; i < COUNT(t); i++)
		pthread_join(t[i], NULL);
	ok(good == 50, "children forked while threads allocate can allocate, in a whole heap");
	for (size_t i = 0; i < NSLOTS; i++)
		free(slots[i]);
	ok(classic_check() == 0, "the heap is whole after the threads");
}

/* In a child: uses up what it may have, in pieces of n, and frees it: 0 when all is well. */
static int
exhaust(size_t n)
{
	rlim_t limit = classic_heap_nbytes() + ((rlim_t)24 << 20);
	struct rlimit rl = { limit, limit };
	void **list = NULL, **p;
	size_t count = 0, again = 0;

	if (setrlimit(RLIMIT_DATA, &rl) != 0)
		return 9;
	for (; errno = 0, (p = malloc(n)) != NULL; count++, list = p)
		*p = list;
	if (errno != ENOMEM || count * n < (size_t)4 << 20)
		return 1;
	if (classic_check() != 0)
		return 2;
	while ((p = list) != NULL) {
		list = *p;
		free(p);
	}
	if (classic_check() != 0)
		return 3;
	for (; again < count && (p = malloc(n)) != NULL; again++)
		;
	return again < count ? 4 : classic_check() != 0 ? 5 : 0;
}

static void
test_exhaustion(void)
{
	static const size_t sizes[] = { 16, 50, 128, 1000, 2048, 5000, 100000 };

	for (size_t i = 0; i < COUNT(sizes); i++) {
		int status = -1;
		pid_t pid = fork();

		if (pid == 0)
			_exit(exhaust(sizes[i]));
		waitpid(pid, &status, 0);
		ok(status == 0, "out of memory in pieces of %zu: ENOMEM, and all of it again "
		    "after free (status %#x)", sizes[i], (unsigned)status);
	}
}

int
main(void)
{
	printf("# %s\n", classic_name());
	test_sizes();
	test_too_large();
	test_calloc();
	test_realloc();
	test_aligned();
	test_posix_memalign();
	ok(classic_check() == 0, "the heap is whole");
	test_exhaustion();
	test_threads_and_fork();
	return tap_done();
}
