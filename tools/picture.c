/*
 * picture.c: the map as an SVG or PNG file; see map.h. One layout, two ways to put a rectangle and
 * a text on it. Pages that are too many for cells that can be seen share them; where they are few
 * their chunks are drawn. An SVG has a path for each colour, in units of a cell: it stays small.
 */
#include "map.h"

#include <cairo.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WIDTH 1240.0
#define MARGIN 36.0
#define GUTTER 76.0 /* for addresses, left of the cells */
#define TOP 134.0
#define GRID_WIDTH (WIDTH - 2 * MARGIN - GUTTER)
#define GRID_HEIGHT 720.0
#define CELLS_MAX 24000U
#define CELL_MAX 96.0
#define CHUNKS_FROM 30.0 /* the side of a cell that its chunks are drawn from */
#define CHUNKS_MAX 40000U /* in use, of a heap whose chunks are drawn */
#define COLORS_MAX 1024U
#define LEGEND_COLUMNS 8U
#define LEGEND_ROW 34.0
#define PNG_SCALE 2.0

#define PAPER 0xfbfaf7
#define INK 0x1d2126
#define SOFT 0x5d6670

/* Rectangles of one colour in an SVG. */
struct path {
	uint32_t rgb;
	char *text;
	size_t size;
	FILE *f;
};

struct paths {
	struct path path[COLORS_MAX];
	size_t count;
};

struct picture {
	const struct snapshot *s;
	const struct target *t;
	FILE *svg;   /* one of the two */
	cairo_t *png;
	uint64_t group; /* pages in a cell */
	uint64_t columns;
	uint64_t rows;
	double cell;
	double height;
	bool with_chunks;
	struct paths cells, chunks; /* SVG only */
};

static void
rect(struct picture *p, double x, double y, double w, double h, uint32_t rgb)
{
	if (p->svg != NULL) {
		fprintf(p->svg, "<path fill=\"#%06x\" d=\"M%.5g %.5gh%.5gv%.5gh-%.5gz\"/>\n", rgb, x,
		    y, w, h, w);
		return;
	}
	cairo_set_source_rgb(p->png, (rgb >> 16) / 255.0, (rgb >> 8 & 255) / 255.0,
	    (rgb & 255) / 255.0);
	cairo_rectangle(p->png, x, y, w, h);
	cairo_fill(p->png);
}

