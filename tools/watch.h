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
/*
 * Ends as the program did that had this status, so that whoever started this command sees the same;
 * returns what to exit with.
 */
int end_like(int status);

#endif
