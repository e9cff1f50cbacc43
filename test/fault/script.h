/*
 * script.h: a fixed sequence of requests through every function of the interface, each of which
 * may fail; what it holds is stamped, and looked at before it is given back.
 */
#ifndef FAULT_SCRIPT_H
#define FAULT_SCRIPT_H

#include <stdbool.h>

/* Fills, resizes and frees slots; different seeds start at different sizes. */
void script_run(unsigned seed);
/* The same as the work of a thread: the seed as a pointer. */
void *script_thread(void *seed);
/* Frees every other slot, so that another thread frees what it did not allocate. */
void *script_free_some(void *arg);
void script_free_all(void);
/* Whether contents changed, a failure had no ENOMEM, or free() changed errno; said on stderr. */
bool script_lost(void);

#endif
