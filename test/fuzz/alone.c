/*
 * What src/conf/conf.c calls of the rest of the library, so that it can be fuzzed alone.
 */
#include "os/env.h"
#include "os/vm.h"

#include <stdlib.h>

size_t vm_pagesize = 4096;

bool
env_get(const char *name, char *text, size_t nbytes)
{
	return name == text && nbytes != 0;
}

bool
env_link(const char *path, char *text, size_t nbytes)
{
	return path == text && nbytes != 0;
}

const char *
env_program(void)
{
	return "fuzz";
}

uint64_t
env_random(void)
{
	return 4;
}

/* Warnings of unknown letters, one for nearly every byte. */
void
env_write(const char *text, size_t nbytes)
{
	if (nbytes > 4000 || text[nbytes - 1] != '\n')
		abort();
}

bool
vm_seal(void *base, size_t nbytes, bool hard)
{
	return base != NULL && nbytes != 0 && !hard;
}

void
assert_failed(const char *file, unsigned line, const char *what)
{
	(void)file;
	(void)line;
	(void)what;
	abort();
}
