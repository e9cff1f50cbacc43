/*
 * top.c: `phkmalloc top`: the size classes of a heap while they change. Rates are of the time
 * between two looks; growth is since the command started.
 */
#include "command.h"
#include "find.h"

#include <curses.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum column { BY_SIZE, BY_LIVE, BY_BYTES, BY_PAGES, BY_MALLOC, BY_FREE, BY_GROWTH, COLUMN_COUNT };

struct row {
	uint32_t size; /* 0 for large allocations */
	double value[COLUMN_COUNT];
	double occupied;
};

struct view {
	struct snapshot first, before, now;
	enum column by;
	bool reversed;
	unsigned seconds;
};

static const struct view *sorted; /* for the comparison, which gets no argument */

static int
compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	double u = x->value[sorted->by], v = y->value[sorted->by];
	int order = u == v ? (x->size > y->size) - (x->size < y->size) : u > v ? -1 : 1;

	if (sorted->by == BY_SIZE)
		order = -order;
	return sorted->reversed ? -order : order;
}

/* Counters of a heap that is read while it changes can seem to step back a little. */
static double
rate(uint64_t now, uint64_t before, double seconds)
{
	return now > before && seconds > 0 ? (double)(now - before) / seconds : 0;
}

static unsigned
fill_rows(const struct view *v, struct row *rows)
{
	const struct snapshot *now = &v->now, *before = &v->before;
	double seconds = now->time - before->time;
	unsigned n = 0;

	for (uint32_t c = 0; c < now->class_count; c++) {
		const struct class_figures *f = &now->classes[c], *b = &before->classes[c];

		if (!class_is_used(f))
			continue;
		rows[n++] = (struct row){ f->size,
			{ f->size, (double)f->live, (double)f->live * f->size, (double)f->npages,
			    rate(f->nfreed + f->live, b->nfreed + b->live, seconds),
			    rate(f->nfreed, b->nfreed, seconds),
			    ((double)f->live - (double)v->first.classes[c].live) * f->size },
			percent(f->live, f->npages * f->nchunks) };
	}
	rows[n++] = (struct row){ 0,
		{ 1e9, (double)now->large_count, (double)now->large_nbytes, (double)now->large_npages,
		    rate(now->large_nmalloc, before->large_nmalloc, seconds),
		    rate(now->large_nfree, before->large_nfree, seconds),
		    (double)now->large_nbytes - (double)v->first.large_nbytes }, -1 };
	return n;
}

static void
draw_row(int y, const struct row *r)
{
	double growth = r->value[BY_GROWTH];
	char size[16] = "large", grown[32] = "";
	int width = (int)(r->occupied / 10 + 0.5);

	if (r->size != 0)
		snprintf(size, sizeof(size), "%u", r->size);
	if (growth != 0)
		snprintf(grown, sizeof(grown), "%c%s", growth > 0 ? '+' : '-',
		    show_bytes((uint64_t)(growth > 0 ? growth : -growth)));
	mvprintw(y, 0, "%7s %11s %10s %8s %12s %12s %11s  ", size,
	    show_count((uint64_t)r->value[BY_LIVE]), show_bytes((uint64_t)r->value[BY_BYTES]),
	    show_count((uint64_t)r->value[BY_PAGES]), show_count((uint64_t)r->value[BY_MALLOC]),
	    show_count((uint64_t)r->value[BY_FREE]), grown);
	if (r->occupied < 0)
		return;
	attron(A_REVERSE);
	for (int i = 0; i < width; i++)
		addch(' ');
	attroff(A_REVERSE);
	for (int i = width; i < 10; i++)
		addch(ACS_BULLET);
	printw(" %3.0f %%", r->occupied);
}

static void
draw(const struct view *v, const struct target *t)
{
	static const char *const names[] = { "size", "in use", "bytes", "pages", "malloc/s", "free/s",
		"grown" };
	static const int widths[] = { 7, 11, 10, 8, 12, 12, 11 };
	struct row rows[CLASS_MAX + 1];
	const struct snapshot *s = &v->now;
	double seconds = s->time - v->before.time;
	struct kernel_figures k;
	unsigned n = fill_rows(v, rows);

	kernel_figures(t, &k);
	sorted = v;
	qsort(rows, n, sizeof(*rows), compare);
	erase();
	attron(A_BOLD);
	mvprintw(0, 0, "%s, process %d", t->program, t->pid);
	attroff(A_BOLD);
	mvprintw(1, 0, "in use %s  heap %s  free %s  resident %s  malloc/s %s  free/s %s",
	    show_bytes(s->live_nbytes), show_bytes(s->npages * s->page_nbytes),
	    show_bytes(s->free_npages * s->page_nbytes), show_bytes(k.rss),
	    show_count((uint64_t)rate(s->nmalloc, v->before.nmalloc, seconds)),
	    show_count((uint64_t)rate(s->nfree, v->before.nfree, seconds)));
	move(3, 0);
	for (int c = 0; c < COLUMN_COUNT; c++) {
		attrset((enum column)c == v->by ? A_REVERSE | A_BOLD : A_BOLD);
		printw("%*s", widths[c], names[c]);
		attrset(A_NORMAL);
		addch(' ');
	}
	printw(" occupied");
	for (unsigned i = 0; i < n && (int)i + 5 < LINES; i++)
		draw_row((int)i + 4, &rows[i]);
	mvprintw(LINES - 1, 0, "s sort  r reverse  space now  q quit");
	refresh();
}

static void
end_screen(void)
{
	if (!isendwin())
		endwin();
}

static void
look(struct view *v, struct target *t, const struct phkmalloc_descriptor *d)
{
	v->before = v->now;
	(void)snapshot_take(t, d, false, NULL, &v->now);
	target_require(t);
	if (v->first.time == 0)
		v->first = v->before = v->now;
}

int
command_top(int argc, char **argv)
{
	static struct view v = { .by = BY_BYTES, .seconds = 1 };
	struct phkmalloc_descriptor d;
	struct target t;
	int c, key = ' ';

	while ((c = getopt(argc, argv, "d:")) != -1) {
		v.seconds = c == 'd' ? (unsigned)strtoul(optarg, NULL, 10) : 0;
		if (v.seconds == 0 || v.seconds > 3600)
			usage("top");
	}
	if (argc - optind != 1)
		usage("top");
	target_open_pid(&t, argv[optind]);
	(void)find_descriptor(&t, &d);
	target_require(&t);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		fail(STATUS_USAGE, "top needs a terminal; stat prints the same figures once");
	look(&v, &t, &d);
	initscr();
	atexit(end_screen);
	fail_first = end_screen;
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	for (; key != 'q'; key = getch()) {
		timeout((int)v.seconds * 1000);
		if (key == 's')
			v.by = (v.by + 1) % COLUMN_COUNT;
		else if (key == 'r')
			v.reversed = !v.reversed;
		else if (key == ' ' || key == ERR)
			look(&v, &t, &d);
		draw(&v, &t);
	}
	target_close(&t);
	return STATUS_OK;
}
