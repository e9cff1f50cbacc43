/*
 * peer.c: glibc's malloc by another name, for the test of the benchmarks. With PEER_LIMIT=N in the
 * environment the process is ended by its Nth malloc.
 */
#include <stdlib.h>

extern void *__libc_malloc(size_t n);

void *
malloc(size_t n)
{
	static unsigned long count, limit;
	const char *text;

	if (count++ == 0) {
		text = getenv("PEER_LIMIT");
		limit = text != NULL ? strtoul(text, NULL, 10) : 0;
	}
	if (count == limit)
		abort();
	return __libc_malloc(n);
}
