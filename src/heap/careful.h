/*
 * careful.h: allocation where options look at each request: junk, zero, canaries, delayed free,
 * random choice, stacks.
 *
 * With any of these options no fast path finds a chunk or an owner, so every request comes here.
 * Beside the two bitmaps each page of chunks then has a note for each chunk. Thread-safe.
 */
#ifndef PHK_CAREFUL_H
#define PHK_CAREFUL_H

#include "chunk/chunk.h"

/* A chunk of the class or whole pages for n bytes at this alignment, filled as the options say. */
void *careful_alloc(size_t n, size_t alignment, bool zero);
/* The same on pages of its own. */
void *careful_alloc_pages(size_t n, size_t alignment, bool zero);
/* p is verified as the start of an allocation in use, of which pg is the entry. */
enum ptr_fault careful_free(struct pginfo *pg, void *p, const char *func);
/* The same chunk for n bytes, or NULL when the allocation has to move. */
void *careful_resize(struct pginfo *pg, void *p, size_t n, const char *func);
/* The bytes asked for. */
size_t careful_size(const struct pginfo *pg, const void *p);
/* Whether the chunk was freed and is held back. */
bool careful_is_delayed(const struct pginfo *pg, const void *p);
/* Adds what the notes know of a chunk. */
void careful_place(const struct pginfo *pg, const void *p, struct place *place);
/* Frees everything that is held back; true when there was any. */
bool careful_flush(void);
/* Checks canaries of all chunks in use and junk of all that are held back. */
size_t careful_check(void (*complain)(const char *what, const void *where));

#endif
