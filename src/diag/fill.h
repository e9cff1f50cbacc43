/*
 * fill.h: junk and canaries: what options write into memory, and how it is found changed.
 * Pure functions on the user's memory, called only where an option asks for it.
 */
#ifndef PHK_FILL_H
#define PHK_FILL_H

#include "base/base.h"

#define JUNK_NEW 0xdb
#define JUNK_FREED 0xdf
/* Returned when nothing was changed. */
#define FILL_WHOLE SIZE_MAX

void fill_junk(void *p, size_t nbytes, int junk);
/* The offset of the first byte that is not junk any more, or FILL_WHOLE. */
size_t fill_check_junk(const void *p, size_t nbytes);
/* Fills the bytes from `from` to `to` behind p with canaries, and checks them. */
void fill_canary(void *p, size_t from, size_t to, uint64_t secret);
size_t fill_check_canary(const void *p, size_t from, size_t to, uint64_t secret);

#endif
