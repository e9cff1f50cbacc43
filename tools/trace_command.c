/*
 * trace_command.c: `phkmalloc trace`: what is in a trace.
 */
#include "command.h"
#include "output.h"
#include "trace.h"
#include "trace_show.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 1000000U

enum form { FORM_TEXT, FORM_LIST, FORM_OPERATIONS, FORM_JSON, FORM_HTML, FORM_EVENTS };

/* The processes of a trace, a line each. */
static void
list_processes(FILE *f, const char *path, const struct trace_file *file)
{
	struct trace_processes p;

	if (!trace_list_processes(file, &p))
		fail(STATUS_OTHER, "%s: out of memory", path);
	fprintf(f, "%7s %8s %8s %7s %14s %8s  %s\n", "process", "pid", "parent", "forked", "operations",
	    "threads", "command");
	for (size_t i = 0; i < p.count; i++) {
		struct trace_order o;
		struct trace_step step;
		char forked[16] = "-";

		if (!trace_order_start(&o, file, p.numbers[i]))
			continue;
		while (trace_order_next(&o, &step))
			;
		if (o.parent != 0)
			snprintf(forked, sizeof(forked), "%u", o.parent);
		fprintf(f, "%7u %8d %8d %7s %14s %8s  %s\n", o.process, o.pid, o.parent_pid, forked,
		    show_count(o.operations), show_count(o.thread_count), o.command);
		trace_order_finish(&o);
	}
	free(p.numbers);
}

static void
show(FILE *f, const char *path, const struct trace_file *file, uint32_t process, enum form form,
    const struct trace_span *span)
{
	struct trace_order o;
	struct summary s;
	bool cut = false;

	if (!trace_order_start(&o, file, process))
		fail(STATUS_OTHER, "%s: out of memory", path);
	if (form == FORM_OPERATIONS) {
		cut = trace_show_operations(f, path, &o, span);
	} else if (form == FORM_EVENTS) {
		cut = trace_show_events(f, path, &o, span);
	} else {
		summary_make(&s, path, &o);
		if (form == FORM_TEXT)
			trace_show_text(f, &o, &s);
		else if (form == FORM_HTML)
			trace_show_html(f, file, &o, &s);
		else
			trace_show_json(f, file, &o, &s);
		if (form == FORM_JSON)
			fputc('\n', f);
		summary_free(&s);
	}
	if (cut && form == FORM_EVENTS)
		fprintf(stderr, "phkmalloc: only the first %s operations are in it; --from, --to and "
		    "--limit choose others\n", show_count(span->limit));
	trace_order_finish(&o);
}

static double
seconds(const char *text)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end != '\0' || !isfinite(v))
		fail(STATUS_USAGE, "%s: not a number of seconds", text);
	return v;
}

static uint64_t
count(const char *text)
{
	char *end;
	unsigned long long v = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0')
		fail(STATUS_USAGE, "%s: not a number", text);
	return v;
}

int
command_trace(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "list", no_argument, NULL, 'L' },
		{ "print", no_argument, NULL, 'P' },
		{ "json", no_argument, NULL, 'J' },
		{ "html", no_argument, NULL, 'H' },
		{ "perfetto", no_argument, NULL, 'E' },
		{ "process", required_argument, NULL, 'n' },
		{ "pid", required_argument, NULL, 'p' },
		{ "from", required_argument, NULL, 'f' },
		{ "to", required_argument, NULL, 't' },
		{ "limit", required_argument, NULL, 'l' },
		{ 0 },
	};
	static const char letters[] = "LPJHE";
	static const enum form forms[] = { FORM_LIST, FORM_OPERATIONS, FORM_JSON, FORM_HTML,
		FORM_EVENTS };
	struct trace_span span = { 0, HUGE_VAL, UINT64_MAX };
	enum form form = FORM_TEXT;
	uint64_t process = 0, pid = 0;
	const char *path, *out = NULL, *found;
	bool limited = false;
	struct trace_file file;
	struct output output;
	int c;

	while ((c = getopt_long(argc, argv, "o:", longs, NULL)) != -1) {
		found = strchr(letters, c);
		if (found != NULL && form == FORM_TEXT)
			form = forms[found - letters];
		else if (c == 'o')
			out = optarg;
		else if (c == 'n')
			process = count(optarg);
		else if (c == 'p')
			pid = count(optarg);
		else if (c == 'f')
			span.from = seconds(optarg);
		else if (c == 't')
			span.to = seconds(optarg);
		else if (c == 'l' && (limited = true))
			span.limit = count(optarg);
		else
			usage("trace");
	}
	if (optind + 1 != argc)
		usage("trace");
	if (form == FORM_EVENTS && !limited)
		span.limit = EVENTS_MAX;
	path = argv[optind];
	trace_need(&file, path);
	process = form == FORM_LIST ? 0 : trace_choose(&file, path, (uint32_t)process, (int)pid);
	output_begin(&output, out);
	if (form == FORM_LIST)
		list_processes(output.f, path, &file);
	else
		show(output.f, path, &file, (uint32_t)process, form, &span);
	output_end(&output);
	trace_file_close(&file);
	return STATUS_OK;
}
