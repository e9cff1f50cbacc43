/*
 * watch.h: a program from its start to its end, and what it took.
 */
#ifndef TOOLS_WATCH_H
#define TOOLS_WATCH_H

/*
 * Runs it, prints a summary to standard error, and returns what it exits with. A signal that ended
 * it ends this command too. Signals that this command gets from others are passed on to it.
 */
int watch_program(char **program);

#endif
