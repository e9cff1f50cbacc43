/*
 * html.c: the map as one page that needs nothing else: tools/map.html with the heap's data in it.
 * Runs are packed in three 32-bit words each, which the page unpacks:
 *
 *   kind << 24 | class << 16 | chunks in use      pages      chunks: OS pages without a chunk in
 *                                                            use; free: dirty pages; large: bytes
 *                                                            of its pages that were not asked for
 */
#include "map.h"

#include <inttypes.h>
#include <string.h>

extern const char _binary_tools_map_html_start[], _binary_tools_map_html_end[];

static void
put_base64(FILE *f, const unsigned char *p)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (int i = 0; i < 12; i += 3) {
		unsigned v = (unsigned)p[i] << 16 | (unsigned)p[i + 1] << 8 | p[i + 2];

		fputc(digits[v >> 18], f);
		fputc(digits[v >> 12 & 63], f);
		fputc(digits[v >> 6 & 63], f);
		fputc(digits[v & 63], f);
	}
}

static void
put_run(FILE *f, const struct snapshot *s, const struct run *run)
{
	uint64_t unused = (uint64_t)run->npages * s->page_nbytes - run->nbytes;
	uint32_t words[3] = { (uint32_t)run->kind << 24 | (uint32_t)run->class_no << 16 | run->live,
		run->npages, 0 };
	unsigned char bytes[12];

	if (run->kind == RUN_CHUNKS)
		words[2] = run->hollow;
	else if (run->kind == RUN_FREE)
		words[2] = run->ndirty;
	else if (run->kind == RUN_LARGE)
		words[2] = unused > UINT32_MAX ? UINT32_MAX : (uint32_t)unused;
	memcpy(bytes, words, sizeof(bytes));
	put_base64(f, bytes);
}

/* Addresses follow from each other but for where an arena starts. */
static void
put_starts(FILE *f, const struct snapshot *s)
{
	uint64_t next = 0;
	const char *comma = "";

	fprintf(f, "],\"starts\":[");
	for (size_t i = 0; i < s->run_count; i++) {
		const struct run *run = &s->runs[i];

		if (i == 0 || run->address != next) {
			fprintf(f, "%s[%zu,\"%" PRIx64 "\"]", comma, i, run->address);
			comma = ",";
		}
		next = run->address + (uint64_t)run->npages * s->page_nbytes;
	}
}

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

static void
put_data(FILE *f, const struct target *t, const struct snapshot *s)
{
	struct kernel_figures k;

	kernel_figures(t, &k);
	fprintf(f, "{");
	put_name(f, "program", t->program);
	put_name(f, "host", t->host);
	put_name(f, "core", t->core == NULL ? "" : t->core);
	put_name(f, "version", s->library);
	put_name(f, "options", s->options);
	fprintf(f, "\"pid\":%d,\"time\":%.0f,\"page\":%u,\"osPage\":%u,\"rss\":%" PRIu64
	    ",\"nmalloc\":%" PRIu64 ",\"nfree\":%" PRIu64 ",\"owners\":%" PRIu64 ",\"kinds\":[",
	    t->pid, s->time, s->page_nbytes, s->os_page_nbytes, k.rss, s->nmalloc, s->nfree,
	    s->owners_live + s->owners_parked + s->owners_other);
	for (int kind = 0; kind <= RUN_UNSETTLED; kind++)
		fprintf(f, "%s\"#%06x\"", kind == 0 ? "" : ",", color_kind((enum run_kind)kind));
	fprintf(f, "],\"classes\":[");
	for (uint32_t c = 0; c < s->class_count; c++) {
		fprintf(f, "%s[%u,%u", c == 0 ? "" : ",", s->classes[c].size,
		    s->classes[c].nchunks);
		for (uint32_t i = 0; i < SHADE_COUNT; i++)
			fprintf(f, ",\"#%06x\"", color_class(s, c, (double)i / (SHADE_COUNT - 1)));
		fprintf(f, "]");
	}
	put_starts(f, s);
	fprintf(f, "],\"runs\":\"");
	for (size_t i = 0; i < s->run_count; i++)
		put_run(f, s, &s->runs[i]);
	fprintf(f, "\"}");
}

void
map_html(FILE *f, const struct target *t, const struct snapshot *s)
{
	static const char mark[] = "{/* data */}";
	const char *start = _binary_tools_map_html_start, *end = _binary_tools_map_html_end;
	const char *at = memmem(start, (size_t)(end - start), mark, sizeof(mark) - 1);

	if (at == NULL)
		fail(STATUS_OTHER, "the page for maps is damaged");
	fwrite(start, 1, (size_t)(at - start), f);
	put_data(f, t, s);
	at += sizeof(mark) - 1;
	fwrite(at, 1, (size_t)(end - at), f);
}
