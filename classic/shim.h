/*
 * shim.h: what the historical allocators of this folder stand on, and what they give.
 *
 * Each allocator is one file written as its authors would have had it: one thread, a break that
 * moves, no other library. shim.c brings it into a program of today: it gives the names that
 * libc gives, holds one lock around every call, takes care of fork, and emulates the break.
 *
 *	program ──> shim.c: malloc, free, ...  ──lock──> struct allocator (kingsley.c, ...)
 *	                                                     │
 *	            shim.c: shim_brk, shim_map, say    <─────┘
 *
 * All that an allocator offers is called with the lock held; all that is offered to it expects
 * that. Nothing here may call libc's malloc, nor anything in libc that does, such as stdio.
 */
#ifndef CLASSIC_SHIM_H
#define CLASSIC_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One allocator. A NULL result means that there is no memory; errno is the shim's affair.
 * Before the first call of malloc or memalign, the others may come with foreign pointers only.
 */
struct allocator {
	const char *name;
	void *(*malloc)(size_t nbytes);		/* 0 to PTRDIFF_MAX bytes */
	void (*free)(void *p);			/* p is not NULL */
	void *(*realloc)(void *p, size_t nbytes);	/* p is not NULL, nbytes not 0 */
	void *(*memalign)(size_t alignment, size_t nbytes);	/* power of two; sum fits */
	size_t (*usable)(void *p);		/* p is not NULL */
	size_t (*check)(void);			/* how many invariants are broken; tells each */
	void (*finish)(void);			/* at exit; NULL if there is nothing to do */
};
extern const struct allocator allocator;

/*
 * The break: the end of the heap, which starts at a page boundary and is one range. What lies
 * below it can be read and written and is zero when first seen, also when the break was lowered
 * and raised again. Nobody else moves it.
 */
char *shim_break(void);			/* NULL when nothing could be reserved */
char *shim_sbrk(size_t nbytes);		/* raises; the old break, or NULL */
bool shim_brk(char *to);		/* lowers */

/* Zeroed memory elsewhere, in whole pages; NULL when there is none. */
void *shim_map(size_t nbytes);
void shim_unmap(void *p, size_t nbytes);

size_t shim_pagesize(void);

/*
 * The alignment of every payload: 16, which x86-64 programs and compilers rely on, or 8 with
 * CLASSIC_ALIGN=8 in the environment: what a 64-bit build of the originals gives, to measure
 * the waste of the historical header. Real programs may crash with it.
 */
size_t shim_align(void);

/* The environment, but for programs that run with another user's rights. NULL if not there. */
const char *shim_getenv(const char *name);

/* Writes to standard error. Only %s %p %zu. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* abort(), from where a handler of SIGABRT may allocate. */
_Noreturn void shim_abort(void);

/* What every library exports besides malloc and its family, for tests and measurements. */
const char *classic_name(void);
size_t classic_check(void);		/* 0 for a heap that is whole */
size_t classic_heap_nbytes(void);	/* taken from the system: heap and bookkeeping */

#endif
