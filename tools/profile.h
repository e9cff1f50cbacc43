/*
 * profile.h: a heap profile, read from a running process or from the file that the library writes
 * at exit, and the forms it is shown in. phkmalloc_inspect.h says what the samples are.
 */
#ifndef TOOLS_PROFILE_H
#define TOOLS_PROFILE_H

#include "symbol.h"
#include "target.h"

#include "phkmalloc_inspect.h"

#include <stdio.h>

/* Estimates of all allocations; what is still in use is in live_*. */
struct estimate {
	double objects;
	double bytes;
	double live_objects;
	double live_bytes;
	double live_age; /* seconds, the mean of those in use */
};

/* A stack, the innermost address first, and what it allocated in one size. */
struct profile_row {
	const uint64_t *frames;
	uint32_t depth;
	uint32_t stack;  /* equal numbers are equal stacks */
	uint64_t nbytes; /* of an allocation, on average */
	struct estimate e;
};

struct profile {
	char host[72];
	char program[64];
	char library[17];
	pid_t pid;
	double time;     /* of its end, seconds since 1970 */
	double seconds;  /* that it covers */
	uint32_t rate;   /* bytes from one sample to the next; 1: everything was counted */
	uint64_t nlost;  /* samples that the library had no room for */
	struct profile_row *rows;
	size_t row_count;
	struct symbols *symbols;
	/* what rows are made of */
	uint64_t start_ms;
	uint64_t end_ms;
	struct phkmalloc_site *sites;
	uint32_t site_count;
	uint64_t *words; /* stacks */
	uint32_t word_count;
};

/* What a process has now; exits when it cannot be read. `since` is what it had before, or NULL. */
void profile_read(struct target *t, const struct phkmalloc_descriptor *d, struct profile *p);
void profile_read_file(const char *path, struct profile *p);
/* Makes the rows, of what was allocated since an earlier look, or NULL: of all. */
void profile_rows(struct profile *p, const struct profile *since);
void profile_free(struct profile *p);
/* Rows of the same stack as one, most live bytes first, or most bytes allocated. */
void profile_merge(struct profile *p, bool live);

/* Text for people: the stacks with most, and what they sum up to. */
void profile_text(FILE *f, const struct profile *p, bool live, size_t rows_max, bool full);
/* pprof's format, compressed. */
void profile_pprof(FILE *f, const struct profile *p);
/* A line for each stack, the outermost function first, and a number of bytes. */
void profile_folded(FILE *f, const struct profile *p, bool live);
/* A flame graph as a page of its own. */
void profile_html(FILE *f, const struct profile *p);

#endif
