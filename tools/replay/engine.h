/*
 * engine.h: what the files of the program share that runs a script on whatever malloc it finds
 * itself with.
 *
 * It never allocates for itself: its tables are mapped and brought in before the first operation,
 * so that they are part of the memory it starts with and no page fault later is theirs.
 */
#ifndef REPLAY_ENGINE_H
#define REPLAY_ENGINE_H

#include "../replay_format.h"

#include <stdbool.h>
#include <stddef.h>

struct slot {
	void *p;
	uint64_t nbytes;
};

extern const struct replay_head *head;
extern const struct replay_thread *threads;
extern const uint32_t *window_threads; /* how many threads are in each window */
extern struct slot *slots;
extern uint64_t *touched;              /* pages, in each interval */

/* Ends the program. */
_Noreturn void finish(enum replay_problem problem);
/* Memory that is there from now on. */
void *table(size_t nbytes);
/* Runs a thread's part of the script. */
void run(const struct replay_thread *t);

/* windows.c: threads, and windows that keep them together. */
void windows_init(void);
void window_open(uint32_t window);
/* The calling thread has finished the window; the last one opens the next. */
void window_done(uint32_t window);
void window_wait(uint32_t window);
/* Until all threads but the first have ended. */
void windows_finish(void);

/* measure.c: what the kernel tells. */
struct status {
	uint64_t rss, peak; /* bytes */
};
void measure_memory(struct status *s);
/* Starts to count anew: the peak, or the pages touched. False when the kernel does not. */
bool measure_reset_peak(void);
bool measure_reset_pages(void);
/* To be called before the others of pages; ends the program where they are not told exactly. */
void measure_begin_pages(void);
/* Bytes of memory touched, neither a file's nor a stack's nor ours; false if they are not told. */
bool measure_pages(uint64_t *nbytes);

#endif
