/*
 * inspect.h: figures of the heap, by a walk that only reads.
 *
 * Thread-safe; other threads go on meanwhile, so sums are exact only where nobody else allocates.
 */
#ifndef PHK_INSPECT_H
#define PHK_INSPECT_H

#include "chunk/size_class.h"

struct heap_figures {
	size_t class_pages[CLASS_COUNT];
	size_t class_live[CLASS_COUNT];   /* chunks in use */
	uint64_t class_nfreed[CLASS_COUNT];
	size_t large_count;
	size_t large_nbytes;              /* of whole pages */
	size_t free_runs;
	size_t free_nbytes;
	size_t dirty_nbytes;              /* of those, perhaps backed by memory */
	size_t committed_nbytes;
	size_t metadata_nbytes;
	size_t live_nbytes;               /* chunks in use and large */
	size_t chunk_pages_nbytes;
	uint64_t nmalloc;
	uint64_t nfree;
	unsigned arenas;
	unsigned owners;
};

void inspect(struct heap_figures *f);
/* The figures as text on standard error. */
void inspect_dump(void);

#endif
