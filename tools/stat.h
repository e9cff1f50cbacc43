/*
 * stat.h: figures of a heap on standard output, for people, programs and Prometheus.
 */
#ifndef TOOLS_STAT_H
#define TOOLS_STAT_H

#include "command.h"

enum stat_format { STAT_TEXT, STAT_JSON, STAT_METRICS };

/* From the command line; leaves optind at what follows the options. */
enum stat_format stat_options(int argc, char **argv);
/* Reads the heap of an open target and prints it. */
void stat_print(struct target *t, enum stat_format format);

void stat_json(const struct target *t, const struct snapshot *s, const struct kernel_figures *k);
void stat_metrics(const struct target *t, const struct snapshot *s, const struct kernel_figures *k);

#endif
