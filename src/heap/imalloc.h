/*
 * imalloc.h: the steps that the files of heap/ share: malloc_bytes, pages, and what an address
 * lies in. Thread-safe.
 */
#ifndef PHK_IMALLOC_H
#define PHK_IMALLOC_H

#include "chunk/chunk.h"

/* A chunk of the class, the lowest or any; NULL when there is no memory. */
void *malloc_bytes(unsigned class_no);
void *malloc_bytes_random(unsigned class_no);
/* Pages, after everything was given back that only waits to be used again if need be. */
void *pages_or_trim(size_t n, size_t alignment, bool *zero);
/* What p, an address in the page of an allocation, belongs to. */
void heap_place(struct pginfo *pg, const void *p, struct place *place);

#endif
