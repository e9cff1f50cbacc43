/*
 * stat.c: `phkmalloc stat`: heaps in figures; see stat.h.
 */
#include "stat.h"
#include "find.h"
#include "output.h"

#include <dirent.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void
print_head(FILE *f, const struct look *l)
{
	fprintf(f, "%s, process %d", l->t.program, l->t.pid);
	if (l->t.core != NULL)
		fprintf(f, ", from %s", l->t.core);
	fprintf(f, ", phkmalloc %s, options %s\n", l->s.library,
	    l->s.options[0] == '\0' ? "default" : l->s.options);
	if (l->k.rss != 0)
		fprintf(f, "resident set %s, at most %s\n", show_bytes(l->k.rss),
		    show_bytes(l->k.rss_max));
}

static void
print_totals(FILE *f, const struct snapshot *s)
{
	uint64_t page = s->page_nbytes;

	fprintf(f, "\nin use       %11s  in %s and %s\n", show_bytes(s->live_nbytes),
	    show_things(s->chunk_live, "chunk"), show_things(s->large_count, "large allocation"));
	fprintf(f, "asked for    %11s  of it, estimated; the other %.1f %% is rounding up\n",
	    show_bytes(s->asked_nbytes),
	    percent(s->live_nbytes - s->asked_nbytes, s->live_nbytes));
	fprintf(f, "heap         %11s  in %s, %s in use at most; of which\n",
	    show_bytes(s->npages * page), show_things(s->npages, "page"),
	    show_bytes(s->nused_max * page));
	fprintf(f, "  chunks     %11s  %.1f %% full; %s empty\n",
	    show_bytes(s->chunk_npages * page),
	    percent(chunk_bytes(s), s->chunk_npages * page),
	    show_things(s->hollow, "OS page"));
	fprintf(f, "  large      %11s  %s asked for\n", show_bytes(s->large_npages * page),
	    show_bytes(s->large_nbytes));
	fprintf(f, "  free       %11s  in %s, the longest %s; %s dirty\n",
	    show_bytes(s->free_npages * page), show_things(s->free_runs, "run"),
	    show_bytes(s->free_longest * page), show_bytes(s->free_ndirty * page));
	if (s->guard_npages != 0)
		fprintf(f, "  guards     %11s\n", show_bytes(s->guard_npages * page));
	if (s->held_npages != 0)
		fprintf(f, "  held back  %11s  freed, and kept by a thread or held back\n",
		    show_bytes(s->held_npages * page));
	if (s->unsettled_npages != 0)
		fprintf(f, "  unsettled  %11s  changed while they were read\n",
		    show_bytes(s->unsettled_npages * page));
	if (s->samples.nmalloc != 0)
		fprintf(f, "sampled      %11s  in %s allocations before guard pages, %s so far\n",
		    show_bytes(s->samples.live_nbytes),
		    show_count(s->samples.nmalloc - s->samples.nfree), show_count(s->samples.nmalloc));
	fprintf(f, "operations   %11s  allocations, %s frees\n", show_count(s->nmalloc),
	    show_count(s->nfree));
	fprintf(f, "owners       %11s  live, %s parked, %s other\n", show_count(s->owners_live),
	    show_count(s->owners_parked), show_count(s->owners_other));
}

static void
print_classes(FILE *f, const struct snapshot *s)
{
#define ROW "%5s %6s %10s %9s %6s %7s %5s %11s %11s\n"
	fprintf(f, "\n" ROW, "size", "asked", "in use", "bytes", "pages", "full", "empty",
	    "allocations", "frees");
	for (uint32_t c = 0; c < s->class_count; c++) {
		const struct class_figures *g = &s->classes[c];
		char size[16], full[16] = "", asked[16] = "";

		if (!class_is_used(g))
			continue;
		snprintf(size, sizeof(size), "%u", g->size);
		if (g->npages != 0)
			snprintf(full, sizeof(full), "%.1f %%", percent(g->live, g->npages * g->nchunks));
		if (g->rounding_nlooks != 0)
			snprintf(asked, sizeof(asked), "%.*f", g->size < 1000, class_asked(g));
		fprintf(f, ROW, size, asked, show_count(g->live), show_bytes(g->live * g->size),
		    show_count(g->npages), full, show_count(g->hollow),
		    show_count(g->nfreed + g->live), show_count(g->nfreed));
	}
	fprintf(f, ROW, "large", "", show_count(s->large_count), show_bytes(s->large_nbytes),
	    show_count(s->large_npages), "", "", show_count(s->large_nmalloc),
	    show_count(s->large_nfree));
#undef ROW
}

