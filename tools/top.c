/*
 * top.c: `phkmalloc top`: the size classes of a heap while they change. Rates are of the time
 * between two looks; growth is since the command started, or since key g. When the process ends
 * its last figures stay until the user has seen them.
 */
#include "command.h"
#include "find.h"

#include <curses.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum column { BY_SIZE, BY_LIVE, BY_BYTES, BY_PAGES, BY_MALLOC, BY_FREE, BY_GROWTH, COLUMN_COUNT };

#define HISTORY 512U
#define ROWS_AT 6 /* line of the first row */
#define BAR 10

struct row {
	uint32_t size; /* 0 for large allocations */
	double value[COLUMN_COUNT];
	double occupied; /* percent, or negative for none */
};

struct view {
	struct snapshot first, before, now;
	struct kernel_figures k;
	enum column by;
	bool reversed;
	bool paused;
	bool ended;
	bool help;
	unsigned seconds;
	int scroll;
	uint64_t live[HISTORY]; /* bytes in use, of the last looks */
	size_t looks;
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

/* Counters of a heap that is read while it changes can be behind by a little. */
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

/* Columns from the left that the terminal has room for; the sizes are always there. */
static const struct {
	const char *name;
	int width;
} columns[COLUMN_COUNT] = {
	{ "size", 7 }, { "in use", 12 }, { "bytes", 11 }, { "pages", 9 }, { "malloc/s", 13 },
	{ "free/s", 13 }, { "grown", 12 },
};

static int
column_at(int c)
{
	int x = 0;

	for (int i = 0; i < c; i++)
		x += columns[i].width;
	return x;
}

static bool
fits(int c)
{
	return column_at(c) + columns[c].width <= COLS;
}

static void
draw_bar(double part)
{
	int width = (int)(part / 100 * BAR + 0.5);

	attron(A_REVERSE);
	for (int i = 0; i < width; i++)
		addch(' ');
	attroff(A_REVERSE);
	for (int i = width; i < BAR; i++)
		addch(ACS_BULLET);
	printw(" %3.0f %%", part);
}

static void
draw_row(int y, const struct row *r)
{
	double growth = r->value[BY_GROWTH];
	char size[16] = "large", grown[40] = "";
	const char *words[COLUMN_COUNT] = { size, show_count((uint64_t)r->value[BY_LIVE]),
		show_bytes((uint64_t)r->value[BY_BYTES]), show_count((uint64_t)r->value[BY_PAGES]),
		show_count((uint64_t)r->value[BY_MALLOC]), show_count((uint64_t)r->value[BY_FREE]),
		grown };

	if (r->size != 0)
		snprintf(size, sizeof(size), "%u", r->size);
	if (growth != 0)
		snprintf(grown, sizeof(grown), "%c%s", growth > 0 ? '+' : '-',
		    show_bytes((uint64_t)(growth > 0 ? growth : -growth)));
	for (int c = 0; c < COLUMN_COUNT && fits(c); c++) {
		if (c == BY_GROWTH && growth > 0)
			attron(A_BOLD);
		mvprintw(y, column_at(c), "%*s", columns[c].width, words[c]);
		attroff(A_BOLD);
	}
	if (r->occupied >= 0 && column_at(COLUMN_COUNT) + BAR + 8 <= COLS) {
		move(y, column_at(COLUMN_COUNT) + 2);
		draw_bar(r->occupied);
	}
}

/* Bytes in use over the last looks, from the least to the most there was. */
static void
draw_history(const struct view *v, int y)
{
	static const wchar_t *const blocks[] = { L"▁", L"▂", L"▃", L"▄", L"▅", L"▆", L"▇", L"█" };
	size_t n = v->looks < HISTORY ? v->looks : HISTORY;
	size_t width = COLS > 60 ? (size_t)COLS - 60 : 0;
	uint64_t least = UINT64_MAX, most = 0;

	if (n > width)
		n = width;
	if (n < 2)
		return;
	for (size_t i = 1; i <= n; i++) {
		uint64_t live = v->live[(v->looks - i) % HISTORY];

		least = live < least ? live : least;
		most = live > most ? live : most;
	}
	move(y, 0);
	printw("%s ", show_bytes(least));
	for (size_t i = n; i >= 1; i--) {
		uint64_t live = v->live[(v->looks - i) % HISTORY];

		addwstr(blocks[most == least ? 0 : (live - least) * 7 / (most - least)]);
	}
	printw(" %s in use, of the last %zu looks", show_bytes(most), n);
}

/* The rest of a line, as far as there is room. */
static __attribute__((format(printf, 1, 2))) void
say(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* The last column would take the cursor to the next line. */
	if (getcurx(stdscr) < COLS - 1)
		addnstr(text, COLS - 1 - getcurx(stdscr));
}

static void
draw_head(const struct view *v, const struct target *t)
{
	const struct snapshot *s = &v->now;
	double seconds = s->time - v->before.time;
	char clock[16];
	time_t when = (time_t)s->time;
	struct tm tm;

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&when, &tm));
	attron(A_BOLD);
	move(0, 0);
	say("%s", t->program);
	attroff(A_BOLD);
	say(", process %d, %s, options %s", t->pid, clock,
	    s->options[0] == '\0' ? "default" : s->options);
	if (v->ended || v->paused) {
		attron(A_REVERSE);
		say("%s", v->ended ? "  has ended: its last figures " : "  paused ");
		attroff(A_REVERSE);
	}
	move(1, 0);
	say("in use %s of %s, free %s, resident %s", show_bytes(s->live_nbytes),
	    show_bytes(s->npages * s->page_nbytes), show_bytes(s->free_npages * s->page_nbytes),
	    show_bytes(v->k.rss));
	move(2, 0);
	say("malloc/s %s, free/s %s, owners %s",
	    show_count((uint64_t)rate(s->nmalloc, v->before.nmalloc, seconds)),
	    show_count((uint64_t)rate(s->nfree, v->before.nfree, seconds)),
	    show_count(s->owners_live + s->owners_parked + s->owners_other));
	say(", asked for about %s", show_bytes(s->asked_nbytes));
	if (s->unsettled_npages != 0)
		say(", %s unsettled", show_bytes(s->unsettled_npages * s->page_nbytes));
	draw_history(v, 3);
}

