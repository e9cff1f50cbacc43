/*
 * imalloc.h: the steps that the files of heap/ share: malloc_bytes, pages, what an address lies in
 * and the report of what is wrong with it. Thread-safe.
 */
#ifndef PHK_IMALLOC_H
#define PHK_IMALLOC_H

#include "chunk/chunk.h"

/* Not 0 when malloc_init was called. */
extern int heap_started HIDDEN;
/* A chunk of the class for n bytes, the lowest or any; NULL when there is no memory. */
void *malloc_bytes(unsigned class_no, size_t n);
void *malloc_bytes_random(unsigned class_no, size_t n, uint64_t random);
/* Gives up all that is held in vain, so that there is memory again; true when there was any. */
bool heap_make_room(void);
/* Pages, after everything was given back that only waits to be used again if need be. */
void *pages_or_trim(size_t n, size_t alignment, bool *zero);
/* Checks that p is the start of an allocation in the arenas: its entry, or a report and NULL. */
struct pginfo *heap_verify(const void *p, const char *func);
/*
 * Reports a fault, or with PTR_OK the one that the address itself shows; freed_size is the size
 * given to a sized deallocation.
 */
void heap_report(const char *func, enum ptr_fault fault, const void *p, size_t freed_size);
/* Whether p is another allocator's for all we know: no address that we have reserved. */
bool heap_is_foreign(const void *p);
/* Reports an access that trapped, if the address is the heap's. Always false: it is not mended. */
bool heap_trapped(void *address);
/* What p, an address in the page of an allocation, belongs to. */
void heap_place(struct pginfo *pg, const void *p, struct place *place);

#endif
