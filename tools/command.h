/*
 * command.h: the subcommands of phkmalloc, and what they share. Each gets its arguments with its
 * own name first, and returns what the command exits with.
 */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include "snapshot.h"

#include <stdio.h>

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage; /* what follows "phkmalloc " */
	const char *about;
	const char *help;
};

int command_run(int argc, char **argv);
int command_stat(int argc, char **argv);
int command_map(int argc, char **argv);
int command_top(int argc, char **argv);
int command_core(int argc, char **argv);
int command_record(int argc, char **argv);
int command_replay(int argc, char **argv);
int command_trace(int argc, char **argv);
int command_profile(int argc, char **argv);
int command_leaks(int argc, char **argv);

/*
 * Runs a program on the library, counts every allocation of it, and prints what is in use at its
 * end to standard error; returns what the program exits with.
 */
int leaks_program(char **program, const char *library, const char *letters);

/*
 * Finds a program that is to run on the library, and exits if it cannot; the same for the library,
 * the one that is installed with this command when NULL, and puts it into LD_PRELOAD.
 */
void need_program(const char *name);
void preload(const char *library);
/* "NAME=" and the path of the library that is installed with this command, or exits. */
char *library_with_name(const char *name);
/* Puts a value before that of an environment variable. */
void prepend(const char *name, const char *first, const char *separator);

/* Exits with a line that says how the subcommand is used. */
_Noreturn void usage(const char *name);

/* Finds the heap of an open target and reads it; exits with the reason when that fails. */
void look_at_heap(struct target *t, bool with_runs, struct snapshot *s);
/* Tells on standard error what the figures leave out, if anything. */
void say_damage(const struct target *t, const struct snapshot *s);

/*
 * Progress of long work on standard error: nothing in a pipe, nothing in the first half second.
 * progress_end takes the line away.
 */
void progress(const char *what, uint64_t done, uint64_t all);
void progress_end(void);

/* Memory that the kernel counts, in bytes; zeros for a core file. */
struct kernel_figures {
	uint64_t rss;
	uint64_t rss_max;
};
void kernel_figures(const struct target *t, struct kernel_figures *k);

/* "12.3 MiB" and "1,234,567" in one of a few buffers that take turns. */
const char *show_bytes(uint64_t n);
const char *show_count(uint64_t n);
/* "1 run", "1,234 runs". */
const char *show_things(uint64_t n, const char *one);
/* A part of a whole in percent; 0 of nothing. */
double percent(uint64_t part, uint64_t whole);
/* A string with quotes, for JSON and for labels of metrics. */
void put_quoted(FILE *f, const char *s);

/* Bytes of chunks in use. */
static inline uint64_t
chunk_bytes(const struct snapshot *s)
{
	return s->live_nbytes - s->large_nbytes - s->samples.live_nbytes;
}

/* True of a size class that has pages or ever had. */
static inline bool
class_is_used(const struct class_figures *c)
{
	return c->npages != 0 || c->nfreed != 0;
}

#endif
