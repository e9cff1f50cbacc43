/*
 * profile_read.c: a profile's samples out of a process that goes on meanwhile, or out of a file;
 * see profile.h. Nothing that is read is believed: what makes no sense is left out.
 */
#include "profile.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SITE_MAX ((uint32_t)1 << 20)
#define WORD_MAX ((uint32_t)1 << 26)
#define DEPTH_MAX 1024U

static double
now_seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* All of a file of /proc, which does not tell its size. */
static char *
read_whole(const char *path, size_t *nbytes)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t have = 0;

	for (size_t n = 65536; f != NULL && n == 65536; have += n) {
		text = xgrow(text, have + 65536, 1);
		n = fread(text + have, 1, 65536, f);
	}
	if (f != NULL)
		fclose(f);
	*nbytes = have;
	return text;
}

void
profile_read(struct target *t, const struct phkmalloc_descriptor *d, struct profile *p)
{
	struct phkmalloc_profile head;
	struct phkmalloc_stacks stacks;
	char path[64], *maps;
	size_t nbytes;

	memset(p, 0, sizeof(*p));
	memcpy(p->host, t->host, sizeof(p->host));
	memcpy(p->program, t->program, sizeof(p->program));
	memcpy(p->library, d->library, sizeof(d->library));
	p->pid = t->pid;
	p->time = now_seconds(CLOCK_REALTIME);
	p->end_ms = (uint64_t)(now_seconds(CLOCK_MONOTONIC) * 1000);
	if (!target_read(t, d->profile, &head, sizeof(head))) {
		target_require(t);
		fail(STATUS_GONE, "process %d ended while it was read", t->pid);
	}
	p->start_ms = head.start_ms;
	p->nlost = head.nlost;
	if (head.sites != 0 && head.nsites > 1 && head.nsites <= SITE_MAX) {
		p->site_count = head.nsites;
		p->sites = xcalloc(p->site_count, sizeof(*p->sites));
		if (!target_read(t, head.sites, p->sites, p->site_count * sizeof(*p->sites)))
			p->site_count = 0;
	}
	/* After the sites: the stacks that these have are complete by now. */
	if (p->site_count > 0 && target_read(t, d->stacks, &stacks, sizeof(stacks)) &&
	    stacks.words != 0 && stacks.nwords <= WORD_MAX) {
		p->word_count = stacks.nwords;
		p->words = xcalloc(p->word_count, sizeof(*p->words));
		/* The first word is of no stack. */
		if (!target_read(t, stacks.words + 8, p->words + 1, ((size_t)p->word_count - 1) * 8))
			p->word_count = 0;
	}
	target_require(t);
	snprintf(path, sizeof(path), "/proc/%d/maps", t->pid);
	maps = read_whole(path, &nbytes);
	p->symbols = symbols_open(maps, nbytes, t->pid);
	free(maps);
}

void
profile_read_file(const char *path, struct profile *p)
{
	struct phkmalloc_profile_file head;
	size_t nbytes, sites, words;
	char *text = read_whole(path, &nbytes);

	memset(p, 0, sizeof(*p));
	if (text == NULL)
		fail(STATUS_FILE, "%s: %s", path, strerror(errno));
	if (nbytes < sizeof(head) || memcmp(text, PHKMALLOC_PROFILE_MAGIC,
	    sizeof(PHKMALLOC_PROFILE_MAGIC)) != 0)
		fail(STATUS_FILE, "%s: not a profile of phkmalloc", path);
	memcpy(&head, text, sizeof(head));
	sites = (size_t)head.nsites * sizeof(*p->sites);
	words = (size_t)head.nwords * sizeof(*p->words);
	if (head.version != PHKMALLOC_PROFILE_VERSION)
		fail(STATUS_VERSION, "%s: a profile of another version, %u", path, head.version);
	if (nbytes - sizeof(head) < sites || nbytes - sizeof(head) - sites < words)
		fail(STATUS_FILE, "%s: cut off after %zu bytes", path, nbytes);
	if (gethostname(p->host, sizeof(p->host) - 1) != 0)
		p->host[0] = '\0';
	snprintf(p->program, sizeof(p->program), "%.*s", (int)sizeof(head.program), head.program);
	snprintf(p->library, sizeof(p->library), "%.*s", (int)sizeof(head.library), head.library);
	p->pid = head.pid;
	p->time = (double)head.time;
	p->start_ms = head.start_ms;
	p->end_ms = head.end_ms;
	p->nlost = head.nlost;
	p->site_count = head.nsites;
	p->word_count = head.nwords;
	p->sites = xcalloc(p->site_count, sizeof(*p->sites));
	p->words = xcalloc(p->word_count, sizeof(*p->words));
	memcpy(p->sites, text + sizeof(head), sites);
	memcpy(p->words, text + sizeof(head) + sites, words);
	nbytes -= sizeof(head) + sites + words;
	p->symbols = symbols_open(text + sizeof(head) + sites + words, nbytes, 0);
	free(text);
}

