/*
 * stack.h: where a call came from, recorded under a number.
 *
 * Equal stacks share a number, so a record costs four bytes beside each chunk. Thread-safe;
 * allocates nothing from the heap. A stack that is known takes no lock. Only used by options that
 * ask for it, and by profiles.
 */
#ifndef PHK_STACK_H
#define PHK_STACK_H

#include "base/base.h"
#include "base/fmt.h"

/* Frames of a stack that is recorded for messages, and of any. */
#define STACK_DEPTH 16U
#define STACK_DEPTH_MAX 128U

/* What tools read from outside: words of 8 bytes, committed as they are needed. */
struct stack_table {
	uint64_t *words;   /* at a stack's number: its depth, and then that many addresses */
	uint32_t nwords;   /* used; a new stack is complete before it is counted */
	uint32_t nstacks;
	uint64_t nlost;    /* stacks that there was no room for */
};
extern struct stack_table stack_table;

/* Before the first record; again is harmless. False when there is no memory. */
bool stack_init(void);
/* The number of the caller's stack, at most so deep, or 0 when it could not be recorded. */
uint32_t stack_record(unsigned depth);
/* Adds a title and a line for each frame: module and offset, for addr2line. */
void stack_print(struct fmt *f, const char *title, uint32_t stack);
/* The frames of a stack; *n is how many there are. */
const uint64_t *stack_frames(uint32_t stack, unsigned *n);

#endif
