/*
 * trace_text.c: a trace for people: a summary with a curve, and a line for each operation.
 */
#include "command.h"
#include "trace_show.h"

#include <inttypes.h>
#include <string.h>
#include <wchar.h>

#define CURVE_COLUMNS 72
#define CURVE_ROWS 8
#define THREADS_SHOWN 12
#define STACKS_SHOWN 10
#define FRAMES_SHOWN 6
#define BAR 24

/* --- the summary ----------------------------------------------------------------------------- */

static const char *
seconds_text(double s)
{
	static char text[4][32];
	static unsigned turn;
	char *t = text[turn++ % 4];

	if (s < 1e-3)
		snprintf(t, sizeof(text[0]), "%.1f us", s * 1e6);
	else if (s < 1)
		snprintf(t, sizeof(text[0]), "%.1f ms", s * 1e3);
	else
		snprintf(t, sizeof(text[0]), "%.2f s", s);
	return t;
}

/* What is allocated over time, in blocks of which each row has eight heights. */
static void
print_curve(FILE *f, const struct summary *s)
{
	static const char *const heights[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	size_t columns = s->part_count < CURVE_COLUMNS ? s->part_count : CURVE_COLUMNS;

	if (columns == 0 || s->peak == 0)
		return;
	fprintf(f, "\nallocated over %s, at most %s at %s\n",
	    seconds_text(ticks_seconds(s->end)), show_bytes(s->peak),
	    seconds_text(ticks_seconds(s->peak_time)));
	for (int row = CURVE_ROWS - 1; row >= 0; row--) {
		fputs(row == CURVE_ROWS - 1 ? "  ┤" : "  │", f);
		for (size_t c = 0; c < columns; c++) {
			uint64_t most = 0;
			double height;
			int step;

			for (size_t i = c * s->part_count / columns;
			    i < (c + 1) * s->part_count / columns; i++)
				most = s->parts[i].live > most ? s->parts[i].live : most;
			height = (double)most / (double)s->peak * CURVE_ROWS * 8;
			step = (int)height - row * 8;
			fputs(heights[step < 0 ? 0 : step > 8 ? 8 : step], f);
		}
		fputc('\n', f);
	}
}

static void
print_bar(FILE *f, uint64_t part, uint64_t most)
{
	unsigned n = most == 0 ? 0 : (unsigned)((double)part / (double)most * BAR + 0.5);

	for (unsigned i = 0; i < n; i++)
		fputs("█", f);
	if (n == 0 && part != 0)
		fputs("▏", f);
}

static void
print_sizes(FILE *f, const struct summary *s)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < SIZE_BUCKETS; i++)
		most = s->sizes[i].count > most ? s->sizes[i].count : most;
	fprintf(f, "\n%-16s %14s %11s %12s  %s\n", "size", "allocations", "bytes", "at the end",
	    "share of allocations");
	for (unsigned i = 0; i < SIZE_BUCKETS; i++) {
		const struct size_bucket *b = &s->sizes[i];

		if (b->count == 0)
			continue;
		fprintf(f, "%-16s %14s %11s %12s  ", size_label(i), show_count(b->count),
		    show_bytes(b->nbytes), show_bytes(b->live));
		print_bar(f, b->count, most);
		fputc('\n', f);
	}
}

static void
print_lives(FILE *f, const struct summary *s)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < LIFE_BUCKETS; i++)
		most = s->lives[i] > most ? s->lives[i] : most;
	fprintf(f, "\n%-16s %14s\n", "lifetime", "objects");
	for (unsigned i = 0; i < LIFE_BUCKETS; i++) {
		if (s->lives[i] == 0)
			continue;
		fprintf(f, "%-16s %14s  ", life_label(i), show_count(s->lives[i]));
		print_bar(f, s->lives[i], most);
		fputc('\n', f);
	}
}

static void
print_threads(FILE *f, const struct trace_order *o)
{
	size_t n = o->thread_count < THREADS_SHOWN ? o->thread_count : THREADS_SHOWN;

	if (o->thread_count < 2)
		return;
	fprintf(f, "\n%-16s %14s %12s %12s\n", "thread", "operations", "from", "to");
	for (size_t i = 0; i < n; i++) {
		const struct trace_thread *t = &o->threads[i];

		fprintf(f, "%-16d %14s %12s %12s\n", t->tid, show_count(t->operations),
		    seconds_text(ticks_seconds(t->first - o->start)),
		    seconds_text(ticks_seconds(t->last - o->start)));
	}
	if (n < o->thread_count)
		fprintf(f, "... and %s more\n", show_count(o->thread_count - n));
}

static void
print_stacks(FILE *f, struct summary *s)
{
	size_t shown = s->stack_count < STACKS_SHOWN ? s->stack_count : STACKS_SHOWN;

	if (shown > 0)
		fprintf(f, "\n%11s %14s %11s  of %s stacks, innermost first\n", "bytes",
		    "allocations", "at the end", show_count(s->stack_count));
	for (size_t i = 0; i < shown; i++) {
		const struct stack_sum *sum = &s->stacks[i];
		size_t n;
		const uint64_t *frames = stacks_frames(&s->frames, sum->stack, &n);

		fprintf(f, "%11s %14s %11s", show_bytes(sum->nbytes), show_count(sum->count),
		    show_bytes(sum->live));
		for (size_t k = 0; k < n && k < FRAMES_SHOWN; k++)
			fprintf(f, "%s%s", k == 0 ? "  " : " < ", stacks_name(&s->frames, frames[k]));
		fputs(n > FRAMES_SHOWN ? " < ...\n" : "\n", f);
	}
}

