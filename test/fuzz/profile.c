/*
 * Fuzzed: files of heap profiles as the library writes them at exit. The reader ends the process
 * at the first thing that is wrong, and the text of a good one is written.
 */
#include "../../tools/base.h"
#include "../../tools/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

#define HELD_MAX 4096
#undef free /* the makefile has the reader call fuzz_free, and headers declare that */
void free(void *p);

static jmp_buf failed;
/* What the reader holds, and would leave to the end of the process when it gives up. */
static void *held[HELD_MAX];

/* In place of tools/base.c, whose fail() ends the process. */
void (*fail_first)(void);

static void *
hold(void *p)
{
	size_t i = 0;

	while (p != NULL && i < HELD_MAX - 1 && held[i] != NULL)
		i++;
	held[i] = p;
	return p;
}

static void
forget(const void *p)
{
	for (size_t i = 0; p != NULL && i < HELD_MAX; i++)
		if (held[i] == p)
			held[i] = NULL;
}

void fuzz_free(void *p);

void
fuzz_free(void *p)
{
	forget(p);
	free(p);
}

_Noreturn void
fail(int status, const char *format, ...)
{
	(void)status;
	(void)format;
	longjmp(failed, 1);
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = n != 0 && size > ((size_t)1 << 30) / n ? NULL : calloc(n, size);

	if (p == NULL && n != 0)
		fail(STATUS_OTHER, "out of memory");
	return hold(p);
}

void *
xgrow(void *old, size_t n, size_t size)
{
	void *p = n != 0 && size > ((size_t)1 << 30) / n ? NULL : realloc(old, n * size);

	if (p == NULL && n != 0)
		fail(STATUS_OTHER, "out of memory");
	forget(old);
	return hold(p);
}

char *
xstrdup(const char *s)
{
	/* Not held: libdw frees some of them. */
	return strdup(s);
}

FILE *
xmemstream(char **text, size_t *nbytes)
{
	return open_memstream(text, nbytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
	static int fd = -1;
	static char path[40];
	struct profile p;

	if (fd < 0)
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd = memfd_create("profile", 0));
	if (ftruncate(fd, 0) != 0 || pwrite(fd, data, nbytes, 0) != (ssize_t)nbytes)
		abort();
	if (setjmp(failed) != 0) {
		for (size_t i = 0; i < HELD_MAX; i++)
			fuzz_free(held[i]);
		return 0;
	}
	profile_read_file(path, &p);
	profile_rows(&p, NULL);
	profile_merge(&p, true);
	profile_free(&p);
	return 0;
}