void
stat_text(FILE *f, const struct look *l)
{
	print_head(f, l);
	print_totals(f, &l->s);
	print_classes(f, &l->s);
}

void
stat_list(FILE *f, const struct look *looks, size_t n)
{
#define ROW "%8s  %-24.24s %10s %10s %10s %9s %16s\n"
	fprintf(f, ROW, "process", "program", "in use", "heap", "resident", "occupied", "allocations");
	for (size_t i = 0; i < n; i++) {
		const struct look *l = &looks[i];
		const struct snapshot *s = &l->s;
		char pid[16], occupied[16];

		snprintf(pid, sizeof(pid), "%d", l->t.pid);
		snprintf(occupied, sizeof(occupied), "%.1f %%", percent(chunk_bytes(s),
		    s->chunk_npages * s->page_nbytes));
		fprintf(f, ROW, pid, l->t.program, show_bytes(s->live_nbytes),
		    show_bytes(s->npages * s->page_nbytes), show_bytes(l->k.rss), occupied,
		    show_count(s->nmalloc));
	}
#undef ROW
}

/* What is asked for, of which processes. */
struct request {
	enum stat_format format;
	bool all;
	bool threads;
	uint64_t denied;  /* processes that may not be read */
	const char *path;
	unsigned seconds; /* between two looks; 0 for one only */
	char **pids;
	int pid_count;
	struct look *looks;
	size_t count;
};

static void
print_looks(const struct request *r)
{
	bool array = r->format == STAT_JSON && (r->all || r->pid_count > 1);
	bool list = r->format == STAT_TEXT && r->all;
	struct output o;

	output_begin(&o, r->path);
	if (r->format == STAT_METRICS)
		stat_metrics(o.f, r->looks, r->count, r->path);
	else if (list)
		stat_list(o.f, r->looks, r->count);
	fputs(array ? "[\n" : "", o.f);
	for (size_t i = 0; i < r->count; i++) {
		if (r->format == STAT_JSON) {
			stat_json(o.f, &r->looks[i], r->threads);
			fputs(i + 1 < r->count ? ",\n" : "\n", o.f);
		} else if (r->format == STAT_TEXT && !list) {
			fputs(i == 0 ? "" : "\n", o.f);
			stat_text(o.f, &r->looks[i]);
			if (r->threads)
				threads_text(o.f, &r->looks[i]);
		}
	}
	fputs(array ? "]\n" : "", o.f);
	output_end(&o);
}

/* --- several processes, and more than once --------------------------------------------------- */

static bool
add_look(struct request *r, struct look *l)
{
	struct phkmalloc_descriptor d;

	if (l->t.status != STATUS_OK || !find_descriptor(&l->t, &d) ||
	    !snapshot_take(&l->t, &d, false, NULL, &l->s))
		return false;
	say_damage(&l->t, &l->s);
	kernel_figures(&l->t, &l->k);
	if ((r->count & (r->count - 1)) == 0)
		r->looks = xgrow(r->looks, r->count == 0 ? 1 : r->count * 2, sizeof(*l));
	r->looks[r->count++] = *l;
	return true;
}

/* Others than those on the library, or that end meanwhile, are none of our business. */
static void
look_at_all(struct request *r)
{
	struct dirent *e;
	DIR *d = opendir("/proc");

	while (d != NULL && (e = readdir(d)) != NULL) {
		struct look l = { 0 };
		long pid = strtol(e->d_name, NULL, 10);

		if (pid > 0 && target_try_pid(&l.t, (pid_t)pid) && add_look(r, &l))
			continue;
		if (pid > 0) {
			r->denied += l.t.status == STATUS_NOT_PERMITTED;
			target_close(&l.t);
		}
	}
	if (d != NULL)
		closedir(d);
}

