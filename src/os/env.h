/*
 * env.h: what the process tells of itself: name, environment, randomness, clock.
 *
 * Nothing here allocates, locks or changes errno; all of it may be called from anywhere.
 */
#ifndef PHK_ENV_H
#define PHK_ENV_H

#include "base/base.h"

void env_init(void);

/* The program's name without its folder, for messages. */
const char *env_program(void);
/* The command line, a 0 after each word, cut to the size of text; returns its bytes. */
size_t env_command(char *text, size_t nbytes);
/* True in set-uid and other programs that must not trust their environment. */
bool env_secure(void);
/*
 * Copies the value of an environment variable to text, cut to its size. False when it is not set
 * or the program must not trust it.
 */
bool env_get(const char *name, char *text, size_t nbytes);
/* Copies what a symbolic link points to, cut to the size of text; false when there is none. */
bool env_link(const char *path, char *text, size_t nbytes);
/* A mode of dlopen without RTLD_DEEPBIND, which only glibc has. */
int env_shallow(int mode);
/* 64 random bits, not for keys. */
uint64_t env_random(void);
/* Seconds since 1970. */
uint64_t env_time(void);
/* Milliseconds of a clock that only goes forward, exact to a few. */
uint64_t env_clock_ms(void);
/* Nanoseconds of a clock that only goes forward and is the same for all processors. */
uint64_t env_clock_ns(void);
/* Nanoseconds since 1970. */
uint64_t env_wall_ns(void);
/* The kernel's number of the calling thread. */
int env_thread(void);
/* The processor that the calling thread runs on right now; any number where nobody knows. */
int env_cpu(void);
/* The kernel's number of the process, and of its parent. */
int env_process(void);
int env_parent(void);
/* Waits for about so long, or until a signal. */
void env_sleep_ms(unsigned ms);
/* Whether there is a process of this number. */
bool env_process_lives(int pid);
/* Whether an address lies in code of the program or a library; not before libc is set up. */
bool env_is_code(const void *address);
/* From now on env_write writes to standard error also when the program has closed it. */
void env_keep_stderr(void);
/* Writes a whole text to standard error, past interrupted writes. */
void env_write(const char *text, size_t nbytes);

#endif
