/*
 * html.c: the map as one page that needs nothing else: tools/map.html with the heap's data in it.
 * Runs are packed in three 32-bit words each, which the page unpacks:
 *
 *   kind << 24 | class << 16 | chunks in use      pages      chunks: OS pages without a chunk in
 *   (of a page)                                              use; free: dirty pages; large: bytes
 *                                                            of its pages that were not asked for
 *
 * A heap of more runs than a page can hold well is told in cells of several pages, each by what
 * most of it is; sums are exact in any case.
 */
#include "map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX ((size_t)1 << 18)
#define WHAT_COUNT (CLASS_MAX + RUN_UNSETTLED + 1)

extern const char _binary_tools_map_html_start[], _binary_tools_map_html_end[];

/* --- base64 ---------------------------------------------------------------------------------- */

struct base64 {
	FILE *f;
	unsigned char bytes[3];
	unsigned count;
};

static void
base64_flush(struct base64 *b)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned v = (unsigned)b->bytes[0] << 16 | (unsigned)b->bytes[1] << 8 | b->bytes[2];

	if (b->count == 0)
		return;
	fputc(digits[v >> 18], b->f);
	fputc(digits[v >> 12 & 63], b->f);
	fputc(b->count > 1 ? digits[v >> 6 & 63] : '=', b->f);
	fputc(b->count > 2 ? digits[v & 63] : '=', b->f);
	memset(b->bytes, 0, sizeof(b->bytes));
	b->count = 0;
}

/* The low bytes of a number, the lowest first. */
static void
base64_put(struct base64 *b, uint64_t v, unsigned nbytes)
{
	for (unsigned i = 0; i < nbytes; i++) {
		b->bytes[b->count++] = (unsigned char)(v >> 8 * i);
		if (b->count == 3)
			base64_flush(b);
	}
}

/* --- runs ------------------------------------------------------------------------------------ */

static void
put_run(struct base64 *b, const struct snapshot *s, const struct run *run)
{
	uint64_t unused = (uint64_t)run->npages * s->page_nbytes - run->nbytes, more = 0;

	if (run->kind == RUN_CHUNKS)
		more = run->hollow;
	else if (run->kind == RUN_FREE)
		more = run->ndirty;
	else if (run->kind == RUN_LARGE)
		more = unused > UINT32_MAX ? UINT32_MAX : unused;
	base64_put(b, (uint32_t)run->kind << 24 | (uint32_t)run->class_no << 16 | run->live, 4);
	base64_put(b, run->npages, 4);
	base64_put(b, more, 4);
}

/* Runs in few enough pieces, and what they are made from. */
struct coarse {
	const struct snapshot *s;
	uint64_t unit; /* pages */
	struct run *runs;
	size_t count;
	uint64_t npages[WHAT_COUNT]; /* of the cell that is being filled */
	uint64_t live[CLASS_MAX];
	uint64_t hollow, nbytes, filled, address;
};

static size_t
what_of(const struct run *run)
{
	return run->kind == RUN_CHUNKS ? run->class_no : CLASS_MAX + (size_t)run->kind;
}

static void
finish_cell(struct coarse *c)
{
	struct run run = { .address = c->address, .npages = (uint32_t)c->filled };
	struct run *last = c->count > 0 ? &c->runs[c->count - 1] : NULL;
	size_t most = 0;

	for (size_t i = 1; i < WHAT_COUNT; i++)
		if (c->npages[i] > c->npages[most])
			most = i;
	run.kind = most < CLASS_MAX ? RUN_CHUNKS : (uint8_t)(most - CLASS_MAX);
	run.class_no = most < CLASS_MAX ? (uint8_t)most : 0;
	if (run.kind == RUN_CHUNKS)
		run.live = (uint16_t)(c->live[most] / c->npages[most]);
	run.nbytes = run.kind == RUN_LARGE ? c->filled * c->s->page_nbytes : 0;
	if (last != NULL && run.kind != RUN_CHUNKS && last->kind == run.kind &&
	    last->address + (uint64_t)last->npages * c->s->page_nbytes == run.address &&
	    last->npages <= UINT32_MAX - run.npages) {
		last->npages += run.npages;
		last->nbytes += run.nbytes;
	} else {
		c->runs[c->count++] = run;
	}
	memset(c->npages, 0, sizeof(c->npages));
	memset(c->live, 0, sizeof(c->live));
	c->filled = 0;
}