static void
draw_titles(const struct view *v)
{
	for (int c = 0; c < COLUMN_COUNT && fits(c); c++) {
		attrset((enum column)c == v->by ? A_REVERSE | A_BOLD : A_BOLD);
		mvprintw(ROWS_AT - 1, column_at(c), "%*s", columns[c].width, columns[c].name);
	}
	if (column_at(COLUMN_COUNT) + BAR + 8 <= COLS)
		mvprintw(ROWS_AT - 1, column_at(COLUMN_COUNT) + 2, "occupied");
	attrset(A_NORMAL);
}

static void
draw_help(void)
{
	static const char *const lines[] = {
		"s, arrow right   sort by the next column   S, arrow left   by the one before",
		"r                turn the order            g               count growth from now on",
		"arrows, pages    other rows                p               pause",
		"+ -              more or less time between two looks",
		"space            look now                  q               quit",
	};

	for (int i = 0; i < (int)(sizeof(lines) / sizeof(lines[0])); i++)
		mvprintw(ROWS_AT + i, 2, "%s", lines[i]);
}

static void
draw(struct view *v, const struct target *t)
{
	struct row rows[CLASS_MAX + 1];
	int n = (int)fill_rows(v, rows), room = LINES - ROWS_AT - 1;

	sorted = v;
	qsort(rows, (size_t)n, sizeof(*rows), compare);
	if (v->scroll > n - room)
		v->scroll = n - room;
	if (v->scroll < 0)
		v->scroll = 0;
	erase();
	draw_head(v, t);
	draw_titles(v);
	if (v->help)
		draw_help();
	for (int i = 0; !v->help && i < room && i + v->scroll < n; i++)
		draw_row(i + ROWS_AT, &rows[i + v->scroll]);
	move(LINES - 1, 0);
	say("s sort  r reverse  g growth  p pause  h help  q quit");
	say("   every %u s", v->seconds);
	if (n > room && !v->help)
		say("   %d to %d of %d", v->scroll + 1,
		    v->scroll + room < n ? v->scroll + room : n, n);
	refresh();
}

static void
end_screen(void)
{
	if (stdscr != NULL && !isendwin())
		endwin();
}

/* Only sums are shown, so what a snapshot owns goes at once. */
static void
look(struct view *v, struct target *t, const struct phkmalloc_descriptor *d)
{
	struct snapshot s;
	bool ok;

	if (v->ended)
		return;
	ok = snapshot_take(t, d, false, NULL, &s);
	snapshot_free(&s);
	if (!ok) {
		if (v->looks == 0 || t->status != STATUS_GONE)
			target_require(t);
		v->ended = true;
		v->before = v->now;
		return;
	}
	v->before = v->looks == 0 ? s : v->now;
	v->now = s;
	if (v->looks == 0)
		v->first = s;
	v->live[v->looks++ % HISTORY] = s.live_nbytes;
	kernel_figures(t, &v->k);
}

static void
take_key(struct view *v, int key)
{
	int page = LINES - ROWS_AT - 1;

	if (key == 's' || key == KEY_RIGHT)
		v->by = (v->by + 1) % COLUMN_COUNT;
	else if (key == 'S' || key == KEY_LEFT)
		v->by = (v->by + COLUMN_COUNT - 1) % COLUMN_COUNT;
	else if (key == 'r')
		v->reversed = !v->reversed;
	else if (key == 'g')
		v->first = v->now;
	else if (key == 'p')
		v->paused = !v->paused;
	else if (key == 'h' || key == '?')
		v->help = !v->help;
	else if (key == '+')
		v->seconds += v->seconds < 3600;
	else if (key == '-')
		v->seconds -= v->seconds > 1;
	else if (key == KEY_DOWN || key == KEY_UP)
		v->scroll += key == KEY_DOWN ? 1 : -1;
	else if (key == KEY_NPAGE || key == KEY_PPAGE)
		v->scroll += key == KEY_NPAGE ? page : -page;
}

static double
seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Looks go on in time, however often keys are pressed. */
static void
run_screen(struct view *v, struct target *t, const struct phkmalloc_descriptor *d)
{
	double next = seconds_now() + v->seconds;

	for (int key = 0; key != 'q'; key = getch()) {
		double left;

		take_key(v, key);
		if (key == ' ' || (seconds_now() >= next && !v->paused))
			look(v, t, d);
		if (seconds_now() >= next || key == ' ' || key == '+' || key == '-')
			next = seconds_now() + v->seconds;
		draw(v, t);
		left = next - seconds_now();
		timeout(left > 0 ? (int)(left * 1000) + 1 : 1);
	}
}

int
command_top(int argc, char **argv)
{
	static struct view v = { .by = BY_BYTES, .seconds = 1 };
	struct phkmalloc_descriptor d;
	struct target t;
	int c;

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
	if (newterm(NULL, stdout, stdin) == NULL)
		fail(STATUS_OTHER, "the terminal \"%s\" is not known",
		    getenv("TERM") == NULL ? "" : getenv("TERM"));
	atexit(end_screen);
	fail_first = end_screen;
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	run_screen(&v, &t, &d);
	target_close(&t);
	return STATUS_OK;
}
