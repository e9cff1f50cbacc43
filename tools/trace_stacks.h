/*
 * trace_stacks.h: the stacks of a trace, and what was loaded where they lead.
 */
#ifndef TOOLS_TRACE_STACKS_H
#define TOOLS_TRACE_STACKS_H

#include "trace_order.h"

struct stacks {
	struct stack_frames *stacks; /* as they were told; sorted when they are first asked for */
	size_t count, room;
	bool sorted;
	struct stack_object *objects;
	size_t object_count, object_room;
	struct symbols *symbols;     /* opened when they are first asked for */
};

/* Takes what a record tells of stacks; others are passed over. Exits for lack of memory. */
void stacks_add(struct stacks *s, const struct trace_record *r);
void stacks_free(struct stacks *s);
/* The return addresses of a stack, innermost first; *n is how many. */
const uint64_t *stacks_frames(struct stacks *s, uint32_t stack, size_t *n);
/*
 * What a return address is in, with where that was inlined behind it: "function (file:line)", or
 * "object+0x123" when there is no better; in a buffer that is used again.
 */
const char *stacks_name(struct stacks *s, uint64_t address);

#endif
