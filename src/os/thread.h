/*
 * thread.h: what happens at the end of a thread and around fork.
 */
#ifndef PHK_THREAD_H
#define PHK_THREAD_H

#include "base/base.h"

/* Sets the function to call at the end of each thread that was armed. Once, at start. */
bool thread_exit_init(void (*at_exit)(void *));
/*
 * Calls at_exit(value) when the calling thread ends, after its other destructors had their first
 * turn. May allocate memory; false when it could not be arranged.
 */
bool thread_exit_arm(void *value);
/* Whether no thread of the process has this number of the kernel's any more. */
bool thread_gone(int tid);
/* Registers the three functions around fork. */
void thread_fork_init(void (*prepare)(void), void (*parent)(void), void (*child)(void));

#endif
