/*
 * env.c: name, environment, randomness, clock; see env.h. State: the random generator's, set at
 * start and advanced with an atomic add.
 */
#include "os/env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

extern char *program_invocation_short_name;
extern char **environ;

static uint64_t seed;

void
env_init(void)
{
	const uint64_t *given = (const uint64_t *)getauxval(AT_RANDOM);

	/* The second word: the first is the stack protector's secret. */
	seed = given != NULL ? given[1] : (uintptr_t)&seed;
}

const char *
env_program(void)
{
	return program_invocation_short_name != NULL ? program_invocation_short_name : "?";
}

bool
env_secure(void)
{
	return getauxval(AT_SECURE) != 0;
}

const char *
env_get(const char *name)
{
	size_t len = strlen(name);

	if (environ == NULL || env_secure())
		return NULL;
	for (char **e = environ; *e != NULL; e++)
		if (strncmp(*e, name, len) == 0 && (*e)[len] == '=')
			return *e + len + 1;
	return NULL;
}

uint64_t
env_random(void)
{
	/* splitmix64 (Steele, Lea, Flood 2014). */
	uint64_t z = __atomic_add_fetch(&seed, 0x9e3779b97f4a7c15U, __ATOMIC_RELAXED);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

uint64_t
env_clock_ms(void)
{
	int saved = errno;
	struct timespec t = {0, 0};

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	errno = saved;
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void
env_write(const char *text, size_t nbytes)
{
	int saved = errno;

	while (nbytes > 0) {
		ssize_t n = write(STDERR_FILENO, text, nbytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		text += n;
		nbytes -= (size_t)n;
	}
	errno = saved;
}
