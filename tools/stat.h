/*
 * stat.h: figures of heaps, for people, programs and Prometheus.
 */
#ifndef TOOLS_STAT_H
#define TOOLS_STAT_H

#include "command.h"

enum stat_format { STAT_TEXT, STAT_JSON, STAT_METRICS };

/* What stat says of one process or core file. */
struct look {
	struct target t;
	struct snapshot s;
	struct kernel_figures k;
};

/* The same of a core file, with what follows "stat" on the command line. */
void stat_core(int argc, char **argv, const char *path);

void stat_text(FILE *f, const struct look *l);
/* A line for each process. */
void stat_list(FILE *f, const struct look *looks, size_t n);
void stat_json(FILE *f, struct look *l, bool with_threads);
/* Each thread's pages; these sort the look's owners by what is in use. */
void threads_text(FILE *f, struct look *l);
void threads_json(FILE *f, struct look *l);
/* before is the path of what was written last, whose counters are not gone back behind, or NULL. */
void stat_metrics(FILE *f, const struct look *looks, size_t n, const char *before);

#endif
