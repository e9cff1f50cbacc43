/*
 * profile_text.c: a profile as text: the stacks that allocated most, for people to read.
 */
#include "command.h"
#include "profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_SHOWN 12U

static const char *
show_age(double seconds)
{
	static char text[32];

	if (seconds < 10)
		snprintf(text, sizeof(text), "%.1f s", seconds);
	else if (seconds < 120)
		snprintf(text, sizeof(text), "%.0f s", seconds);
	else if (seconds < 7200)
		snprintf(text, sizeof(text), "%.0f min", seconds / 60);
	else
		snprintf(text, sizeof(text), "%.1f h", seconds / 3600);
	return text;
}

static void
put_frame(FILE *f, const struct symbol *s)
{
	const char *file = s->file == NULL ? NULL : strrchr(s->file, '/');

	fprintf(f, "      %s", s->name);
	if (s->file != NULL)
		fprintf(f, "  %s:%d", file == NULL ? s->file : file + 1, s->line);
	fputc('\n', f);
}

static void
put_stack(FILE *f, const struct profile *p, const struct profile_row *r, bool full)
{
	unsigned shown = 0;

	if (r->depth == 0)
		fputs("      [stack not recorded]\n", f);
	for (uint32_t k = 0; k < r->depth; k++) {
		size_t n;
		int module;
		const struct symbol *s = symbols_find(p->symbols, r->frames[k], &n, &module);

		for (size_t i = 0; i < n; i++) {
			if (!full && shown++ == FRAMES_SHOWN) {
				fprintf(f, "      ... %u more\n", r->depth - k);
				return;
			}
			put_frame(f, &s[i]);
		}
	}
}

/* What the figures rest on. */
static void
put_basis(FILE *f, const struct profile *p)
{
	uint64_t n = 0;

	for (uint32_t i = 1; i < p->site_count; i++)
		n += p->sites[i].nalloc;
	if (p->rate == 1)
		fprintf(f, "Every allocation was counted: %s.\n", show_count(n));
	else if (p->rate != 0)
		fprintf(f, "Estimated from %s samples, one for %s allocated on average.\n",
		    show_count(n), show_bytes(p->rate));
	if (n == 0 && p->nlost == 0)
		fputs("Nothing was sampled: little was allocated (see --rate), or options C, F, J or T "
		    "are on.\n", f);
	if (p->nlost != 0)
		fprintf(f, "%s samples are missing: the library had no room for them.\n",
		    show_count(p->nlost));
}

void
profile_text(FILE *f, const struct profile *p, bool live, size_t rows_max, bool full)
{
	double bytes = 0, objects = 0;
	size_t shown = 0, n = 0;

	for (size_t i = 0; i < p->row_count; i++) {
		const struct estimate *e = &p->rows[i].e;

		bytes += live ? e->live_bytes : e->bytes;
		objects += live ? e->live_objects : e->objects;
		n += (live ? e->live_bytes : e->bytes) > 0;
	}
	fprintf(f, "%s (%d): %s in %s allocations %s, from %zu stacks\n", p->program, p->pid,
	    show_bytes((uint64_t)llround(bytes)), show_count((uint64_t)llround(objects)),
	    live ? "in use" : "made", n);
	put_basis(f, p);
	if (live && n == 0 && p->row_count > 0)
		fputs("All that was seen was freed again; \"phkmalloc profile --allocated\" tells whose it "
		    "was.\n", f);
	for (size_t i = 0; i < p->row_count && shown < rows_max; i++) {
		const struct profile_row *r = &p->rows[i];
		double b = live ? r->e.live_bytes : r->e.bytes;
		double o = live ? r->e.live_objects : r->e.objects;

		if (b <= 0)
			continue;
		shown++;
		fprintf(f, "\n  %s (%.1f %%) in %s allocations", show_bytes((uint64_t)llround(b)),
		    100 * b / bytes, show_count((uint64_t)llround(o)));
		if (live)
			fprintf(f, ", %s old on average", show_age(r->e.live_age));
		fputc('\n', f);
		put_stack(f, p, r, full);
	}
	if (shown < n)
		fprintf(f, "\n%zu stacks with less are not shown (--top N shows more).\n", n - shown);
}
