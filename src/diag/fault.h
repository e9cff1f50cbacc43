/*
 * fault.h: every way a pointer can be wrong, and the exact words for it.
 *
 * Lower layers return an enum ptr_fault; heap/ reports it, once. The one exception is a chunk
 * found freed by two threads at once when its owner collects remote frees. Messages are written
 * without allocating, to standard error, in one call.
 */
#ifndef PHK_FAULT_H
#define PHK_FAULT_H

#include "base/base.h"

enum ptr_fault {
	PTR_OK,
	PTR_TOO_LOW,
	PTR_TOO_HIGH,
	PTR_WRONG_PAGE,
	PTR_MODIFIED_PAGE,
	PTR_MODIFIED_CHUNK,
	PTR_FREE_CHUNK,
	PTR_FREE_PAGE,
	PTR_WRONG_SIZE,
	PTR_WRONG_ALIGNMENT,
	PTR_MISMATCHED,
	PTR_NEVER_CALLED,
	PTR_CANARY,
	PTR_WRITTEN_FREE,
	PTR_USED_FREE,
	PTR_OVERFLOW,
	PTR_UNDERFLOW,
	PTR_FAULT_COUNT,
};

/* What a wrong pointer points into, as far as it is known. */
enum place_kind {
	PLACE_UNKNOWN,
	PLACE_CHUNK,
	PLACE_LARGE,
	PLACE_FREE_RUN,
	PLACE_SAMPLED,
};
struct place {
	enum place_kind kind;
	size_t nbytes;      /* of the chunk or sampled allocation */
	size_t npages;      /* of the allocation or free run */
	uintptr_t start;
	uintptr_t end;
	uintptr_t page;     /* of chunks, where the chunk is */
	int thread;         /* of the owner, 0 when not known */
	size_t freed_size;  /* PTR_WRONG_SIZE: the size it was freed with */
	const char *by;     /* PTR_MISMATCHED: the function that allocated it */
	uintptr_t written;  /* PTR_CANARY, PTR_WRITTEN_FREE: the first byte written */
	uint32_t allocated; /* stacks, 0 when not known */
	uint32_t freed;
};

/* The words for a fault, without program, function and pointer. */
const char *fault_text(enum ptr_fault fault);

/*
 * Reports a wrong pointer and aborts, or returns when the options say to go on. func is the
 * public function that got it.
 */
COLD void fault_report(const char *func, enum ptr_fault fault, const void *p,
    const struct place *place);

/* The same as a warning, whatever the options say. */
COLD void fault_warn(const char *func, enum ptr_fault fault, const void *p,
    const struct place *place);
/* A line of another kind, as a warning. */
COLD void fault_note(const char *func, const char *text, const void *p);
/* And another; detail, what it is about, may be NULL. */
COLD void fault_say(const char *func, const char *text, const char *detail);

/*
 * In the constructor: from now on messages go to malloc_message, if that is a function. Libraries
 * of others have variables of this name.
 */
void fault_init(void);

/* Reports an error of another kind in the same manner and aborts. */
NORETURN COLD void fault_fatal(const char *func, const char *text);

#endif
