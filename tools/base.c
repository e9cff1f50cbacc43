/*
 * base.c: see base.h.
 */
#include "base.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void (*fail_first)(void);

void
fail(int status, const char *format, ...)
{
	va_list args;

	if (fail_first != NULL)
		fail_first();
	fflush(stdout);
	fputs("phkmalloc: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n == 0 ? 1 : n, size);

	if (p == NULL)
		fail(STATUS_OTHER, "out of memory");
	return p;
}

void *
xgrow(void *old, size_t n, size_t size)
{
	void *p = reallocarray(old, n, size);

	if (p == NULL)
		fail(STATUS_OTHER, "out of memory");
	return p;
}

char *
xstrdup(const char *s)
{
	char *p = strdup(s);

	if (p == NULL)
		fail(STATUS_OTHER, "out of memory");
	return p;
}

FILE *
xmemstream(char **text, size_t *nbytes)
{
	FILE *f = open_memstream(text, nbytes);

	if (f == NULL)
		fail(STATUS_OTHER, "out of memory");
	return f;
}
