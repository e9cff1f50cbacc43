/*
 * careful.h: allocation where options look at each request: junk, zero, canaries, delayed free,
 * random choice, stacks.
 *
 * With options that note something of each chunk (opt.notes) no fast path finds a chunk or an
 * owner, so every request comes here; with those that only change what an allocation is like
 * (opt.careful) every allocation does, and frees are as ever. Thread-safe.
 */
#ifndef PHK_CAREFUL_H
#define PHK_CAREFUL_H

#include "chunk/chunk.h"
#include "heap/family.h"

/* Sets up what the options need; once, before the first page. */
void careful_init(void);

/* A chunk of the class or whole pages for n bytes at this alignment, filled as the options say. */
void *careful_alloc(size_t n, size_t alignment, bool zero);
/* The same on pages of its own. */
void *careful_alloc_pages(size_t n, size_t alignment, bool zero);

/* The rest is for opt.notes only. p is in a page of chunks or of a large allocation: pg. */
enum ptr_fault careful_free(struct pginfo *pg, void *p, const char *func);
/* Notes which function allocated p, the start of an allocation in use. */
void careful_mark(void *p, enum family family);
/* Reports it when func is not one to free or resize p with, which is verified. */
void careful_fit(struct pginfo *pg, const void *p, const char *func);
/* The same allocation for n bytes, or NULL when it has to move. p is verified. */
void *careful_resize(struct pginfo *pg, void *p, size_t n, const char *func);
/* The bytes asked for. p is verified. */
size_t careful_size(const struct pginfo *pg, const void *p);
/* Whether chunk p, which is not free for the bitmaps, was freed all the same. */
bool careful_is_freed(const struct pginfo *pg, const void *p);
/* Adds what is noted of a chunk or large allocation. */
void careful_place(const struct pginfo *pg, const void *p, struct place *place);
/* The same for large allocations only. */
enum ptr_fault careful_free_large(struct pginfo *pg, void *p, const char *func);
void *careful_resize_large(struct pginfo *pg, void *p, size_t n, const char *func);
/* Holds freed memory back; false when there is no room for it. */
bool careful_hold(void *p, size_t nbytes);
/* The first byte of its canary that was changed, from its start, or FILL_WHOLE. In use or not. */
size_t careful_large_written(const struct pginfo *pg);
/* Frees all that the calling thread holds back; true when there was any. */
bool careful_flush(void);

/* What careful_check found: how many, and the first of them. */
#define BROKEN_MAX 16U
struct broken {
	size_t n;
	struct {
		enum ptr_fault fault;
		struct place place;
	} first[BROKEN_MAX];
};

/* Counts one more; returns where its place goes. */
struct place *broken_add(struct broken *b, enum ptr_fault fault);
/*
 * Checks the canaries of all that is in use and the junk of all that is freed; what changes
 * meanwhile is left out. Adds to b.
 */
void careful_check(struct broken *b);

#endif
