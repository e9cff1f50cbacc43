/*
 * metrics.c: heaps' figures as JSON and as metrics for Prometheus; see stat.h.
 */
#include "stat.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct field {
	const char *name;
	uint64_t value;
};

static void
json_object(FILE *f, const char *name, const struct field *fields, size_t n)
{
	fprintf(f, "  \"%s\": {", name);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s\"%s\": %" PRIu64, i == 0 ? "" : ", ", fields[i].name, fields[i].value);
	fprintf(f, "},\n");
}

#define JSON(name, ...) \
	json_object(f, name, (const struct field[]){ __VA_ARGS__ }, \
	    sizeof((const struct field[]){ __VA_ARGS__ }) / sizeof(struct field))

static void
json_classes(FILE *f, const struct snapshot *s)
{
	const char *comma = "";

	fprintf(f, "  \"classes\": [");
	for (uint32_t c = 0; c < s->class_count; c++) {
		const struct class_figures *g = &s->classes[c];

		if (!class_is_used(g))
			continue;
		fprintf(f, "%s\n    {\"size\": %u, \"asked_mean_estimate\": %.1f, \"live\": %" PRIu64
		    ", \"pages\": %" PRIu64
		    ", \"chunks_per_page\": %u, \"empty_os_pages\": %" PRIu64
		    ", \"allocations\": %" PRIu64 ", \"frees\": %" PRIu64 "}", comma, g->size,
		    class_asked(g), g->live, g->npages, g->nchunks, g->hollow, g->nfreed + g->live,
		    g->nfreed);
		comma = ",";
	}
	fprintf(f, "\n  ]\n}");
}

static void
json_string(FILE *f, const char *name, const char *value)
{
	fprintf(f, "  \"%s\": ", name);
	put_quoted(f, value);
	fprintf(f, ",\n");
}

void
stat_json(FILE *f, struct look *l, bool with_threads)
{
	const struct target *t = &l->t;
	const struct snapshot *s = &l->s;
	const struct kernel_figures *k = &l->k;

	fprintf(f, "{\n  \"time\": %.3f,\n", s->time);
	json_string(f, "host", t->host);
	fprintf(f, "  \"pid\": %d,\n  \"start_time\": %.2f,\n", t->pid, t->start_time);
	json_string(f, "program", t->program);
	json_string(f, "version", s->library);
	json_string(f, "options", s->options);
	JSON("kernel", { "rss_bytes", k->rss }, { "rss_max_bytes", k->rss_max });
	JSON("heap", { "page_bytes", s->page_nbytes }, { "arenas", s->arenas },
	    { "pages", s->npages }, { "live_bytes", s->live_nbytes },
	    { "asked_bytes_estimate", s->asked_nbytes }, { "used_pages_max", s->nused_max },
	    { "unsettled_pages", s->unsettled_npages }, { "guard_pages", s->guard_npages },
	    { "held_pages", s->held_npages }, { "purged_pages", s->npurged },
	    { "contradictions", s->damage });
	JSON("chunks", { "live", s->chunk_live }, { "live_bytes", chunk_bytes(s) },
	    { "pages", s->chunk_npages }, { "empty_os_pages", s->hollow });
	JSON("large", { "live", s->large_count }, { "live_bytes", s->large_nbytes },
	    { "pages", s->large_npages }, { "allocations", s->large_nmalloc },
	    { "frees", s->large_nfree });
	JSON("samples", { "live_bytes", s->samples.live_nbytes },
	    { "allocations", s->samples.nmalloc }, { "frees", s->samples.nfree });
	JSON("free", { "runs", s->free_runs }, { "pages", s->free_npages },
	    { "longest_pages", s->free_longest }, { "dirty_pages", s->free_ndirty });
	JSON("owners", { "live", s->owners_live }, { "parked", s->owners_parked },
	    { "other", s->owners_other });
	JSON("operations", { "allocations", s->nmalloc }, { "frees", s->nfree });
	if (with_threads)
		threads_json(f, l);
	json_classes(f, s);
}

/* --- metrics --------------------------------------------------------------------------------- */

/*
 * What a file had before. A counter that is read from outside can be behind by what happened
 * during the look, so the next one could be lower, and Prometheus would take that for a restart.
 */
struct former {
	char *text;
	char **lines; /* sorted; the value stands behind a '\\0' where the blank was */
	size_t count;
};

