/*
 * trace_show.h: a trace's summary in the forms that `phkmalloc trace` has.
 */
#ifndef TOOLS_TRACE_SHOW_H
#define TOOLS_TRACE_SHOW_H

#include "trace_summary.h"

#include <stdio.h>

/* Seconds of a process that are asked for. */
struct trace_span {
	double from, to;
	uint64_t limit; /* operations at most */
};

void trace_show_text(FILE *f, const struct trace_order *o, struct summary *s);
/* One object, without a line's end. */
void trace_show_json(FILE *f, const struct trace_file *file, const struct trace_order *o,
    struct summary *s);
void trace_show_html(FILE *f, const struct trace_file *file, const struct trace_order *o,
    struct summary *s);
/* A line for each operation. True when the limit cut it short. */
bool trace_show_operations(FILE *f, const char *path, struct trace_order *o,
    const struct trace_span *span);
/* The same for Chrome's trace viewer and Perfetto, with curves of what is allocated. */
bool trace_show_events(FILE *f, const char *path, struct trace_order *o,
    const struct trace_span *span);

/* "malloc", "operator delete", ... */
const char *trace_op_name(const struct trace_record *r);

#endif
