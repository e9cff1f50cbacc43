/*
 * map.c: `phkmalloc map`, and the colours of all its pictures; see map.h. A picture appears under
 * its name when it is complete.
 */
#include "map.h"
#include "output.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t
channel(double linear)
{
	double v = linear <= 0.0031308 ? 12.92 * linear : 1.055 * pow(linear, 1 / 2.4) - 0.055;

	return (uint32_t)lround(255 * fmin(1, fmax(0, v)));
}

/* Björn Ottosson's OKLCH: equal steps look equal, whatever the hue. */
static uint32_t
oklch(double lightness, double chroma, double hue)
{
	double a = chroma * cos(hue * M_PI / 180), b = chroma * sin(hue * M_PI / 180);
	double l = pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
	double m = pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
	double s = pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);

	return channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s) << 16 |
	    channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s) << 8 |
	    channel(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
}

uint32_t
color_class(const struct snapshot *s, uint32_t class_no, double occupied, bool dark)
{
	double part = s->class_count > 1 ? (double)class_no / (s->class_count - 1) : 0;
	double hue = 265 - 300 * part;

	/* Neighbours in size are neighbours in hue; every other one is a little darker. */
	if (dark)
		return oklch(0.29 + (class_no % 2 == 0 ? 0.49 : 0.41) * occupied,
		    0.03 + 0.115 * occupied, hue);
	return oklch(0.95 - (class_no % 2 == 0 ? 0.31 : 0.38) * occupied,
	    0.025 + 0.135 * occupied, hue);
}

uint32_t
color_kind(enum run_kind kind, bool dark)
{
	switch (kind) {
	case RUN_LARGE:
		return dark ? 0x9aa4b2 : 0x4b5563;
	case RUN_FREE:
		return dark ? 0x262b31 : 0xeceae3;
	case RUN_GUARD:
		return dark ? 0xe5484d : 0xb91c1c;
	case RUN_HELD:
		return dark ? 0x6d6a55 : 0xcfc9a8;
	case RUN_CHUNKS:
	case RUN_UNSETTLED:
		break;
	}
	return 0xd946ef;
}

static const char *
suffix(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot == NULL ? "" : dot;
}

void
map_check_name(const char *path)
{
	const char *end = suffix(path);

	if (strcmp(end, ".svg") != 0 && strcmp(end, ".png") != 0 && strcmp(end, ".html") != 0)
		fail(STATUS_USAGE, "%s: a map's name ends in .svg, .png or .html", path);
}

void
map_write(struct target *t, const char *path)
{
	struct snapshot s;
	struct output o;

	look_at_heap(t, true, &s);
	output_begin(&o, path);
	if (strcmp(suffix(path), ".html") == 0)
		map_html(o.f, t, &s);
	else if (strcmp(suffix(path), ".png") == 0)
		map_png(o.f, t, &s);
	else
		map_svg(o.f, t, &s);
	output_end(&o);
	snapshot_free(&s);
}

const char *
map_options(int argc, char **argv)
{
	const char *path = NULL;
	int c;

	while ((c = getopt(argc, argv, "o:")) != -1) {
		if (c != 'o')
			usage("map");
		path = optarg;
	}
	if (path != NULL)
		map_check_name(path);
	else
		usage("map");
	return path;
}

int
command_map(int argc, char **argv)
{
	const char *path = map_options(argc, argv);
	struct target t;

	if (argc - optind != 1)
		usage("map");
	target_open_pid(&t, argv[optind]);
	map_write(&t, path);
	target_close(&t);
	return STATUS_OK;
}
