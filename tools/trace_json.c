/*
 * trace_json.c: a trace for programs: the summary as one object, which the page has in it as well,
 * and operations as events in the format that Chrome's trace viewer and Perfetto read.
 */
#include "command.h"
#include "trace_show.h"

#include <inttypes.h>
#include <string.h>

#define STACKS_TOLD 200
#define THREADS_TOLD 1000
/* Between two points of a curve: more cannot be seen. */
#define POINTS_APART 0.0005

/* A string for JSON that may stand in a script of HTML too. */
static void
put_text(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < ' ' || c >= 0x7f || strchr("<>&\"\\'", c) != NULL)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

/* --- the summary ----------------------------------------------------------------------------- */

static void
put_curve(FILE *f, const struct summary *s)
{
	const char *const names[] = { "live", "objects", "allocated", "operations" };

	fprintf(f, ",\"part_seconds\":%.9g,\"curve\":{", ticks_seconds(s->part_ticks));
	for (int k = 0; k < 4; k++) {
		fprintf(f, "%s\"%s\":[", k == 0 ? "" : ",", names[k]);
		for (size_t i = 0; i < s->part_count; i++) {
			const struct curve_part *p = &s->parts[i];
			uint64_t v[] = { p->live, p->live_count, p->allocated, p->operations };

			fprintf(f, "%s%" PRIu64, i == 0 ? "" : ",", v[k]);
		}
		fputc(']', f);
	}
	fputc('}', f);
}

static void
put_numbers(FILE *f, const char *name, const uint64_t *v, size_t n)
{
	fprintf(f, ",\"%s\":[", name);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s%" PRIu64, i == 0 ? "" : ",", v[i]);
	fputc(']', f);
}

static void
put_buckets(FILE *f, const struct summary *s)
{
	const char *comma = "";

	fputs(",\"sizes\":[", f);
	for (unsigned i = 0; i < SIZE_BUCKETS; i++) {
		const struct size_bucket *b = &s->sizes[i];

		if (b->count == 0)
			continue;
		fprintf(f, "%s{\"label\":\"%s\",\"count\":%" PRIu64 ",\"bytes\":%" PRIu64
		    ",\"end_bytes\":%" PRIu64 ",\"end_objects\":%" PRIu64, comma, size_label(i),
		    b->count, b->nbytes, b->live, b->live_count);
		put_numbers(f, "lives", b->lives, LIFE_BUCKETS);
		fputc('}', f);
		comma = ",";
	}
	fputs("],\"life_labels\":[", f);
	for (unsigned i = 0; i < LIFE_BUCKETS; i++)
		fprintf(f, "%s\"%s\"", i == 0 ? "" : ",", life_label(i));
	fputc(']', f);
	put_numbers(f, "lives", s->lives, LIFE_BUCKETS);
}

static void
put_threads(FILE *f, const struct trace_order *o)
{
	fprintf(f, ",\"thread_count\":%zu,\"threads\":[", o->thread_count);
	for (size_t i = 0; i < o->thread_count && i < THREADS_TOLD; i++) {
		const struct trace_thread *t = &o->threads[i];

		fprintf(f, "%s{\"tid\":%d,\"operations\":%" PRIu64 ",\"from\":%.9f,\"to\":%.9f}",
		    i == 0 ? "" : ",", t->tid, t->operations, ticks_seconds(t->first - o->start),
		    ticks_seconds(t->last - o->start));
	}
	fputc(']', f);
}

static void
put_stacks(FILE *f, struct summary *s)
{
	fprintf(f, ",\"stack_count\":%zu,\"stacks\":[", s->stack_count);
	for (size_t i = 0; i < s->stack_count && i < STACKS_TOLD; i++) {
		const struct stack_sum *sum = &s->stacks[i];
		size_t n;
		const uint64_t *frames = stacks_frames(&s->frames, sum->stack, &n);

		fprintf(f, "%s{\"bytes\":%" PRIu64 ",\"count\":%" PRIu64 ",\"end_bytes\":%" PRIu64
		    ",\"end_objects\":%" PRIu64 ",\"frames\":[", i == 0 ? "" : ",", sum->nbytes,
		    sum->count, sum->live, sum->live_count);
		for (size_t k = 0; k < n; k++) {
			fputs(k == 0 ? "" : ",", f);
			put_text(f, stacks_name(&s->frames, frames[k]));
		}
		fputs("]}", f);
	}
	fputc(']', f);
}

/* Since 1970, when the process started. */
static double
wall_seconds(const struct trace_file *file, const struct trace_order *o)
{
	return (double)file->head.wall_ns / 1e9 + ticks_seconds(o->start);
}

