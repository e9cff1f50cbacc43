/*
 * trace_file.h: the file that a trace is written to, block by block, by one or more processes.
 *
 * Thread-safe; no lock. When the file cannot grow that is said once, and recording is over.
 */
#ifndef PHK_TRACE_FILE_H
#define PHK_TRACE_FILE_H

#include "base/base.h"
#include "os/counter.h"
#include "os/env.h"
#include "watch/trace_format.h"

/* Whether there is a trace to write to; a hint that is late at worst. */
extern uint32_t trace_on; /* 0 or 1; a word, so that every machine can exchange it */

/* The ticks of the file that is written to, as its head tells it. */
extern uint32_t trace_tick_ns;
ALWAYS_INLINE uint64_t
trace_ticks(uint32_t tick_ns)
{
	return LIKELY(tick_ns == TRACE_COUNTER) ? counter_read() >> TRACE_COUNTER_SHIFT :
	    env_clock_ns() / TRACE_TICK_NS;
}

void trace_file_open(void);
/*
 * The next block of the file, zeros, mapped at `where` or anywhere when that is NULL; populated if
 * all of it will be used soon. NULL when there is none any more.
 */
struct trace_block *trace_file_next(void *where, bool populate);
/* A block is not written to any more. */
void trace_file_done(void);
/* A number in the file for a new process. */
uint32_t trace_file_process(void);
/* Whether a collector takes blocks out of the file while it is written. */
bool trace_file_collected(void);

#endif
