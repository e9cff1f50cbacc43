/* huge.h: whether the kernel makes huge pages, and what the process has of them. */
#ifndef HUGE_H
#define HUGE_H

#include "os/vm.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE VM_HUGE_NBYTES

/* Bytes of the process, by the format of a line of its figures. */
static size_t
rollup_nbytes(const char *format)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	unsigned long kb = 0;
	char line[256];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, format, &kb) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return kb << 10;
}

static size_t
huge_nbytes(void)
{
	return rollup_nbytes("AnonHugePages: %lu");
}

/* Whether the kernel makes them when it is asked to, and tells. */
static int
kernel_collapses(void)
{
	char *p = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	size_t before = huge_nbytes();
	int done;

	if (p == MAP_FAILED || vm_pagesize != 4096)
		return 0;
	memset(at, 1, HUGE);
	done = vm_collapse(at, HUGE) && huge_nbytes() >= before + HUGE;
	munmap(p, 2 * HUGE);
	return done;
}

#endif
