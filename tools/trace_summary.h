/*
 * trace_summary.h: a process's operations in figures: how many of what, sizes, lifetimes, and what
 * was allocated over time.
 */
#ifndef TOOLS_TRACE_SUMMARY_H
#define TOOLS_TRACE_SUMMARY_H

#include "trace_stacks.h"

#define OP_COUNT 8
/* Sizes by powers of two: bucket i is of sizes from 2^(i-1)+1 to 2^i; 0 is of sizes 0 and 1. */
#define SIZE_BUCKETS 49
/* Lifetimes by powers of ten: bucket 0 is below a microsecond, the last of what was not freed. */
#define LIFE_BUCKETS 12
#define LIFE_FOREVER (LIFE_BUCKETS - 1)
#define CURVE_MAX 1024

/* A part of the time; all parts are equally long. */
struct curve_part {
	uint64_t live, live_count; /* at most, of bytes and of objects */
	uint64_t allocated;        /* bytes */
	uint64_t operations;
};

struct size_bucket {
	uint64_t count, nbytes;    /* of allocations */
	uint64_t live, live_count; /* at the end */
	uint64_t lives[LIFE_BUCKETS];
};

struct stack_sum {
	uint32_t stack;
	uint64_t count, nbytes;
	uint64_t live, live_count; /* at the end */
};

struct summary {
	uint64_t ops[OP_COUNT];     /* by enum trace_op */
	uint64_t deletes;           /* of the frees */
	uint64_t moved;             /* of the resizings */
	uint64_t failed;
	uint64_t nbytes;            /* asked for, in all */
	uint64_t live, live_count;  /* at the end */
	uint64_t peak, peak_count;
	uint64_t peak_time;         /* ticks, of peak */
	uint64_t remote;            /* freed by another thread than allocated it */
	uint64_t freed;             /* objects */
	uint64_t end;               /* ticks, of the last record */
	struct size_bucket sizes[SIZE_BUCKETS];
	uint64_t lives[LIFE_BUCKETS];
	uint64_t part_ticks;        /* length of a part of the curve */
	size_t part_count;
	struct curve_part parts[CURVE_MAX];
	struct stack_sum *stacks;   /* sorted by bytes */
	size_t stack_count;
	struct stacks frames;
};

/* Reads the rest of a process; exits for lack of memory. `path` is for the message. */
void summary_make(struct summary *s, const char *path, struct trace_order *o);
void summary_free(struct summary *s);

unsigned size_bucket(uint64_t size);
unsigned life_bucket(uint64_t ticks);
/* "17-32 B", and "1-10 ms"; in a buffer that is used again. */
const char *size_label(unsigned bucket);
const char *life_label(unsigned bucket);

static inline double
ticks_seconds(uint64_t ticks)
{
	return (double)ticks * TRACE_TICK_NS / 1e9;
}

#endif
