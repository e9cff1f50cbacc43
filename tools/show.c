/*
 * show.c: numbers and strings as people and programs read them; what the kernel says of memory.
 */
#include "command.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define BUFFERS 16U

static char *
next_buffer(void)
{
	static char buffers[BUFFERS][32];
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
