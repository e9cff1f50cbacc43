/*
 * metrics.c: a heap's figures as JSON and as metrics for Prometheus; see stat.h.
 */
#include "stat.h"

#include <inttypes.h>

struct field {
	const char *name;
	uint64_t value;
};

static void
json_object(const char *name, const struct field *fields, size_t n)
{
	printf("  \"%s\": {", name);
	for (size_t i = 0; i < n; i++)
		printf("%s\"%s\": %" PRIu64, i == 0 ? "" : ", ", fields[i].name, fields[i].value);
	printf("},\n");
}

#define JSON(name, ...) \
	json_object(name, (const struct field[]){ __VA_ARGS__ }, \
	    sizeof((const struct field[]){ __VA_ARGS__ }) / sizeof(struct field))

static void
json_classes(const struct snapshot *s)
{
	const char *comma = "";

	printf("  \"classes\": [");
	for (uint32_t c = 0; c < s->class_count; c++) {
		const struct class_figures *f = &s->classes[c];

		if (!class_is_used(f))
			continue;
		printf("%s\n    {\"size\": %u, \"live\": %" PRIu64 ", \"pages\": %" PRIu64
		    ", \"chunks_per_page\": %u, \"empty_os_pages\": %" PRIu64
		    ", \"allocations\": %" PRIu64 ", \"frees\": %" PRIu64 "}", comma, f->size,
		    f->live, f->npages, f->nchunks, f->hollow, f->nfreed + f->live, f->nfreed);
		comma = ",";
	}
	printf("\n  ]\n}\n");
}

static void
json_string(const char *name, const char *value)
{
	printf("  \"%s\": ", name);
	put_quoted(stdout, value);
	printf(",\n");
}

void
stat_json(const struct target *t, const struct snapshot *s, const struct kernel_figures *k)
{
	printf("{\n  \"time\": %.3f,\n", s->time);
	json_string("host", t->host);
	printf("  \"pid\": %d,\n", t->pid);
	json_string("program", t->program);
	json_string("version", s->library);
	json_string("options", s->options);
	JSON("kernel", { "rss_bytes", k->rss }, { "rss_max_bytes", k->rss_max });
	JSON("heap", { "page_bytes", s->page_nbytes }, { "arenas", s->arenas },
	    { "pages", s->npages }, { "live_bytes", s->live_nbytes },
	    { "unsettled_pages", s->unsettled_npages }, { "guard_pages", s->guard_npages },
	    { "purged_pages", s->npurged });
	JSON("chunks", { "live", s->chunk_live }, { "live_bytes", s->live_nbytes - s->large_nbytes },
	    { "pages", s->chunk_npages }, { "empty_os_pages", s->hollow });
	JSON("large", { "live", s->large_count }, { "live_bytes", s->large_nbytes },
	    { "pages", s->large_npages }, { "allocations", s->large_nmalloc },
	    { "frees", s->large_nfree });
	JSON("free", { "runs", s->free_runs }, { "pages", s->free_npages },
	    { "longest_pages", s->free_longest }, { "dirty_pages", s->free_ndirty });
	JSON("owners", { "live", s->owners_live }, { "parked", s->owners_parked },
	    { "other", s->owners_other });
	JSON("operations", { "allocations", s->nmalloc }, { "frees", s->nfree });
	json_classes(s);
}

struct metrics {
	const struct target *t;
	const struct snapshot *s;
};

/* A counter's name ends with _total here too: so the text format of Prometheus has it. */
static void
metric_head(const char *name, const char *type, const char *help)
{
	printf("# HELP phkmalloc_%s %s\n# TYPE phkmalloc_%s %s\n", name, help, name, type);
}

static void
metric_line(const struct metrics *m, const char *name, const char *label, const char *value,
    uint64_t n)
{
	printf("phkmalloc_%s{host=", name);
	put_quoted(stdout, m->t->host);
	printf(",pid=\"%d\",program=", m->t->pid);
	put_quoted(stdout, m->t->program);
	printf(",version=");
	put_quoted(stdout, m->s->library);
	if (label != NULL)
		printf(",%s=\"%s\"", label, value);
	printf("} %" PRIu64 "\n", n);
}

