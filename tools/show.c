/*
 * show.c: numbers, strings and progress as people and programs read them; what the kernel says of
 * memory; a look at a heap that is there or else the end.
 */
#include "command.h"
#include "find.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFERS 16U

static char *
next_buffer(void)
{
	static char buffers[BUFFERS][64];
	static unsigned next;

	return buffers[next++ % BUFFERS];
}

const char *
show_bytes(uint64_t n)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	char *b = next_buffer();
	double v = (double)n;
	unsigned u = 0;

	for (; v >= 1024 && u < 6; u++)
		v /= 1024;
	snprintf(b, 32, "%.*f %s", u == 0 || v >= 1000 ? 0 : 1, v, units[u]);
	return b;
}

const char *
show_count(uint64_t n)
{
	char *b = next_buffer();
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	int at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			b[at++] = ',';
		b[at++] = digits[i];
	}
	b[at] = '\0';
	return b;
}

const char *
show_things(uint64_t n, const char *one)
{
	char *b = next_buffer();

	snprintf(b, 64, "%s %s%s", show_count(n), one, n == 1 ? "" : "s");
	return b;
}

double
percent(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : 100 * (double)part / (double)whole;
}

void
put_quoted(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		fputc(iscntrl((unsigned char)*s) ? '?' : *s, f);
	}
	fputc('"', f);
}

void
kernel_figures(const struct target *t, struct kernel_figures *k)
{
	char path[64], line[256];
	FILE *f;

	memset(k, 0, sizeof(*k));
	snprintf(path, sizeof(path), "/proc/%d/status", t->pid);
	f = t->core == NULL ? fopen(path, "re") : NULL;
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned long kib;

		if (sscanf(line, "VmRSS: %lu", &kib) == 1)
			k->rss = (uint64_t)kib * 1024;
		if (sscanf(line, "VmHWM: %lu", &kib) == 1)
			k->rss_max = (uint64_t)kib * 1024;
	}
	fclose(f);
}

static bool progress_shown;

void
progress(const char *what, uint64_t done, uint64_t all)
{
	static double start, last;
	struct timespec t;
	double now;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
	if (start == 0)
		start = now;
	if (now - start < 0.5 || now - last < 0.1 || !isatty(STDERR_FILENO))
		return;
	last = now;
	progress_shown = true;
	fprintf(stderr, "\r%s: %.0f %% \033[K", what, percent(done, all));
	fflush(stderr);
}

void
progress_end(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
}

static void
reading(uint64_t done, uint64_t all)
{
	progress("reading the heap", done, all);
}

void
say_damage(const struct target *t, const struct snapshot *s)
{
	if (s->damage != 0)
		fprintf(stderr, "phkmalloc: the bookkeeping of %s contradicts itself in %s places, which "
		    "are left out\n", t->program, show_count(s->damage));
	if (s->cut)
		fprintf(stderr, "phkmalloc: the heap of %s has more pages than are looked at; the rest is "
		    "counted as unsettled\n", t->program);
}

void
look_at_heap(struct target *t, bool with_runs, struct snapshot *s)
{
	struct phkmalloc_descriptor d;

	if (find_descriptor(t, &d))
		(void)snapshot_take(t, &d, with_runs, reading, s);
	progress_end();
	target_require(t);
	say_damage(t, s);
}
