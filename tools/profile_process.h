/*
 * profile_process.h: profiles of processes: of one that runs, for a while, and of a program from
 * its start to its end.
 */
#ifndef TOOLS_PROFILE_PROCESS_H
#define TOOLS_PROFILE_PROCESS_H

#include "profile.h"

#define PROFILE_RATE 2097152U /* as the library's default */
#define PROFILE_SECONDS 10

/*
 * Switches sampling on in a process where it is off, waits (until the user interrupts), reads what
 * there is, and switches it off again. Where it is on, nothing is switched, and with no seconds
 * (0) all since its start is read. Exits when it cannot.
 */
void profile_process(const char *pid, double seconds, uint32_t rate, struct profile *p);
/*
 * Runs a program on the library with sampling on; returns what it exits with, and in *p its
 * profile, with no rows if it left none.
 */
int profile_program(char **program, const char *library, const char *letters, uint32_t rate,
    struct profile *p);

#endif