void
trace_show_json(FILE *f, const struct trace_file *file, const struct trace_order *o,
    struct summary *s)
{
	fputs("{\"command\":", f);
	put_text(f, o->command);
	fprintf(f, ",\"pid\":%d,\"parent_pid\":%d,\"process\":%u,\"parent\":%u,\"exited\":%s",
	    o->pid, o->parent_pid, o->process, o->parent, o->exited ? "true" : "false");
	fprintf(f, ",\"time\":%.3f,\"seconds\":%.9f,\"operations\":%" PRIu64
	    ",\"bytes\":%" PRIu64 ",\"file_bytes\":%" PRIu64, wall_seconds(file, o),
	    ticks_seconds(s->end), o->operations, o->nbytes, o->file_nbytes);
	fprintf(f, ",\"malloc\":%" PRIu64 ",\"free\":%" PRIu64 ",\"realloc\":%" PRIu64
	    ",\"calloc\":%" PRIu64 ",\"aligned\":%" PRIu64 ",\"new\":%" PRIu64 ",\"delete\":%"
	    PRIu64, s->ops[TRACE_MALLOC], s->ops[TRACE_FREE] - s->deletes, s->ops[TRACE_REALLOC],
	    s->ops[TRACE_CALLOC], s->ops[TRACE_ALIGNED], s->ops[TRACE_NEW], s->deletes);
	fprintf(f, ",\"moved\":%" PRIu64 ",\"failed_operations\":%" PRIu64 ",\"remote\":%" PRIu64
	    ",\"freed_objects\":%" PRIu64, s->moved, s->failed, s->remote, s->freed);
	fprintf(f, ",\"asked_bytes\":%" PRIu64 ",\"peak_bytes\":%" PRIu64 ",\"peak_objects\":%"
	    PRIu64 ",\"peak_time\":%.9f,\"end_bytes\":%" PRIu64 ",\"end_objects\":%" PRIu64,
	    s->nbytes, s->peak, s->peak_count, ticks_seconds(s->peak_time), s->live,
	    s->live_count);
	fprintf(f, ",\"unknown\":%" PRIu64 ",\"unseen\":%" PRIu64 ",\"lost\":%" PRIu64
	    ",\"missing_blocks\":%" PRIu64 ",\"damaged_blocks\":%" PRIu64, o->unknown, o->twice,
	    o->lost, o->missing, o->damaged);
	put_curve(f, s);
	put_buckets(f, s);
	put_threads(f, o);
	put_stacks(f, s);
	fputc('}', f);
}

/* --- events ---------------------------------------------------------------------------------- */

struct events {
	FILE *f;
	const struct trace_order *o;
	const char *comma;
	uint64_t live, live_count;
	double point;      /* time of the last point of the curves */
	size_t named;      /* threads that have their names */
};

static void
put_point(struct events *e, double time)
{
	fprintf(e->f, "%s{\"ph\":\"C\",\"name\":\"allocated\",\"pid\":%d,\"ts\":%.3f,\"args\":{"
	    "\"bytes\":%" PRIu64 "}},\n{\"ph\":\"C\",\"name\":\"objects\",\"pid\":%d,\"ts\":%.3f,"
	    "\"args\":{\"objects\":%" PRIu64 "}}", e->comma, e->o->pid, time * 1e6, e->live,
	    e->o->pid, time * 1e6, e->live_count);
	e->comma = ",\n";
	e->point = time;
}

static void
put_names(struct events *e)
{
	for (; e->named < e->o->thread_count; e->named++) {
		fprintf(e->f, "%s{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%d,\"tid\":%zu,\"args\":{"
		    "\"name\":\"%d\"}}", e->comma, e->o->pid, e->named + 1,
		    e->o->threads[e->named].tid);
		e->comma = ",\n";
	}
}

static void
put_event(struct events *e, const struct trace_step *step, double time)
{
	const struct trace_record *r = step->record;
	uint64_t size = r->op == TRACE_FREE ? step->object == NULL ? 0 : step->object->size : r->size;

	fprintf(e->f, "%s{\"ph\":\"X\",\"name\":\"%s\",\"cat\":\"malloc\",\"pid\":%d,\"tid\":%u,"
	    "\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"bytes\":%" PRIu64 ",\"address\":\"0x%" PRIx64
	    "\"}}", e->comma, trace_op_name(r), e->o->pid, step->thread + 1, time * 1e6,
	    ticks_seconds(r->took == 0 ? 1 : r->took) * 1e6, size, r->address);
	e->comma = ",\n";
}

static void
follow_live(struct events *e, const struct trace_step *step)
{
	if (step->object == NULL)
		return;
	if (step->kind == STEP_FREE) {
		e->live -= step->object->size;
		e->live_count--;
		return;
	}
	e->live += step->object->size - step->old_size;
	e->live_count += step->kind == STEP_ALLOC;
}

bool
trace_show_events(FILE *f, const char *path, struct trace_order *o,
    const struct trace_span *span)
{
	struct events e = { .f = f, .o = o, .comma = ",\n", .point = -1 };
	struct trace_step step;
	uint64_t n = 0;
	bool cut = false;
	double time;

	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{\"ph\":\"M\",\"name\":\"process_name\",",
	    f);
	fprintf(f, "\"pid\":%d,\"args\":{\"name\":", o->pid);
	put_text(f, o->command);
	fputs("}}", f);
	while (trace_order_next(o, &step)) {
		time = ticks_seconds(step.time);
		if (step.kind == STEP_OTHER)
			continue;
		follow_live(&e, &step);
		if (time < span->from || time > span->to)
			continue;
		put_names(&e);
		if (time - e.point >= POINTS_APART)
			put_point(&e, time);
		if (step.kind == STEP_FREE && step.record->op != TRACE_FREE)
			continue;
		cut |= n == span->limit;
		if (n < span->limit) {
			put_event(&e, &step, time);
			n++;
		}
	}
	fputs("\n]}\n", f);
	if (o->no_memory)
		fail(STATUS_OTHER, "%s: out of memory", path);
	return cut;
}