/* At the right of x, or with align 1 at its left. */
static void
text(struct picture *p, double x, double y, double size, bool bold, int align, uint32_t rgb,
    const char *words)
{
	cairo_text_extents_t e;

	if (p->svg != NULL) {
		fprintf(p->svg, "<text x=\"%.5g\" y=\"%.5g\" font-size=\"%g\" fill=\"#%06x\"%s%s>", x, y,
		    size, rgb, bold ? " font-weight=\"700\"" : "",
		    align != 0 ? " text-anchor=\"end\"" : "");
		for (; *words != '\0'; words++) {
			if (*words == '<' || *words == '&')
				fprintf(p->svg, "&#%d;", *words);
			else
				fputc(*words, p->svg);
		}
		fprintf(p->svg, "</text>\n");
		return;
	}
	cairo_select_font_face(p->png, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
	    bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
	cairo_set_font_size(p->png, size);
	cairo_text_extents(p->png, words, &e);
	cairo_set_source_rgb(p->png, (rgb >> 16) / 255.0, (rgb >> 8 & 255) / 255.0,
	    (rgb & 255) / 255.0);
	cairo_move_to(p->png, align != 0 ? x - e.x_advance : x, y);
	cairo_show_text(p->png, words);
}

static FILE *
path_of(struct paths *paths, uint32_t rgb)
{
	size_t i = 0;

	while (i < paths->count && paths->path[i].rgb != rgb)
		i++;
	if (i == COLORS_MAX)
		fail(STATUS_OTHER, "more colours than a picture can have");
	if (i == paths->count) {
		struct path *new = &paths->path[paths->count++];

		new->rgb = rgb;
		new->f = xmemstream(&new->text, &new->size);
	}
	return paths->path[i].f;
}

/* In units of a cell; stroke is what their edges lose, so that there is a gap between them. */
static void
put_paths(struct picture *p, struct paths *paths, double stroke)
{
	fprintf(p->svg, "<g transform=\"translate(%g %g) scale(%.6g)\"", MARGIN + GUTTER, TOP, p->cell);
	if (stroke > 0)
		fprintf(p->svg, " stroke=\"#%06x\" stroke-width=\"%.4g\"", PAPER, stroke);
	fprintf(p->svg, ">\n");
	for (size_t i = 0; i < paths->count; i++) {
		struct path *path = &paths->path[i];

		if (fclose(path->f) != 0)
			fail(STATUS_OTHER, "out of memory");
		fprintf(p->svg, "<path fill=\"#%06x\" d=\"%s\"/>\n", path->rgb, path->text);
		free(path->text);
	}
	fprintf(p->svg, "</g>\n");
}

static double
gap_of(const struct picture *p)
{
	return p->cell >= 14 ? 2 : p->cell >= 6 ? 1 : 0;
}

/* Cells from..to-1 in one colour, as bars that go on in the next row. */
static void
bar(struct picture *p, uint64_t from, uint64_t to, uint32_t rgb)
{
	double gap = gap_of(p);

	while (from < to) {
		uint64_t column = from % p->columns, row = from / p->columns;
		uint64_t n = p->columns - column < to - from ? p->columns - column : to - from;

		if (p->svg != NULL)
			fprintf(path_of(&p->cells, rgb), "M%" PRIu64 " %" PRIu64 "h%" PRIu64 "v1h-%"
			    PRIu64 "z", column, row, n, n);
		else
			rect(p, MARGIN + GUTTER + (double)column * p->cell,
			    TOP + (double)row * p->cell, (double)n * p->cell - gap, p->cell - gap, rgb);
		from += n;
	}
}

/* A rectangle inside the cell of a page, in parts of what is left of it beside the gap. */
static void
chunk_rect(struct picture *p, uint64_t page, double x, double y, double w, double h, uint32_t rgb)
{
	double side = p->cell - gap_of(p);
	uint64_t column = page % p->columns, row = page / p->columns;
	double left = (double)column, top = (double)row;

	if (p->svg != NULL) {
		double part = side / p->cell, edge = gap_of(p) / p->cell / 2;

		fprintf(path_of(&p->chunks, rgb), "M%.5g %.5gh%.3gv%.3gh-%.3gz", left + edge + x * part,
		    top + edge + y * part, w * part, h * part, w * part);
		return;
	}
	rect(p, MARGIN + GUTTER + left * p->cell + x * side, TOP + top * p->cell + y * side, w * side,
	    h * side, rgb);
}

/* The chunks of a page that are in use, in rows; those beside each other are one rectangle. */
static void
draw_chunks(struct picture *p, uint64_t page, const struct run *run, const uint64_t *used)
{
	uint32_t n = p->s->classes[run->class_no].nchunks;
	uint32_t columns = (uint32_t)ceil(sqrt(n)), rows = (n + columns - 1) / columns;
	uint32_t rgb = color_class(p->s, run->class_no, 1, false);

	bar(p, page, page + 1, color_class(p->s, run->class_no, 0, false));
	for (uint32_t i = 0; i < n;) {
		uint32_t end = i, row = i / columns, row_end = (row + 1) * columns;

		while (end < n && end < row_end && (used[end / 64] >> end % 64 & 1) != 0)
			end++;
		if (end > i)
			chunk_rect(p, page, (double)(i % columns) / columns, (double)row / rows,
			    (double)(end - i) / columns, 1.0 / rows, rgb);
		i = end > i ? end : i + 1;
	}
}

static uint32_t
run_color(const struct snapshot *s, const struct run *run)
{
	if (run->kind != RUN_CHUNKS)
		return color_kind((enum run_kind)run->kind, false);
	return color_class(s, run->class_no, (double)run->live / s->classes[run->class_no].nchunks,
	    false);
}

/* What most of a cell's pages are: sums by size class, then by kind. */
struct mix {
	uint64_t npages[CLASS_MAX + RUN_UNSETTLED + 1];
	uint64_t live[CLASS_MAX];
};

static uint32_t
mix_color(const struct snapshot *s, const struct mix *m)
{
	size_t most = 0;

	for (size_t i = 1; i < CLASS_MAX + RUN_UNSETTLED + 1; i++)
		if (m->npages[i] > m->npages[most])
			most = i;
	if (most >= CLASS_MAX)
		return color_kind((enum run_kind)(most - CLASS_MAX), false);
	return color_class(s, (uint32_t)most,
	    (double)m->live[most] / (double)(m->npages[most] * s->classes[most].nchunks), false);
}

static void
draw_cells(struct picture *p)
{
	const struct snapshot *s = p->s;
	struct mix m = { 0 };
	const uint64_t *used = s->bitmaps;
	uint64_t page = 0;

	for (size_t i = 0; i < s->run_count; i++) {
		const struct run *run = &s->runs[i];
		size_t what = run->kind == RUN_CHUNKS ? run->class_no : CLASS_MAX + run->kind;

		if (p->with_chunks && run->kind == RUN_CHUNKS) {
			draw_chunks(p, page++, run, used);
			used += (s->classes[run->class_no].nchunks + 63) / 64;
			continue;
		}
		if (p->group == 1) {
			bar(p, page, page + run->npages, run_color(s, run));
			page += run->npages;
			continue;
		}
		for (uint64_t left = run->npages; left > 0;) {
			uint64_t room = p->group - page % p->group;
			uint64_t n = left < room ? left : room;

			m.npages[what] += n;
			if (run->kind == RUN_CHUNKS)
				m.live[what] += run->live;
			page += n;
			left -= n;
			if (n == room || (left == 0 && i + 1 == s->run_count)) {
				uint64_t cell = (page - 1) / p->group;

				bar(p, cell, cell + 1, mix_color(s, &m));
				m = (struct mix){ 0 };
			}
		}
	}
}

/* Round offsets, each at the row that it lies in. */
static void
draw_offsets(struct picture *p)
{
	uint64_t row = p->columns * p->group * p->s->page_nbytes, step = p->s->page_nbytes;
	uint64_t end = p->s->npages * p->s->page_nbytes;

	while (step < row || (double)step / (double)row * p->cell < 44)
		step *= 2;
	for (uint64_t at = 0; at < end; at += step) {
		const char *words = show_bytes(at), *zero = strstr(words, ".0 ");
		uint64_t row_no = at / row;
		char whole[32];

		snprintf(whole, sizeof(whole), "%.*s%s", zero == NULL ? 32 : (int)(zero - words), words,
		    zero == NULL ? "" : zero + 2);
		text(p, MARGIN + GUTTER - 12, TOP + (double)row_no * p->cell + 10, 10.5, false, 1,
		    SOFT, whole);
	}
}

static void
draw_head(struct picture *p)
{
	const struct snapshot *s = p->s;
	char words[256], date[32];
	time_t now = (time_t)s->time;
	struct tm tm;

	strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", localtime_r(&now, &tm));
	snprintf(words, sizeof(words), "Heap of %s", p->t->program);
	text(p, MARGIN, 56, 26, true, 0, INK, words);
	snprintf(words, sizeof(words), "process %d%s%s, %s, phkmalloc %s", p->t->pid,
	    p->t->host[0] == '\0' ? "" : " on ", p->t->host, p->t->core == NULL ? date : "core file",
	    s->library);
	text(p, MARGIN, 80, 13, false, 0, SOFT, words);
	snprintf(words, sizeof(words), "%s in use of %s: chunks %s (%.0f %% occupied), large %s, "
	    "free %s in %s. A cell is %s.", show_bytes(s->live_nbytes),
	    show_bytes(s->npages * s->page_nbytes), show_bytes(s->chunk_npages * s->page_nbytes),
	    percent(chunk_bytes(s), s->chunk_npages * s->page_nbytes),
	    show_bytes(s->large_npages * s->page_nbytes),
	    show_bytes(s->free_npages * s->page_nbytes), show_things(s->free_runs, "run"),
	    show_bytes(p->group * s->page_nbytes));
	text(p, MARGIN, 104, 13, false, 0, INK, words);
}

static void
legend_entry(struct picture *p, unsigned i, double top, const uint32_t *shades, const char *name,
    uint64_t nbytes)
{
	unsigned column = i % LEGEND_COLUMNS, row = i / LEGEND_COLUMNS;
	double x = MARGIN + column * ((WIDTH - 2 * MARGIN) / LEGEND_COLUMNS);
	double y = top + row * LEGEND_ROW;

	for (int shade = 0; shade < 4; shade++)
		rect(p, x + shade * 9, y, 9, 22, shades[shade]);
	text(p, x + 44, y + 9, 11, true, 0, INK, name);
	text(p, x + 44, y + 21, 10, false, 0, SOFT, show_bytes(nbytes));
}

static void
draw_legend(struct picture *p, double top)
{
	const struct snapshot *s = p->s;
	const uint64_t npages[] = { 0, s->large_npages, s->free_npages, s->guard_npages,
		s->held_npages, s->unsettled_npages };
	static const char *const names[] = { "", "large", "free", "guard", "held back",
		"unsettled" };
	unsigned n = 0;
	char name[16];

	for (uint32_t c = 0; c < s->class_count; c++) {
		uint32_t shades[4];

		if (s->classes[c].npages == 0)
			continue;
		for (int i = 0; i < 4; i++)
			shades[i] = color_class(s, c, i / 3.0, false);
		snprintf(name, sizeof(name), "%u", s->classes[c].size);
		legend_entry(p, n++, top, shades, name, s->classes[c].npages * s->page_nbytes);
	}
	for (int kind = RUN_LARGE; kind <= RUN_UNSETTLED; kind++) {
		uint32_t rgb = color_kind((enum run_kind)kind, false);

		if (npages[kind] != 0)
			legend_entry(p, n++, top, (uint32_t[]){ rgb, rgb, rgb, rgb }, names[kind],
			    npages[kind] * s->page_nbytes);
	}
}

static void
lay_out(struct picture *p)
{
	uint64_t cells, entries = 4, legend_rows;

	for (p->group = 1; p->s->npages > p->group * CELLS_MAX;)
		p->group *= 2;
	cells = (p->s->npages + p->group - 1) / p->group;
	p->cell = sqrt(GRID_WIDTH * GRID_HEIGHT / (double)(cells == 0 ? 1 : cells));
	p->cell = fmin(CELL_MAX, p->cell);
	p->columns = (uint64_t)ceil(GRID_WIDTH / p->cell);
	if (p->columns > 12)
		p->columns = (p->columns + 7) / 8 * 8; /* rows start at round numbers */
	p->cell = GRID_WIDTH / (double)p->columns;
	p->rows = (cells + p->columns - 1) / p->columns;
	p->with_chunks = p->s->bitmaps != NULL && p->cell >= CHUNKS_FROM &&
	    p->s->chunk_live <= CHUNKS_MAX;
	for (uint32_t c = 0; c < p->s->class_count; c++)
		entries += p->s->classes[c].npages != 0;
	legend_rows = (entries + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
	p->height = TOP + (double)p->rows * p->cell + 60 + (double)legend_rows * LEGEND_ROW +
	    MARGIN / 2;
}

static void
draw(struct picture *p)
{
	double top = TOP + (double)p->rows * p->cell + 28;

	rect(p, 0, 0, WIDTH, p->height, PAPER);
	draw_head(p);
	draw_offsets(p);
	draw_cells(p);
	if (p->svg != NULL) {
		put_paths(p, &p->cells, gap_of(p) / p->cell);
		put_paths(p, &p->chunks, 0);
	}
	text(p, MARGIN, top + 12, 12, true, 0, INK, "Bytes of a chunk");
	text(p, MARGIN + 124, top + 12, 12, false, 0, SOFT,
	    p->with_chunks ? "those in use are strong; below, the memory of their pages" :
	    "from an empty page, pale, to a full one; below, the memory of its pages");
	draw_legend(p, top + 28);
}

void
map_svg(FILE *f, const struct target *t, const struct snapshot *s)
{
	struct picture p = { .s = s, .t = t, .svg = f };

	lay_out(&p);
	fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" "
	    "font-family=\"Inter,'DejaVu Sans',sans-serif\" shape-rendering=\"crispEdges\">\n",
	    WIDTH, p.height);
	draw(&p);
	fprintf(f, "</svg>\n");
}

static cairo_status_t
to_file(void *f, const unsigned char *data, unsigned n)
{
	return fwrite(data, 1, n, f) == n ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

void
map_png(FILE *f, const struct target *t, const struct snapshot *s)
{
	struct picture p = { .s = s, .t = t };
	cairo_surface_t *surface;

	lay_out(&p);
	surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)(WIDTH * PNG_SCALE),
	    (int)(p.height * PNG_SCALE));
	p.png = cairo_create(surface);
	cairo_scale(p.png, PNG_SCALE, PNG_SCALE);
	cairo_set_antialias(p.png, CAIRO_ANTIALIAS_NONE); /* of edges, not of text */
	draw(&p);
	if (cairo_surface_write_to_png_stream(surface, to_file, f) != CAIRO_STATUS_SUCCESS)
		fail(STATUS_FILE, "the picture cannot be written: %m");
	cairo_destroy(p.png);
	cairo_surface_destroy(surface);
}
