/*
 * stat.c: `phkmalloc stat`: a heap in figures; see stat.h.
 */
#include "stat.h"

#include <getopt.h>

static void
print_head(const struct target *t, const struct snapshot *s, const struct kernel_figures *k)
{
	printf("%s, process %d", t->program, t->pid);
	if (t->core != NULL)
		printf(", from %s", t->core);
	printf(", phkmalloc %s, options %s\n", s->library,
	    s->options[0] == '\0' ? "default" : s->options);
	if (k->rss != 0)
		printf("resident set %s, at most %s\n", show_bytes(k->rss), show_bytes(k->rss_max));
}

static void
print_totals(const struct snapshot *s)
{
	uint64_t page = s->page_nbytes;

	printf("\nin use       %11s  in %s chunks and %s large allocations\n",
	    show_bytes(s->live_nbytes), show_count(s->chunk_live), show_count(s->large_count));
	printf("heap         %11s  in %s pages, of which\n", show_bytes(s->npages * page),
	    show_count(s->npages));
	printf("  chunks     %11s  %.1f %% occupied; %s OS pages without a chunk in use\n",
	    show_bytes(s->chunk_npages * page),
	    percent(s->live_nbytes - s->large_nbytes, s->chunk_npages * page),
	    show_count(s->hollow));
	printf("  large      %11s  %s asked for\n", show_bytes(s->large_npages * page),
	    show_bytes(s->large_nbytes));
	printf("  free       %11s  in %s runs, the longest %s; %s not yet given back\n",
	    show_bytes(s->free_npages * page), show_count(s->free_runs),
	    show_bytes(s->free_longest * page), show_bytes(s->free_ndirty * page));
	if (s->guard_npages != 0)
		printf("  guards     %11s\n", show_bytes(s->guard_npages * page));
	if (s->unsettled_npages != 0)
		printf("  unsettled  %11s  changed while they were read\n",
		    show_bytes(s->unsettled_npages * page));
	printf("operations   %11s  allocations, %s frees\n", show_count(s->nmalloc),
	    show_count(s->nfree));
	printf("owners       %11s  live, %s parked, %s other\n", show_count(s->owners_live),
	    show_count(s->owners_parked), show_count(s->owners_other));
}

static void
print_classes(const struct snapshot *s)
{
#define ROW "%6s %12s %10s %9s %9s %9s %14s %14s\n"
	printf("\n" ROW, "size", "in use", "bytes", "pages", "occupied", "empty OS", "allocations",
	    "frees");
	for (uint32_t c = 0; c < s->class_count; c++) {
		const struct class_figures *f = &s->classes[c];
		char size[16], occupied[16] = "";

		if (!class_is_used(f))
			continue;
		snprintf(size, sizeof(size), "%u", f->size);
		if (f->npages != 0)
			snprintf(occupied, sizeof(occupied), "%.1f %%",
			    percent(f->live, f->npages * f->nchunks));
		printf(ROW, size, show_count(f->live), show_bytes(f->live * f->size),
		    show_count(f->npages), occupied, show_count(f->hollow),
		    show_count(f->nfreed + f->live), show_count(f->nfreed));
	}
	printf(ROW, "large", show_count(s->large_count), show_bytes(s->large_nbytes),
	    show_count(s->large_npages), "", "", show_count(s->large_nmalloc),
	    show_count(s->large_nfree));
#undef ROW
}

void
stat_print(struct target *t, enum stat_format format)
{
	struct snapshot s;
	struct kernel_figures k;

	look_at_heap(t, false, &s);
	kernel_figures(t, &k);
	if (format == STAT_JSON) {
		stat_json(t, &s, &k);
	} else if (format == STAT_METRICS) {
		stat_metrics(t, &s, &k);
	} else {
		print_head(t, &s, &k);
		print_totals(&s);
		print_classes(&s);
	}
	snapshot_free(&s);
	if (fflush(stdout) != 0)
		fail(STATUS_FILE, "standard output: %m");
}

enum stat_format
stat_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, STAT_JSON },
		{ "openmetrics", no_argument, NULL, STAT_METRICS },
		{ 0 },
	};
	enum stat_format format = STAT_TEXT;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == '?')
			usage("stat");
		format = (enum stat_format)c;
	}
	return format;
}

int
command_stat(int argc, char **argv)
{
	enum stat_format format = stat_options(argc, argv);
	struct target t;

	if (argc - optind != 1)
		usage("stat");
	target_open_pid(&t, argv[optind]);
	stat_print(&t, format);
	target_close(&t);
	return STATUS_OK;
}
