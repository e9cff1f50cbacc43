/*
 * heap.h: imalloc, ifree, irealloc: every request of the public functions, validated, sent to
 * chunks or pages, and reported where it is wrong.
 *
 * Thread-safe. Functions that fail return NULL and leave errno alone: the callers in api/ set it.
 * The last argument of those that take a pointer is the public function's name, for messages: a
 * wrong pointer ends the process, or with option a is said and has no effect (NULL, 0).
 */
#ifndef PHK_HEAP_H
#define PHK_HEAP_H

#include "base/base.h"

struct pginfo;

/* Sets the heap up; called by whoever comes first, and by the constructor. */
void malloc_init(void);

void *imalloc(size_t n);
/* alignment is a power of two. */
void *imalloc_aligned(size_t n, size_t alignment);
void *icalloc(size_t n);
/* For operator new and new[]; alignment is a power of two. */
void *inew(size_t n, size_t alignment, bool array);
/* Pages of its own, left out of core dumps, and cleared when they are freed. */
void *iconceal(size_t n, bool zero);
void ifree(void *p, const char *func);
/* The same for what is in the page of this entry, and not a chunk in use of the caller's own. */
void ifree_at(struct pginfo *pg, void *p, const char *func);
/* An alignment that no pointer has. */
#define ALIGNMENT_WRONG ((size_t)1 << 63)
/*
 * Frees p if it may be an allocation of n bytes at this alignment: if exact what such a request
 * gets, else also what irealloc leaves in place for one.
 */
void ifree_sized(void *p, size_t n, size_t alignment, bool exact, const char *func);
/* n is not 0; p is not NULL. When it fails the old block is as it was. */
void *irealloc(void *p, size_t n, const char *func);
/* Bytes usable at p; false when p is wrong, which is reported. */
bool iusable(const void *p, size_t *nbytes, const char *func);

/* Gives all memory back that can be; true when there was any. */
bool heap_trim(void);
/*
 * Walks the whole heap and checks every invariant; returns the number of those broken, each
 * said on standard error.
 */
size_t heap_check(void);
/* The checks that are made once more when the process ends. */
void heap_exit(void);
/* Whether p is the start of an allocation in use. */
bool heap_owns(const void *p);
/* The start of the chunk or large allocation in use around an address, or NULL. */
void *heap_base(const void *p, size_t *nbytes);

#endif
