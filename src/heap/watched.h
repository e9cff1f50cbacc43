/*
 * watched.h: allocations that may be samples: guarded (sample.h) or in the profile (profile.h).
 * Thread-safe.
 */
#ifndef PHK_WATCHED_H
#define PHK_WATCHED_H

#include "watch/profile.h"
#include "watch/watch.h"

/* A chunk for n bytes that is a sample, made while samples are taken; NULL to go on as ever. */
void *watched_alloc(size_t n, size_t alignment, unsigned class_no);
/* The same, but only before a guard: with options whose notes the profile's would be taken for. */
void *watched_guard(size_t n, size_t alignment, unsigned class_no);
/* p is a new large allocation of n bytes, made while samples are taken. */
void watched_large(const void *p, size_t n);
/* As large_free and large_resize, and the profile knows of it. */
enum ptr_fault watched_free_large(struct pginfo *pg, const void *p);
void *watched_resize_large(struct pginfo *pg, void *p, size_t n);

#endif