static int
by_key(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
read_former(struct former *o, const char *path)
{
	FILE *f = path == NULL ? NULL : fopen(path, "re");
	size_t size = 0;
	char *line, *end, *blank;

	*o = (struct former){ 0 };
	if (f == NULL)
		return;
	if (getdelim(&o->text, &size, '\0', f) < 0) {
		free(o->text);
		o->text = NULL;
	}
	fclose(f);
	for (line = o->text; line != NULL && (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		blank = strrchr(line, ' ');
		if (line[0] == '#' || blank == NULL)
			continue;
		*blank = '\0';
		if ((o->count & (o->count - 1)) == 0)
			o->lines = xgrow(o->lines, o->count == 0 ? 1 : o->count * 2,
			    sizeof(*o->lines));
		o->lines[o->count++] = line;
	}
	if (o->count > 0)
		qsort(o->lines, o->count, sizeof(*o->lines), by_key);
}

/* The value of a line, or NULL. */
static const char *
find_former(const struct former *o, const char *key)
{
	char **found = o->count == 0 ? NULL :
	    bsearch(&key, o->lines, o->count, sizeof(*o->lines), by_key);

	return found == NULL ? NULL : *found + strlen(*found) + 1;
}

struct metrics {
	FILE *f;
	const struct look *looks;
	size_t count;
	struct former former;
	bool *same; /* the process is the one of the former file */
};

/* phkmalloc_NAME{labels}, to be freed. */
static char *
metric_key(const struct look *l, const char *name, const char *label, const char *value)
{
	char *key = NULL;
	size_t size;
	FILE *f = xmemstream(&key, &size);

	fprintf(f, "phkmalloc_%s{host=", name);
	put_quoted(f, l->t.host);
	fprintf(f, ",pid=\"%d\",program=", l->t.pid);
	put_quoted(f, l->t.program);
	fprintf(f, ",version=");
	put_quoted(f, l->s.library);
	if (label != NULL)
		fprintf(f, ",%s=\"%s\"", label, value);
	fputc('}', f);
	if (fclose(f) != 0)
		fail(STATUS_OTHER, "out of memory");
	return key;
}

static bool
is_counter(const char *name)
{
	size_t n = strlen(name);

	return n > 6 && strcmp(name + n - 6, "_total") == 0;
}

static void
metric_line(const struct metrics *m, size_t i, const char *name, const char *label,
    const char *value, uint64_t n)
{
	char *key = metric_key(&m->looks[i], name, label, value);

	if (m->same[i] && is_counter(name)) {
		const char *former = find_former(&m->former, key);
		uint64_t before = former == NULL ? 0 : strtoull(former, NULL, 10);

		if (before > n)
			n = before;
	}
	fprintf(m->f, "%s %" PRIu64 "\n", key, n);
	free(key);
}

/* A counter's name ends with _total here too: so the text format of Prometheus has it. */
static void
metric_head(const struct metrics *m, const char *name, const char *help)
{
	fprintf(m->f, "# HELP phkmalloc_%s %s\n# TYPE phkmalloc_%s %s\n", name, help, name,
	    is_counter(name) ? "counter" : "gauge");
}

/* Figures of the whole heap, each the number of something or of pages. */
struct family {
	const char *name;
	const char *help;
	uint64_t (*value)(const struct look *l);
};

#define VALUE(name, expression) \
	static uint64_t value_##name(const struct look *l) { return expression; }
VALUE(page_size, l->s.page_nbytes)
VALUE(heap, l->s.npages * l->s.page_nbytes)
VALUE(used_max, l->s.nused_max * l->s.page_nbytes)
VALUE(free_runs, l->s.free_runs)
VALUE(free, l->s.free_npages * l->s.page_nbytes)
VALUE(free_longest, l->s.free_longest * l->s.page_nbytes)
VALUE(free_dirty, l->s.free_ndirty * l->s.page_nbytes)
VALUE(held, l->s.held_npages * l->s.page_nbytes)
VALUE(unsettled, l->s.unsettled_npages * l->s.page_nbytes)
VALUE(sampled_live, l->s.samples.live_nbytes)
VALUE(sampled, l->s.samples.nmalloc)
VALUE(sampled_frees, l->s.samples.nfree)
VALUE(purged, l->s.npurged)
VALUE(contradictions, l->s.damage)
VALUE(resident, l->k.rss)
VALUE(resident_max, l->k.rss_max)

static const struct family families[] = {
	{ "page_size_bytes", "Bytes of an allocator page.", value_page_size },
	{ "heap_bytes", "Addresses that the heap uses.", value_heap },
	{ "used_max_bytes", "The most bytes of pages that were ever in use.", value_used_max },
	{ "free_runs", "Runs of free pages.", value_free_runs },
	{ "free_bytes", "Bytes of free pages.", value_free },
	{ "free_longest_bytes", "The longest run of free pages.", value_free_longest },
	{ "free_dirty_bytes", "Free pages not yet given back to the kernel.", value_free_dirty },
	{ "held_bytes", "Pages that were freed and are held back or kept by a thread.", value_held },
	{ "unsettled_bytes", "Pages that changed while they were read.", value_unsettled },
	{ "sampled_live_bytes", "Bytes in use by allocations before guard pages.", value_sampled_live },
	{ "sampled_allocations_total", "Allocations before guard pages so far.", value_sampled },
	{ "sampled_frees_total", "Frees of those so far.", value_sampled_frees },
	{ "purged_pages_total", "Pages given back to the kernel.", value_purged },
	{ "contradictions", "Places where the bookkeeping contradicts itself.", value_contradictions },
	{ "resident_bytes", "Resident set of the process.", value_resident },
	{ "resident_max_bytes", "The most that the resident set ever was.", value_resident_max },
};

/* Figures of each size class, and of large allocations. */
struct class_family {
	const char *name;
	const char *help;
	uint64_t (*value)(const struct class_figures *c);
	uint64_t (*large)(const struct look *l);
};

#define CLASS_VALUE(name, expression, large_expression) \
	static uint64_t class_##name(const struct class_figures *c) { return expression; } \
	static uint64_t large_##name(const struct look *l) { (void)l; return large_expression; }
CLASS_VALUE(live, c->live, l->s.large_count)
CLASS_VALUE(bytes, c->live * c->size, l->s.large_nbytes)
CLASS_VALUE(asked_bytes, (uint64_t)((double)c->live *class_asked(c)), l->s.large_nbytes)
CLASS_VALUE(pages, c->npages, l->s.large_npages)
CLASS_VALUE(hollow, c->hollow, 0)
CLASS_VALUE(allocations, c->nfreed + c->live, l->s.large_nmalloc)
CLASS_VALUE(frees, c->nfreed, l->s.large_nfree)

static const struct class_family class_families[] = {
	{ "live", "Allocations in use, by size class.", class_live, large_live },
	{ "live_bytes", "Bytes in use, by size class.", class_bytes, large_bytes },
	{ "asked_bytes", "What was asked for of the bytes in use, estimated, by size class.",
	    class_asked_bytes, large_asked_bytes },
	{ "pages", "Allocator pages, by size class.", class_pages, large_pages },
	{ "empty_os_pages", "OS pages among those of chunks that hold no chunk in use, by size class.",
	    class_hollow, large_hollow },
	{ "allocations_total", "Allocations so far, by size class.", class_allocations,
	    large_allocations },
	{ "frees_total", "Frees so far, by size class.", class_frees, large_frees },
};

#define COUNT_OF(x) (sizeof(x) / sizeof((x)[0]))

static void
metric_classes(const struct metrics *m, const struct class_family *family)
{
	char size[16];

	metric_head(m, family->name, family->help);
	for (size_t i = 0; i < m->count; i++) {
		const struct snapshot *s = &m->looks[i].s;

		for (uint32_t c = 0; c < s->class_count; c++) {
			if (!class_is_used(&s->classes[c]))
				continue;
			snprintf(size, sizeof(size), "%u", s->classes[c].size);
			metric_line(m, i, family->name, "size", size, family->value(&s->classes[c]));
		}
		metric_line(m, i, family->name, "size", "large", family->large(&m->looks[i]));
	}
}

static void
metric_owners(const struct metrics *m)
{
	metric_head(m, "owners", "Threads with pages of their own, and what ended ones left.");
	for (size_t i = 0; i < m->count; i++) {
		metric_line(m, i, "owners", "state", "live", m->looks[i].s.owners_live);
		metric_line(m, i, "owners", "state", "parked", m->looks[i].s.owners_parked);
		metric_line(m, i, "owners", "state", "other", m->looks[i].s.owners_other);
	}
}

/* Tells too which processes are still those of the former file. */
static void
metric_starts(const struct metrics *m)
{
	metric_head(m, "start_time_seconds", "When the process started, in seconds since 1970.");
	for (size_t i = 0; i < m->count; i++) {
		char *key = metric_key(&m->looks[i], "start_time_seconds", NULL, NULL);
		char value[32];
		const char *former = find_former(&m->former, key);

		snprintf(value, sizeof(value), "%.2f", m->looks[i].t.start_time);
		/* The kernel's idea of when it started can move a little with the clock. */
		m->same[i] = former != NULL &&
		    fabs(strtod(former, NULL) - m->looks[i].t.start_time) < 2;
		fprintf(m->f, "%s %s\n", key, value);
		free(key);
	}
}

void
stat_metrics(FILE *f, const struct look *looks, size_t n, const char *before)
{
	struct metrics m = { .f = f, .looks = looks, .count = n, .same = xcalloc(n, sizeof(bool)) };

	read_former(&m.former, before);
	if (n > 0)
		metric_starts(&m);
	for (size_t k = 0; k < COUNT_OF(class_families) && n > 0; k++)
		metric_classes(&m, &class_families[k]);
	for (size_t k = 0; k < COUNT_OF(families) && n > 0; k++) {
		metric_head(&m, families[k].name, families[k].help);
		for (size_t i = 0; i < n; i++)
			metric_line(&m, i, families[k].name, NULL, NULL, families[k].value(&looks[i]));
	}
	if (n > 0)
		metric_owners(&m);
	free(m.former.text);
	free(m.former.lines);
	free(m.same);
}