/* What one in so many samples tells of all, by the formulas of phkmalloc_inspect.h. */
static void
scale(const struct phkmalloc_site *s, double n, double weight, double *objects, double *bytes)
{
	double mean, all;

	*objects = *bytes = 0;
	if (n <= 0 || weight <= 0)
		return;
	if (s->large != 0) {
		mean = weight / n;
		all = s->rate <= 1 ? 1 : 1 / (1 - exp(-mean / s->rate));
		*objects = n * all;
		*bytes = weight * all;
	} else if (s->size != 0) {
		*bytes = s->rate <= 1 ? weight * s->size : weight * s->rate;
		*objects = *bytes / s->size;
	}
}

static void
estimate(const struct phkmalloc_site *s, const struct phkmalloc_site *since, double seconds,
    struct estimate *e)
{
	double n = (double)s->nalloc, weight = (double)s->alloc_weight;
	double live = n - (double)s->nfree;
	double tenths = (double)(s->alloc_tenths - s->free_tenths);

	scale(s, live, weight - (double)s->free_weight, &e->live_objects, &e->live_bytes);
	e->live_age = live > 0 ? fmax(0, seconds - tenths / live / 10) : 0;
	if (since != NULL) {
		n -= (double)since->nalloc;
		weight -= (double)since->alloc_weight;
	}
	scale(s, n, weight, &e->objects, &e->bytes);
}

void
profile_rows(struct profile *p, const struct profile *since)
{
	double all = p->end_ms > p->start_ms ? (double)(p->end_ms - p->start_ms) / 1000 : 0;

	p->seconds = since == NULL ? all : (double)(p->end_ms - since->end_ms) / 1000;
	p->rows = xcalloc(p->site_count, sizeof(*p->rows));
	for (uint32_t i = 1; i < p->site_count; i++) {
		const struct phkmalloc_site *s = &p->sites[i];
		struct profile_row *r = &p->rows[p->row_count];
		uint64_t depth = s->stack < p->word_count ? p->words[s->stack] : 0;

		if (s->stack == 0 || depth > DEPTH_MAX || depth >= p->word_count - s->stack)
			depth = 0;
		r->stack = depth == 0 ? 0 : s->stack;
		r->depth = (uint32_t)depth;
		r->frames = depth == 0 ? NULL : &p->words[s->stack + 1];
		estimate(s, since != NULL && i < since->site_count ? &since->sites[i] : NULL, all,
		    &r->e);
		r->nbytes = s->large != 0 && s->nalloc != 0 ? s->alloc_weight / s->nalloc : s->size;
		if (s->rate != 0)
			p->rate = s->rate;
		if (r->e.objects > 0 || r->e.live_objects > 0)
			p->row_count++;
	}
}

static int
by_stack(const void *a, const void *b)
{
	const struct profile_row *x = a, *y = b;

	return (x->stack > y->stack) - (x->stack < y->stack);
}

static int
by_live(const void *a, const void *b)
{
	const struct profile_row *x = a, *y = b;

	return (x->e.live_bytes < y->e.live_bytes) - (x->e.live_bytes > y->e.live_bytes);
}

static int
by_bytes(const void *a, const void *b)
{
	const struct profile_row *x = a, *y = b;

	return (x->e.bytes < y->e.bytes) - (x->e.bytes > y->e.bytes);
}

void
profile_merge(struct profile *p, bool live)
{
	size_t n = 0;

	qsort(p->rows, p->row_count, sizeof(*p->rows), by_stack);
	for (size_t i = 0; i < p->row_count; i++) {
		struct profile_row *to = &p->rows[n], *r = &p->rows[i];

		if (n == 0 || p->rows[n - 1].stack != r->stack) {
			*to = *r;
			n++;
			continue;
		}
		to--;
		if (to->e.live_objects + r->e.live_objects > 0)
			to->e.live_age = (to->e.live_age * to->e.live_objects +
			    r->e.live_age * r->e.live_objects) /
			    (to->e.live_objects + r->e.live_objects);
		to->e.objects += r->e.objects;
		to->e.bytes += r->e.bytes;
		to->e.live_objects += r->e.live_objects;
		to->e.live_bytes += r->e.live_bytes;
	}
	p->row_count = n;
	qsort(p->rows, n, sizeof(*p->rows), live ? by_live : by_bytes);
}

void
profile_free(struct profile *p)
{
	symbols_close(p->symbols);
	free(p->rows);
	free(p->sites);
	free(p->words);
}
