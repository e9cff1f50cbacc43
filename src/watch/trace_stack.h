/*
 * trace_stack.h: what a trace has to tell of stacks before their numbers mean anything: their
 * addresses, and what is loaded there. Once in each process, by whichever thread comes first.
 *
 * Thread-safe, without a lock. Allocates nothing.
 */
#ifndef PHK_TRACE_STACK_H
#define PHK_TRACE_STACK_H

#include "base/base.h"

/* Bytes of what the functions below put, at most. */
#define TRACE_STACK_NBYTES_MAX 384U

/* At start, when stacks are to be recorded. Without memory each stack is told each time. */
void trace_stack_init(void);
/* The number of the caller's stack, or 0; not in the middle of a record. */
uint32_t trace_stack(void);
/* Whether the stack was told of before; it is from now on. */
bool trace_stack_told(uint32_t stack);
/* The contents of TRACE_STACK; returns its bytes. */
size_t trace_stack_put(uint32_t stack, char *at);
/* The contents of TRACE_MAP for frame i of the stack; 0 when that was told, or is nothing. */
size_t trace_stack_put_map(uint32_t stack, unsigned i, char *at);

#endif
