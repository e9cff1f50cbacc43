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
/* True in set-uid and other programs that must not trust their environment. */
bool env_secure(void);
/* The value of an environment variable, or NULL; NULL in secure programs. */
const char *env_get(const char *name);
/* 64 random bits, not for keys. */
uint64_t env_random(void);
/* Milliseconds of a clock that only goes forward, exact to a few. */
uint64_t env_clock_ms(void);
/* Writes a whole text to standard error, past interrupted writes. */
void env_write(const char *text, size_t nbytes);

#endif
