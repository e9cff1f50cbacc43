/*
 * fmt.h: text put together in a buffer on the stack.
 *
 * For messages that are written while a lock may be held, in a signal handler, or with the heap
 * broken: allocates nothing, locks nothing, calls no stdio. What does not fit is cut off.
 */
#ifndef PHK_FMT_H
#define PHK_FMT_H

#include "base/base.h"

struct fmt {
	size_t len;
	char text[4000];
};

void fmt_char(struct fmt *f, char c);
void fmt_str(struct fmt *f, const char *s);
void fmt_dec(struct fmt *f, uint64_t n);
/* 0x and lower-case digits, as printf's %p. */
void fmt_ptr(struct fmt *f, uintptr_t p);
/*
 * The part of printf these messages need: %s string, %u unsigned, %z size_t, %p pointer,
 * %c character, %% itself. Any other letter is a defect and ends the process.
 */
void fmt_add(struct fmt *f, const char *format, ...) __attribute__((nonnull(1, 2)));

#endif
