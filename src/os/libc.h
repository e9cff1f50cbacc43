/*
 * libc.h: <malloc.h> as glibc has it, also where libc has less of it. The library defines all of
 * these functions; other C libraries, as musl, just do not declare them.
 */
#ifndef PHK_LIBC_H
#define PHK_LIBC_H

#include <malloc.h>
#include <stddef.h>
#include <stdio.h>

#ifndef __GLIBC__
struct mallinfo {
	int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

struct mallinfo2 {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

void *pvalloc(size_t nbytes);
struct mallinfo mallinfo(void);
struct mallinfo2 mallinfo2(void);
int malloc_info(int options, FILE *out);
void malloc_stats(void);
int malloc_trim(size_t pad);
int mallopt(int param, int value);
#endif

#endif
