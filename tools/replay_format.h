/*
 * replay_format.h: what `phkmalloc replay` tells the program that runs a trace again, and what that
 * tells it when it is done.
 *
 *   script    head | threads | windows | words of thread 0 | words of thread 1 | ...
 *
 * A slot holds the address of an object from its allocation to its end. Operations are words of 32
 * bits: the operation in the low four, the slot in the others, and then what the operation needs:
 * sizes are a word, or REPLAY_LONG and two words, the low one first.
 *
 * Windows keep threads together: no thread starts a window before all have finished the one before.
 */
#ifndef TOOLS_REPLAY_FORMAT_H
#define TOOLS_REPLAY_FORMAT_H

#include <stdint.h>

#define REPLAY_MAGIC 0x59504552U
#define REPLAY_LONG UINT32_MAX
#define REPLAY_SLOTS_MAX ((uint64_t)1 << 28)

/* Descriptors that the program is given. */
#define REPLAY_SCRIPT_FD 3
#define REPLAY_RESULT_FD 4

enum replay_op {
	REPLAY_END,     /* of the thread */
	REPLAY_MALLOC,  /* size */
	REPLAY_CALLOC,  /* size */
	REPLAY_ALIGNED, /* size, a word: log2 of the alignment */
	REPLAY_FREE,
	REPLAY_RESIZE,  /* a word: the slot of the object from now on; size */
	REPLAY_WAIT,    /* until another thread has allocated what is to be in the slot */
	REPLAY_WINDOW,  /* in place of the slot: the number of the window that starts here */
};

/* How to run it. */
#define REPLAY_TOUCH_WRITE 1U /* what is allocated is written */
#define REPLAY_TOUCH_READ 2U  /* what is freed or resized is read before */
#define REPLAY_PAGES 4U       /* count pages touched in each interval, at the cost of time */
#define REPLAY_NOTHING 8U     /* do not call the allocator: what running the script costs */

struct replay_head {
	uint32_t magic;
	uint32_t flags;
	uint64_t nbytes;          /* of the script */
	uint64_t slots;
	uint32_t threads;
	uint32_t windows;
	uint32_t interval;        /* windows in an interval; 0: all are one */
	uint32_t intervals;
	uint32_t stacks;          /* threads that live at the same time, but for the first */
	uint32_t reserved;
};

struct replay_thread {
	uint64_t offset;          /* of its words, in bytes of the script */
	uint32_t first;           /* window that it starts in; threads are sorted by that */
	uint32_t reserved;
};

/* What it took, from the first operation to the last; bytes and nanoseconds. */
struct replay_result {
	uint32_t magic;
	uint32_t problem;         /* enum replay_problem */
	uint64_t user_ns, system_ns, wall_ns;
	uint64_t minor_faults, major_faults;
	uint64_t rss_before;      /* program, libraries, script and slots, before the first operation */
	uint64_t rss_peak;        /* all of it, at most */
	uint64_t rss_after;
	uint64_t failed;          /* allocations that returned NULL */
	uint64_t damaged;         /* objects that did not hold what was written to them */
};
/* After it the pages touched, of the kernel's size, in each interval: uint64_t each. */

enum replay_problem { REPLAY_OK, REPLAY_BAD_SCRIPT, REPLAY_NO_MEMORY, REPLAY_NO_THREAD,
	REPLAY_NO_PAGES, REPLAY_INEXACT_PAGES };

#endif