static void
print_problems(FILE *f, const struct trace_order *o)
{
	if (o->unknown != 0)
		fprintf(f, "%s frees or resizings of what is not in the trace%s\n",
		    show_count(o->unknown), o->parent != 0 ? ", such as the parent's" : "");
	if (o->twice != 0)
		fprintf(f, "%s objects whose end is not in the trace\n", show_count(o->twice));
	if (o->lost != 0)
		fprintf(f, "%s operations in signal handlers that could not be recorded\n",
		    show_count(o->lost));
	if (o->missing != 0)
		fprintf(f, "%s blocks are missing\n", show_count(o->missing));
	if (o->damaged != 0)
		fprintf(f, "%s blocks are damaged: %s\n", show_count(o->damaged), o->problem);
}

void
trace_show_text(FILE *f, const struct trace_order *o, struct summary *s)
{
	uint64_t allocations = s->ops[TRACE_MALLOC] + s->ops[TRACE_CALLOC] +
	    s->ops[TRACE_ALIGNED] + s->ops[TRACE_NEW];

	fprintf(f, "%s (process %d)%s\n", o->command, o->pid,
	    o->exited ? "" : ", which did not end of its own accord");
	fprintf(f, "%s operations of %s thread%s in %s", show_count(o->operations),
	    show_count(o->thread_count), o->thread_count == 1 ? "" : "s",
	    seconds_text(ticks_seconds(s->end)));
	if (o->operations != 0)
		fprintf(f, "; %.2f bytes each, %.2f in the file",
		    (double)o->nbytes / (double)o->operations,
		    (double)o->file_nbytes / (double)o->operations);
	fputc('\n', f);
	print_problems(f, o);
	fprintf(f, "\nallocated    %14s  malloc %s, calloc %s, aligned %s, new %s; %s failed\n",
	    show_count(allocations), show_count(s->ops[TRACE_MALLOC]),
	    show_count(s->ops[TRACE_CALLOC]), show_count(s->ops[TRACE_ALIGNED]),
	    show_count(s->ops[TRACE_NEW]), show_count(s->failed));
	fprintf(f, "resized      %14s  of which %s moved\n", show_count(s->ops[TRACE_REALLOC]),
	    show_count(s->moved));
	fprintf(f, "freed        %14s  of which %s by delete, %s by another thread\n",
	    show_count(s->ops[TRACE_FREE]), show_count(s->deletes), show_count(s->remote));
	fprintf(f, "asked for    %14s  in all, %s at most at a time in %s objects\n",
	    show_bytes(s->nbytes), show_bytes(s->peak), show_count(s->peak_count));
	fprintf(f, "at the end   %14s  in %s objects\n", show_bytes(s->live),
	    show_count(s->live_count));
	print_curve(f, s);
	print_sizes(f, s);
	print_lives(f, s);
	print_threads(f, o);
	print_stacks(f, s);
}

/* --- operations ------------------------------------------------------------------------------ */

const char *
trace_op_name(const struct trace_record *r)
{
	switch (r->op) {
	case TRACE_MALLOC: return "malloc";
	case TRACE_FREE: return r->by_new ? "delete" : "free";
	case TRACE_REALLOC: return "realloc";
	case TRACE_CALLOC: return "calloc";
	case TRACE_ALIGNED: return r->by_new ? "new aligned" : "aligned_alloc";
	case TRACE_NEW: return "new";
	case TRACE_END:
	case TRACE_OTHER: break;
	}
	return "";
}

static void
print_operation(FILE *f, const struct trace_order *o, const struct trace_step *step)
{
	const struct trace_record *r = step->record;
	const struct trace_object *object = step->object;

	fprintf(f, "%14.9f %7d  ", ticks_seconds(step->time), o->threads[step->thread].tid);
	if (step->kind == STEP_FREE && r->op != TRACE_FREE) {
		fprintf(f, "(unseen) free 0x%" PRIx64 "\n", object->address);
		return;
	}
	fputs(trace_op_name(r), f);
	if (r->op == TRACE_FREE) {
		fprintf(f, " 0x%" PRIx64, r->address);
		if (object == NULL)
			fputs("  not allocated in the trace", f);
		else
			fprintf(f, "  %" PRIu64 " bytes, after %s%s", object->size,
			    seconds_text(ticks_seconds(step->time - object->time)),
			    object->thread != step->thread ? ", another thread's" : "");
	} else {
		if (r->op == TRACE_ALIGNED)
			fprintf(f, " at %" PRIu64, (uint64_t)1 << r->log2_alignment);
		if (r->op == TRACE_REALLOC)
			fprintf(f, " 0x%" PRIx64, r->old);
		fprintf(f, " %" PRIu64, r->size);
		if (r->failed)
			fputs(" = NULL", f);
		else
			fprintf(f, " = 0x%" PRIx64, r->address);
		if (step->kind == STEP_RESIZE)
			fprintf(f, "  from %" PRIu64 " bytes", step->old_size);
		if (r->stack != 0)
			fprintf(f, "  stack %u", r->stack);
	}
	fputc('\n', f);
}

bool
trace_show_operations(FILE *f, const char *path, struct trace_order *o,
    const struct trace_span *span)
{
	struct trace_step step;
	uint64_t n = 0;

	while (trace_order_next(o, &step)) {
		double time = ticks_seconds(step.time);

		if (step.kind == STEP_OTHER || time < span->from)
			continue;
		if (time > span->to)
			return false;
		if (n++ == span->limit)
			return true;
		print_operation(f, o, &step);
	}
	if (o->no_memory)
		fail(STATUS_OTHER, "%s: out of memory", path);
	return false;
}
