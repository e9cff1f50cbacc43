/*
 * output.h: files that appear under their name when they are complete, and not before: what reads
 * them meanwhile sees the former ones.
 */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include "base.h"

#include <stdio.h>

struct output {
	const char *path;
	char *part; /* its name until it is complete */
	FILE *f;
};

/* Both exit with the reason when they cannot; NULL stands for standard output. */
void output_begin(struct output *o, const char *path);
void output_end(struct output *o);

#endif
