/*
 * threads.c: what each thread's pages hold, for `phkmalloc stat --threads`; see stat.h. Chunks are
 * their page's owner's, whoever asked for them or uses them; a large allocation is nobody's.
 */
#include "stat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *
state_name(uint32_t state)
{
	static const char *const names[] = { "live", "parked", "late", "lost" };

	return state < 4 ? names[state] : "damaged";
}

/* The kernel's name of a thread that lives; else empty. */
static void
thread_name(const struct target *t, const struct owner_figures *o, char *name, size_t size)
{
	char path[80];
	FILE *f = NULL;

	name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", t->pid, o->thread);
	if (t->core == NULL && o->state == 0)
		f = fopen(path, "re");
	if (f == NULL)
		return;
	if (fgets(name, (int)size, f) != NULL)
		name[strcspn(name, "\n")] = '\0';
	fclose(f);
}

static int
by_live(const void *a, const void *b)
{
	const struct owner_figures *x = a, *y = b;

	if (x->live_nbytes != y->live_nbytes)
		return x->live_nbytes < y->live_nbytes ? 1 : -1;
	return (x->npages < y->npages) - (x->npages > y->npages);
}

/* The order is theirs from here on; the look is over. */
static void
sort(struct look *l)
{
	if (l->s.owner_count > 0)
		qsort(l->s.owners, l->s.owner_count, sizeof(*l->s.owners), by_live);
}

void
threads_text(FILE *f, struct look *l)
{
#define ROW "%8s  %-16s %-8s %12s %10s %9s %14s\n"
	char name[32], thread[16];

	sort(l);
	fprintf(f, "\n" ROW, "thread", "name", "state", "in use", "bytes", "pages", "frees");
	for (size_t i = 0; i < l->s.owner_count; i++) {
		const struct owner_figures *o = &l->s.owners[i];

		thread_name(&l->t, o, name, sizeof(name));
		snprintf(thread, sizeof(thread), "%d", o->thread);
		fprintf(f, ROW, thread, name, state_name(o->state), show_count(o->live),
		    show_bytes(o->live_nbytes), show_count(o->npages), show_count(o->nfreed));
	}
#undef ROW
}

void
threads_json(FILE *f, struct look *l)
{
	char name[32];

	sort(l);
	fprintf(f, "  \"threads\": [");
	for (size_t i = 0; i < l->s.owner_count; i++) {
		const struct owner_figures *o = &l->s.owners[i];

		thread_name(&l->t, o, name, sizeof(name));
		fprintf(f, "%s\n    {\"thread\": %d, \"name\": ", i == 0 ? "" : ",", o->thread);
		put_quoted(f, name);
		fprintf(f, ", \"state\": \"%s\", \"live\": %" PRIu64 ", \"live_bytes\": %" PRIu64
		    ", \"pages\": %" PRIu64 ", \"frees\": %" PRIu64 "}", state_name(o->state), o->live,
		    o->live_nbytes, o->npages, o->nfreed);
	}
	fprintf(f, "\n  ],\n");
}
