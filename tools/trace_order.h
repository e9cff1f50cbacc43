/*
 * trace_order.h: the operations of one process of a trace, in an order in which they can have
 * happened, with the objects they are about.
 *
 * Streams are merged by time. Two records of different streams that are closer than the clock can
 * tell apart are put in the order that addresses ask for: an address is freed after it was
 * allocated, and allocated again after it was freed. So an object is never freed or resized before
 * it is allocated; a free of what is not allocated has no object. Ends no process, prints nothing.
 *
 * Ticks are of TRACE_TICK_NS here, whatever the file's are.
 */
#ifndef TOOLS_TRACE_ORDER_H
#define TOOLS_TRACE_ORDER_H

#include "trace_read.h"

#include <sys/types.h>

/* Something allocated. */
struct trace_object {
	uint64_t address;
	uint64_t size;   /* bytes asked for */
	uint64_t time;   /* ticks since the start of the process, of the allocation */
	uint64_t serial; /* of the allocation among the process's, from 0 */
	uint32_t thread; /* that allocated it */
	uint32_t stack;
	uint8_t op;      /* enum trace_op */
	uint8_t log2_alignment;
	uint64_t tag;    /* for who reads the trace; 0 when it is allocated */
};

struct trace_thread {
	int32_t tid;
	uint32_t stream;
	uint64_t first, last; /* ticks since the file was made */
	uint64_t operations;
};

enum trace_step_kind {
	STEP_ALLOC,
	STEP_FREE,
	STEP_RESIZE,
	STEP_FAILED, /* an allocation, or resizing, that did not happen; without an object */
	STEP_OTHER,
};

struct trace_step {
	enum trace_step_kind kind;
	uint32_t thread;              /* number in trace_order.threads */
	uint64_t time;                /* ticks since the start of the process */
	struct trace_object *object;  /* until the next step; NULL: not allocated in the trace */
	uint64_t old_size;            /* of STEP_RESIZE */
	uint64_t old_address;
	const struct trace_record *record;
};

struct trace_order {
	/* Known from the start. */
	uint32_t process;        /* number in the file */
	int32_t pid, parent_pid;
	uint32_t parent;         /* number of the process that it was forked from, or 0 */
	char command[256];
	uint64_t start;          /* ticks since the file was made */
	uint64_t block_count;
	uint64_t file_nbytes;    /* of its blocks in the file */
	/* As far as it was read. */
	struct trace_thread *threads;
	size_t thread_count;
	uint64_t blocks_read;
	uint64_t nbytes;         /* of blocks that were read to their end */
	uint64_t operations;     /* all but STEP_OTHER */
	uint64_t unknown;        /* frees and resizings of what is not allocated in the trace */
	uint64_t twice;          /* allocations at an address that was not freed: a record is missing */
	uint64_t missing;        /* blocks that are not there */
	uint64_t damaged;        /* blocks that could not be read to their end */
	uint64_t lost;           /* operations in signal handlers, not recorded */
	bool exited;             /* the process ended of its own accord */
	bool no_memory;          /* reading stopped for lack of memory */
	const char *problem;     /* of the first damaged block */
	struct trace_order_state *state;
};

struct trace_processes {
	uint32_t *numbers; /* in the file, by what was recorded of each, most first */
	size_t count;
};

/* The processes of a file. False for lack of memory. */
bool trace_list_processes(const struct trace_file *f, struct trace_processes *p);
/* Starts on a process. False when it has no blocks, or for lack of memory. */
bool trace_order_start(struct trace_order *o, const struct trace_file *f, uint32_t process);
/* The next step; false at the end. */
bool trace_order_next(struct trace_order *o, struct trace_step *step);
void trace_order_finish(struct trace_order *o);
/* Calls visit with each object that is still allocated. */
void trace_order_live(const struct trace_order *o,
    void (*visit)(const struct trace_object *, void *), void *arg);

#endif
