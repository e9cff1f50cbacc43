/*
 * parcel.h: allocations that know what they must contain, so that any thread can tell whether
 * the one it was handed is whole. And what tests with many threads share.
 */
#ifndef TEST_PARCEL_H
#define TEST_PARCEL_H

#include "phkmalloc.h"
#include "tap.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MB ((size_t)1 << 20)

struct parcel {
	uint64_t key;
	size_t n; /* bytes in all */
	unsigned char bytes[];
};

/* Parcels that were not what they must be, and requests that were refused. */
UNUSED static atomic_size_t parcels_broken, parcels_refused;

/* Of all sizes up to 2^bits, small ones more often. */
UNUSED static size_t
parcel_size(uint64_t *seed, unsigned bits)
{
	uint64_t r = random_next(seed);
	size_t n = (size_t)1 << (4 + r % (bits - 3));

	return n - n / 2 + (r >> 20) % (n / 2 + 1) + sizeof(struct parcel);
}

/* Where the bytes of a parcel are looked at: all of the first 256, then fewer, and the last. */
static inline size_t
parcel_next(size_t i, size_t n)
{
	if (i < 256)
		return i + 1;
	return i + 499 < n || i == n - 1 ? i + 499 : n - 1;
}

static inline unsigned char
parcel_byte(const struct parcel *p, size_t i)
{
	return (unsigned char)(p->key + i * 131 + (i >> 8));
}

/* Writes what a parcel of n bytes at p contains. */
UNUSED static struct parcel *
parcel_pack(void *at, size_t n, uint64_t *seed)
{
	struct parcel *p = at;

	if (p == NULL) {
		parcels_refused++;
		return NULL;
	}
	p->key = random_next(seed);
	p->n = n;
	for (size_t i = 0; i < n - sizeof(*p); i = parcel_next(i, n - sizeof(*p)))
		p->bytes[i] = parcel_byte(p, i);
	return p;
}

UNUSED static struct parcel *
parcel_new(size_t n, uint64_t *seed)
{
	return parcel_pack(random_next(seed) % 8 == 0 ? calloc(1, n) : malloc(n), n, seed);
}

UNUSED static bool
parcel_whole(const struct parcel *p)
{
	for (size_t i = 0; i < p->n - sizeof(*p); i = parcel_next(i, p->n - sizeof(*p)))
		if (p->bytes[i] != parcel_byte(p, i)) {
			parcels_broken++;
			return false;
		}
	return true;
}

/* Looks whether all is there, and frees. */
UNUSED static void
parcel_end(struct parcel *p)
{
	if (p == NULL)
		return;
	parcel_whole(p);
	free(p);
}

/* The same parcel at another size, packed again. */
UNUSED static struct parcel *
parcel_resize(struct parcel *p, size_t n, uint64_t *seed)
{
	size_t old = p->n;
	struct parcel *q;

	if (!parcel_whole(p))
		return p;
	q = realloc(p, n);
	if (q == NULL) {
		parcels_refused++;
		return p;
	}
	/* As far as it was looked at before; the last byte may be gone. */
	for (size_t i = 0; i < old - sizeof(*q) && i < n - sizeof(*q) && i < 256; i++)
		if (q->bytes[i] != parcel_byte(q, i))
			parcels_broken++;
	return parcel_pack(q, n, seed);
}

UNUSED static void
parcels_ok(const char *what)
{
	size_t nbroken = atomic_exchange(&parcels_broken, 0);
	size_t nrefused = atomic_exchange(&parcels_refused, 0);

	ok(nbroken == 0 && nrefused == 0, "%s: each allocation arrives as it was sent", what);
	if (nbroken != 0 || nrefused != 0)
		printf("# %zu broken, %zu refused\n", nbroken, nrefused);
}

/* Memory of the process in KiB: all of it that is its own. Allocates nothing. */
UNUSED static size_t
rss_kib(void)
{
	char text[128] = "";
	unsigned long pages = 0, shared = 0;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ||
	    sscanf(text, "%*u %lu %lu", &pages, &shared) != 2)
		abort();
	close(fd);
	return (pages - shared) * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

UNUSED static pthread_t
thread_start(void *(*act)(void *), void *arg)
{
	pthread_t t;
	int error = pthread_create(&t, NULL, act, arg);

	if (error != 0) {
		printf("# pthread_create: %s\n", strerror(error));
		abort();
	}
	return t;
}

#endif
