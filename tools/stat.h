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

/* From the command line of core; leaves optind at what follows the options. */
enum stat_format stat_options(int argc, char **argv);
/* Reads the heap of an open target and prints it. */
void stat_print(struct target *t, enum stat_format format);

void stat_text(FILE *f, const struct look *l);
/* A line for each process. */
void stat_list(FILE *f, const struct look *looks, size_t n);
void stat_json(FILE *f, const struct look *l);
/* before is the path of what was written last, whose counters are not gone back behind, or NULL. */
void stat_metrics(FILE *f, const struct look *looks, size_t n, const char *before);

#endif
