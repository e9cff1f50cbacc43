/*
 * again.h: options come from the environment and are read once, so a test of one starts its own
 * program anew with it. Such a run does churn(): random sizes, alignments and order, contents
 * checked, and the heap's invariants now and then; exit status 0 when all was well.
 */
#ifndef CLASSIC_AGAIN_H
#define CLASSIC_AGAIN_H

#include "../shim.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int
churn(size_t align)
{
	enum { N = 700, NOPS = 60000 };
	static struct { unsigned char *p; size_t size; } slot[N];
	uint32_t s = 12345;

	for (int op = 0; op < NOPS; op++) {
		size_t draw = (s = s * 1664525u + 1013904223u) >> 8;
		size_t i = (draw >> 4) % N, size = draw % (draw % 9 == 0 ? 9999 : 200);

		if (slot[i].p == NULL) {
			slot[i].p = op % 5 != 0 ? malloc(size) : memalign(align << op % 7, size);
		} else if (op % 3 == 0) {
			slot[i].p = realloc(slot[i].p, size + 1);
		} else {
			for (size_t k = 0; k < slot[i].size; k++)
				if (slot[i].p[k] != (unsigned char)i)
					return 1;
			free(slot[i].p);
			slot[i].p = NULL;
			continue;
		}
		if (slot[i].p == NULL || (uintptr_t)slot[i].p % align != 0)
			return 2;
		slot[i].size = malloc_usable_size(slot[i].p);
		memset(slot[i].p, (int)i, slot[i].size);
		if (op % 1000 == 0 && classic_check() != 0)
			return 3;
	}
	return classic_check() == 0 ? 0 : 4;
}

/* The wait status of this program run with an argument and one more variable. */
static int
run_again(const char *variable, const char *value, const char *argument)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		setenv(variable, value, 1);
		execl("/proc/self/exe", "again", argument, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return status;
}

#endif
