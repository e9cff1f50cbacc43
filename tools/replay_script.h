/*
 * replay_script.h: a trace made into what the replay program runs; replay_format.h has the form.
 */
#ifndef TOOLS_REPLAY_SCRIPT_H
#define TOOLS_REPLAY_SCRIPT_H

#include "replay_format.h"
#include "trace_order.h"

/* Operations in a window: threads are at most so many apart. */
#define WINDOW_OPERATIONS 10000U

struct script {
	int fd;                     /* its file in memory, with flags 0 */
	uint64_t nbytes;
	uint32_t threads;
	uint32_t intervals;
	uint64_t operations;
	uint64_t unknown;           /* of the trace, left out: frees of what is not in it */
	uint64_t failed;            /* of the trace, left out: allocations that did not happen */
	uint64_t live_peak;         /* bytes asked for and allocated at the same time, at most */
	uint64_t *interval_live;    /* bytes, at the end of each interval */
	char command[256];
	int pid;
};

/*
 * Reads all of a process's operations. `intervals` is how many are wanted; each ends with a window.
 * Exits with a message when it cannot.
 */
void script_make(struct script *s, const char *path, const struct trace_file *f,
    uint32_t process, uint32_t intervals);
void script_free(struct script *s);

#endif
