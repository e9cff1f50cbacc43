/*
 * phkmalloc.h: what phkmalloc offers beside the standard's functions.
 *
 * Link with -lphkmalloc, or run any program with LD_PRELOAD=libphkmalloc.so. Every function may
 * be called from any thread. Sizes are in bytes. Memory is aligned to 16 bytes at least, and
 * requests that are a power of two up to 64 KiB to their size.
 */
#ifndef PHKMALLOC_H
#define PHKMALLOC_H

#include <stddef.h>

#define PHKMALLOC_VERSION "1.0.0"

/* Asks about an address and reads nothing there: gcc need not warn of memory that is not set. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11 && !defined(PHKMALLOC_INSIDE)
#define PHKMALLOC_ADDRESS __attribute__((access(none, 1)))
#else
#define PHKMALLOC_ADDRESS
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* C23; a size that is not the allocation's is reported and ends the process. */
void free_sized(void *ptr, size_t size);
void free_aligned_sized(void *ptr, size_t alignment, size_t size);

/* FreeBSD: realloc that frees ptr when it fails. NULL and ENOMEM then. */
void *reallocf(void *ptr, size_t size);
/*
 * OpenBSD: an array grows or shrinks with what is new zeroed and what is given up cleared.
 * NULL with ENOMEM, or EINVAL when old_count * size is more than ptr holds; ptr is kept then.
 */
void *recallocarray(void *ptr, size_t old_count, size_t count, size_t size);
/* OpenBSD: clears size bytes and frees. More than the allocation holds ends the process. */
void freezero(void *ptr, size_t size);

/*
 * OpenBSD: memory for secrets: left out of core dumps, cleared when it is freed, on pages of its
 * own. realloc keeps it so. NULL and ENOMEM when there is no memory.
 */
void *malloc_conceal(size_t size);
void *calloc_conceal(size_t count, size_t size);

/*
 * A program may define these. malloc_options holds letters as in the environment variable
 * MALLOC_OPTIONS, which wins over it. malloc_message is called with each message, a line or
 * more, instead of it being written to standard error; it must not allocate.
 */
extern const char *malloc_options;
void malloc_message(const char *text, size_t size);

/*
 * Walks the whole heap and checks every invariant of its bookkeeping. Returns the number of
 * broken ones, 0 for a heap that is whole, and describes each on standard error. What other
 * threads change meanwhile is left out.
 */
size_t phkmalloc_check(void);
/* 1 when ptr is the start of an allocation in use, else 0; any address may be asked about. */
int phkmalloc_owns(const void *ptr) PHKMALLOC_ADDRESS;
/* The start of the allocation in use that contains an address, or NULL. */
void *phkmalloc_base(const void *ptr) PHKMALLOC_ADDRESS;
/* The bytes reserved for the allocation that contains an address, or 0. */
size_t phkmalloc_size(const void *ptr) PHKMALLOC_ADDRESS;

#undef PHKMALLOC_ADDRESS

#ifdef __cplusplus
}
#endif

#endif
