/*
 * everywhere.h: whether a heap is whole and still serves, after a mistake that was let pass.
 */
#ifndef EVERYWHERE_H
#define EVERYWHERE_H

#include "misuse.h"

#include <sys/time.h>

void _ZdaPvmSt11align_val_t(void *p, size_t n, size_t alignment);

#define JUNK_TEXT "junk pointer, too low to make sense|junk pointer, too high to make sense"
#define FREE_TEXT "chunk is already free|page is already free"
#define MODIFIED "modified (chunk-) pointer|modified (page-) pointer"
#define WRONG_PAGE "pointer to wrong page"

/* The bookkeeping is right, and what is allocated overlaps nothing. */
static inline bool
is_whole(void)
{
	static const size_t sizes[] = {1, 16, 24, 100, 128, 1000, 1024, 5000, 32768, 40000, 70000};
	unsigned char *p[33];
	bool right = phkmalloc_check() == 0;

	for (size_t i = 0; i < 33; i++) {
		p[i] = malloc(sizes[i % 11]);
		memset(p[i], (int)i, sizes[i % 11]);
	}
	for (size_t i = 0; i < 33; i++)
		right &= p[i][0] == i && p[i][sizes[i % 11] - 1] == i &&
		    memcmp(p[i], p[i] + 1, sizes[i % 11] - 1) == 0;
	for (size_t i = 0; i < 33; i++)
		free(p[i]);
	return right && phkmalloc_check() == 0;
}

#endif
