/*
 * map.h: a heap as a picture: cells in the order of addresses, coloured by what they hold.
 */
#ifndef TOOLS_MAP_H
#define TOOLS_MAP_H

#include "command.h"

/* Shades of a size class: 0 is a page without a chunk in use, the last one is full. */
#define SHADE_COUNT 9U

/*
 * 0xrrggbb, on light paper or dark. Classes from small to large go round the colours; whole pages
 * are grey.
 */
uint32_t color_class(const struct snapshot *s, uint32_t class_no, double occupied, bool dark);
uint32_t color_kind(enum run_kind kind, bool dark);

/* Reads the heap of an open target; the name of the file says what is drawn. */
void map_write(struct target *t, const char *path);
/* Exits when the name ends in none of .svg, .png and .html. */
void map_check_name(const char *path);
/* From the command line: -o FILE; leaves optind at what follows. */
const char *map_options(int argc, char **argv);

void map_html(FILE *f, const struct target *t, const struct snapshot *s);
void map_svg(FILE *f, const struct target *t, const struct snapshot *s);
void map_png(FILE *f, const struct target *t, const struct snapshot *s);

#endif