/* False when there are more than fit in. */
static bool
coarsen(struct coarse *c)
{
	uint64_t next = 0;

	c->count = 0;
	for (size_t i = 0; i < c->s->run_count; i++) {
		const struct run *run = &c->s->runs[i];
		uint64_t left = run->npages;

		if (run->address != next && c->filled > 0)
			finish_cell(c);
		next = run->address + left * c->s->page_nbytes;
		while (left > 0 && c->count < RUNS_MAX) {
			uint64_t n = c->unit - c->filled < left ? c->unit - c->filled : left;

			if (c->filled == 0)
				c->address = next - left * c->s->page_nbytes;
			c->npages[what_of(run)] += n;
			if (run->kind == RUN_CHUNKS)
				c->live[run->class_no] += run->live;
			c->filled += n;
			left -= n;
			if (c->filled == c->unit)
				finish_cell(c);
		}
	}
	if (c->filled > 0 && c->count < RUNS_MAX)
		finish_cell(c);
	return c->count < RUNS_MAX;
}

/* The runs to be told: all, or cells that are as small as they can be. */
static void
choose_runs(const struct snapshot *s, struct coarse *c)
{
	*c = (struct coarse){ .s = s, .unit = 1, .runs = s->runs, .count = s->run_count };
	if (c->count <= RUNS_MAX)
		return;
	c->runs = xcalloc(RUNS_MAX, sizeof(*c->runs));
	do
		c->unit *= 2;
	while (!coarsen(c));
}

/* Addresses follow from each other but for where an arena starts. */
static void
put_starts(FILE *f, const struct coarse *c)
{
	uint64_t next = 0;
	const char *comma = "";

	fprintf(f, "\"starts\":[");
	for (size_t i = 0; i < c->count; i++) {
		const struct run *run = &c->runs[i];

		if (i == 0 || run->address != next) {
			fprintf(f, "%s[%zu,\"%" PRIx64 "\"]", comma, i, run->address);
			comma = ",";
		}
		next = run->address + (uint64_t)run->npages * c->s->page_nbytes;
	}
	fprintf(f, "],\n");
}

static void
put_runs(FILE *f, const struct coarse *c)
{
	struct base64 b = { .f = f };

	fprintf(f, "\"unit\":%" PRIu64 ",\n\"runs\":\"", c->unit);
	for (size_t i = 0; i < c->count; i++)
		put_run(&b, c->s, &c->runs[i]);
	base64_flush(&b);
	fprintf(f, "\",\n\"bits\":\"");
	for (size_t i = 0, at = 0; c->unit == 1 && c->s->bitmaps != NULL && i < c->count; i++) {
		uint32_t n = (c->s->classes[c->runs[i].class_no].nchunks + 7) / 8;

		if (c->runs[i].kind != RUN_CHUNKS)
			continue;
		for (; n > 8; n -= 8)
			base64_put(&b, c->s->bitmaps[at++], 8);
		base64_put(&b, c->s->bitmaps[at++], n);
	}
	base64_flush(&b);
	fprintf(f, "\"");
}

/* --- the rest -------------------------------------------------------------------------------- */

/* The same as in JSON, without what would end the script. */
static void
put_name(FILE *f, const char *key, const char *value)
{
	fprintf(f, "\"%s\":\"", key);
	for (; *value != '\0'; value++)
		if (*value >= ' ' && strchr("<>&\"\\", *value) == NULL)
			fputc(*value, f);
	fprintf(f, "\",");
}