static void
metric(const struct metrics *m, const char *name, const char *type, const char *help, uint64_t n)
{
	metric_head(name, type, help);
	metric_line(m, name, NULL, NULL, n);
}

enum of { OF_LIVE, OF_BYTES, OF_PAGES, OF_HOLLOW, OF_ALLOCATIONS, OF_FREES };

static uint64_t
value_of(const struct class_figures *f, enum of of)
{
	switch (of) {
	case OF_LIVE:
		return f->live;
	case OF_BYTES:
		return f->live * f->size;
	case OF_PAGES:
		return f->npages;
	case OF_HOLLOW:
		return f->hollow;
	case OF_ALLOCATIONS:
		return f->nfreed + f->live;
	case OF_FREES:
		break;
	}
	return f->nfreed;
}

/* A line for each size class, and one for large allocations. */
static void
metric_classes(const struct metrics *m, const char *name, const char *type, const char *help,
    enum of of, uint64_t large)
{
	char size[16];

	metric_head(name, type, help);
	for (uint32_t c = 0; c < m->s->class_count; c++) {
		if (!class_is_used(&m->s->classes[c]))
			continue;
		snprintf(size, sizeof(size), "%u", m->s->classes[c].size);
		metric_line(m, name, "size", size, value_of(&m->s->classes[c], of));
	}
	metric_line(m, name, "size", "large", large);
}

void
stat_metrics(const struct target *t, const struct snapshot *s, const struct kernel_figures *k)
{
	const struct metrics m = { t, s };
	uint64_t page = s->page_nbytes;

	metric_classes(&m, "live", "gauge", "Allocations in use, by size class.", OF_LIVE,
	    s->large_count);
	metric_classes(&m, "live_bytes", "gauge", "Bytes in use, by size class.", OF_BYTES,
	    s->large_nbytes);
	metric_classes(&m, "pages", "gauge", "Allocator pages, by size class.", OF_PAGES,
	    s->large_npages);
	metric_classes(&m, "empty_os_pages", "gauge",
	    "OS pages among those of chunks that hold no chunk in use, by size class.", OF_HOLLOW, 0);
	metric_classes(&m, "allocations_total", "counter", "Allocations so far, by size class.",
	    OF_ALLOCATIONS, s->large_nmalloc);
	metric_classes(&m, "frees_total", "counter", "Frees so far, by size class.", OF_FREES,
	    s->large_nfree);
	metric(&m, "page_size_bytes", "gauge", "Bytes of an allocator page.", page);
	metric(&m, "heap_bytes", "gauge", "Addresses that the heap uses.", s->npages * page);
	metric(&m, "free_runs", "gauge", "Runs of free pages.", s->free_runs);
	metric(&m, "free_bytes", "gauge", "Bytes of free pages.", s->free_npages * page);
	metric(&m, "free_longest_bytes", "gauge", "The longest run of free pages.",
	    s->free_longest * page);
	metric(&m, "free_dirty_bytes", "gauge", "Free pages not yet given back to the kernel.",
	    s->free_ndirty * page);
	metric(&m, "unsettled_bytes", "gauge", "Pages that changed while they were read.",
	    s->unsettled_npages * page);
	metric(&m, "purged_pages_total", "counter", "Pages given back to the kernel.", s->npurged);
	metric_head("owners", "gauge", "Threads with pages of their own, and what ended ones left.");
	metric_line(&m, "owners", "state", "live", s->owners_live);
	metric_line(&m, "owners", "state", "parked", s->owners_parked);
	metric_line(&m, "owners", "state", "other", s->owners_other);
	if (t->core == NULL)
		metric(&m, "resident_bytes", "gauge", "Resident set of the process.", k->rss);
}
