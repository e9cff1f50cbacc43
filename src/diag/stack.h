/*
 * stack.h: where a call came from, recorded under a number.
 *
 * Equal stacks share a number, so a record costs four bytes beside each chunk. Thread-safe;
 * allocates nothing from the heap. Only used by options that ask for it.
 */
#ifndef PHK_STACK_H
#define PHK_STACK_H

#include "base/base.h"
#include "base/fmt.h"

#define STACK_DEPTH 16

/* Before the first record, where allocating is harmless: loads what unwinding needs. */
void stack_init(void);
/* The number of the caller's stack, or 0 when it could not be recorded. */
uint32_t stack_record(void);
/* Adds a title and a line for each frame: module and offset, for addr2line. */
void stack_print(struct fmt *f, const char *title, uint32_t stack);
/* The frames of a stack; returns how many there are. */
unsigned stack_frames(uint32_t stack, void **frames);

#endif