/* Pages, chunks or runs, and of chunks the OS pages without one in use, by class and kind. */
static void
put_sums(FILE *f, const struct snapshot *s)
{
	const uint64_t kinds[][2] = { [RUN_CHUNKS] = { 0, 0 },
		[RUN_LARGE] = { s->large_npages, s->large_count },
		[RUN_FREE] = { s->free_npages, s->free_runs }, [RUN_GUARD] = { s->guard_npages, 0 },
		[RUN_HELD] = { s->held_npages, 0 }, [RUN_UNSETTLED] = { s->unsettled_npages, 0 } };

	fprintf(f, "\"sums\":[");
	for (uint32_t c = 0; c < s->class_count; c++)
		fprintf(f, "[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "],", s->classes[c].npages,
		    s->classes[c].live, s->classes[c].hollow);
	for (int kind = 0; kind <= RUN_UNSETTLED; kind++)
		fprintf(f, "[%" PRIu64 ",%" PRIu64 ",0]%s", kinds[kind][0], kinds[kind][1],
		    kind < RUN_UNSETTLED ? "," : "],\n");
}

static void
put_ramp(FILE *f, const struct snapshot *s, uint32_t c, bool dark)
{
	for (uint32_t i = 0; i < SHADE_COUNT; i++)
		fprintf(f, "%s\"#%06x\"", i == 0 ? "[" : ",",
		    color_class(s, c, (double)i / (SHADE_COUNT - 1), dark));
	fprintf(f, "]");
}

static void
put_colors(FILE *f, const struct snapshot *s)
{
	for (int dark = 0; dark < 2; dark++) {
		fprintf(f, "%s", dark ? "],\n[" : "\"kinds\":[[");
		for (int kind = 0; kind <= RUN_UNSETTLED; kind++)
			fprintf(f, "%s\"#%06x\"", kind == 0 ? "" : ",",
			    color_kind((enum run_kind)kind, dark));
	}
	fprintf(f, "]],\n\"classes\":[");
	for (uint32_t c = 0; c < s->class_count; c++) {
		fprintf(f, "%s[%u,%u,", c == 0 ? "" : ",\n", s->classes[c].size,
		    s->classes[c].nchunks);
		put_ramp(f, s, c, false);
		fprintf(f, ",");
		put_ramp(f, s, c, true);
		fprintf(f, "]");
	}
	fprintf(f, "],\n");
}

static void
put_data(FILE *f, const struct target *t, const struct snapshot *s)
{
	struct kernel_figures k;
	struct coarse c;

	kernel_figures(t, &k);
	choose_runs(s, &c);
	fprintf(f, "{");
	put_name(f, "program", t->program);
	put_name(f, "host", t->host);
	put_name(f, "core", t->core == NULL ? "" : t->core);
	put_name(f, "version", s->library);
	put_name(f, "options", s->options);
	fprintf(f, "\"pid\":%d,\"time\":%.0f,\"page\":%u,\"osPage\":%u,\"rss\":%" PRIu64
	    ",\"liveBytes\":%" PRIu64
	    ",\"askedBytes\":%" PRIu64 ",\n", t->pid, s->time, s->page_nbytes, s->os_page_nbytes,
	    k.rss, s->live_nbytes, s->asked_nbytes);
	put_sums(f, s);
	put_colors(f, s);
	put_starts(f, &c);
	put_runs(f, &c);
	fprintf(f, "}");
	if (c.runs != s->runs)
		free(c.runs);
}

void
map_html(FILE *f, const struct target *t, const struct snapshot *s)
{
	static const char mark[] = "{/* data */}";
	const char *start = _binary_tools_map_html_start, *end = _binary_tools_map_html_end;
	const char *at = memmem(start, (size_t)(end - start), mark, sizeof(mark) - 1);
	size_t before = at != NULL ? (size_t)(at - start) : 0;

	if (before == 0)
		fail(STATUS_OTHER, "the page for maps is damaged");
	fwrite(start, 1, before, f);
	put_data(f, t, s);
	before += sizeof(mark) - 1;
	fwrite(start + before, 1, (size_t)(end - start) - before, f);
}
