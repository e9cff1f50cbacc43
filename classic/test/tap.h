/*
 * tap.h: results of a test as TAP lines: "ok 1 - text", and the plan at the end. Allocates
 * nothing itself: stdout's buffer is static, so that a test knows what the heap holds.
 */
#ifndef CLASSIC_TAP_H
#define CLASSIC_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_count, tap_failed;

__attribute__((constructor)) static void
tap_start(void)
{
	static char buffer[BUFSIZ];

	setvbuf(stdout, buffer, _IOLBF, sizeof buffer);
}

__attribute__((format(printf, 2, 3))) static void
ok(bool good, const char *format, ...)
{
	va_list ap;

	tap_failed += !good;
	printf("%sok %d - ", good ? "" : "not ", ++tap_count);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

/* The exit status of the test. */
static int
tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed == 0 ? 0 : 1;
}

#endif