/* Of one process the command ends with what is wrong; of several it says it and goes on. */
static enum status
look_at_each(struct request *r)
{
	enum status status = STATUS_OK;

	for (int i = 0; i < r->pid_count; i++) {
		struct look l = { 0 };

		target_try_text(&l.t, r->pids[i]);
		if (add_look(r, &l))
			continue;
		if (r->pid_count == 1)
			target_require(&l.t);
		fprintf(stderr, "phkmalloc: %s\n", l.t.why);
		status = l.t.status;
		target_close(&l.t);
	}
	return status;
}

static volatile sig_atomic_t ended;

static void
end_soon(int number)
{
	(void)number;
	ended = 1;
}

static enum status
look_once(struct request *r)
{
	enum status status = STATUS_OK;

	if (r->all)
		look_at_all(r);
	else
		status = look_at_each(r);
	if (r->count > 0 || r->all)
		print_looks(r);
	if (r->denied > 0 && r->format == STAT_TEXT && geteuid() != 0)
		fprintf(stderr, "phkmalloc: there are %s more that only their users and root may read\n",
		    show_count(r->denied));
	r->denied = 0;
	for (size_t i = 0; i < r->count; i++) {
		snapshot_free(&r->looks[i].s);
		target_close(&r->looks[i].t);
	}
	free(r->looks);
	r->looks = NULL;
	r->count = 0;
	return status;
}

static enum status
look_again(struct request *r)
{
	const struct sigaction soon = { .sa_handler = end_soon };
	struct timespec next;
	enum status status;

	sigaction(SIGTERM, &soon, NULL);
	sigaction(SIGINT, &soon, NULL);
	clock_gettime(CLOCK_MONOTONIC, &next);
	while ((status = look_once(r)) == STATUS_OK && !ended) {
		next.tv_sec += r->seconds;
		while (!ended && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) != 0)
			;
		if (r->format == STAT_TEXT && r->path == NULL && !ended)
			putchar('\n');
		if (ended)
			break;
	}
	return status;
}

static const struct option long_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "openmetrics", no_argument, NULL, 'm' },
	{ "all", no_argument, NULL, 'a' },
	{ "threads", no_argument, NULL, 't' },
	{ "every", required_argument, NULL, 'e' },
	{ 0 },
};

static bool
take_option(struct request *r, int c)
{
	char *end;

	if (c == 'j')
		r->format = STAT_JSON;
	else if (c == 'm')
		r->format = STAT_METRICS;
	else if (c == 'a')
		r->all = true;
	else if (c == 't')
		r->threads = true;
	else if (c == 'o')
		r->path = optarg;
	else if (c != 'e')
		return false;
	if (c != 'e')
		return true;
	r->seconds = (unsigned)strtoul(optarg, &end, 10);
	return *end == '\0' && r->seconds > 0 && r->seconds <= 86400;
}

void
stat_core(int argc, char **argv, const char *path)
{
	struct request r = { .format = STAT_TEXT, .pid_count = 1, .count = 1 };
	struct look l = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		if ((c != 'j' && c != 'm' && c != 't') || !take_option(&r, c))
			usage("core");
	if (optind != argc)
		usage("core");
	target_open_core(&l.t, path);
	look_at_heap(&l.t, false, &l.s);
	r.looks = &l;
	print_looks(&r);
	snapshot_free(&l.s);
	target_close(&l.t);
}

int
command_stat(int argc, char **argv)
{
	struct request r = { .format = STAT_TEXT };
	int c;

	while ((c = getopt_long(argc, argv, "o:", long_options, NULL)) != -1)
		if (!take_option(&r, c))
			usage("stat");
	r.pids = argv + optind;
	r.pid_count = argc - optind;
	if ((r.pid_count == 0) != r.all)
		usage("stat");
	return (int)(r.seconds == 0 ? look_once(&r) : look_again(&r));
}
