/*
 * base.h: what every part of the command needs: how it ends, and memory or the end.
 */
#ifndef TOOLS_BASE_H
#define TOOLS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What the command exits with; phkmalloc(1) lists them. */
enum status {
	STATUS_OK = 0,
	STATUS_OTHER = 1,
	STATUS_USAGE = 2,
	STATUS_NO_PROCESS = 3,
	STATUS_NOT_PERMITTED = 4,
	STATUS_NOT_PHKMALLOC = 5,
	STATUS_VERSION = 6,
	STATUS_GONE = 7, /* it ended, or became another program, while it was read */
	STATUS_FILE = 8, /* a file cannot be read, written or understood */
};

/* Prints "phkmalloc: text" and exits. */
_Noreturn void fail(int status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Called before that, to give a terminal back; NULL for nothing. */
extern void (*fail_first)(void);
/* These exit when there is no memory. */
void *xcalloc(size_t n, size_t size);
void *xgrow(void *old, size_t n, size_t size);
char *xstrdup(const char *s);
/* open_memstream(), which fclose() ends: the text is to be freed. */
FILE *xmemstream(char **text, size_t *nbytes);

#endif
