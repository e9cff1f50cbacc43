/*
 * trace_summary.c: one pass over a process's operations; see trace_summary.h.
 *
 * The curve starts with parts of a tick; when there are more than it has room for, two become one.
 */
#include "trace_summary.h"

#include "command.h"

#include <stdlib.h>
#include <string.h>

/* Sums by stack, open-addressed by its number. */
struct stack_table {
	struct stack_sum *sums;
	size_t mask, count;
};

struct reader {
	struct summary *s;
	const char *path;
	uint64_t live, live_count;
	struct stack_table stacks;
};

unsigned
size_bucket(uint64_t size)
{
	unsigned b = size <= 1 ? 0 : 64U - (unsigned)__builtin_clzll(size - 1);

	return b < SIZE_BUCKETS ? b : SIZE_BUCKETS - 1;
}

unsigned
life_bucket(uint64_t ticks)
{
	uint64_t limit_ns = 1000, ns = ticks < UINT64_MAX / TRACE_TICK_NS ?
	    ticks * TRACE_TICK_NS : UINT64_MAX;
	unsigned b = 0;

	while (b + 1 < LIFE_FOREVER && ns >= limit_ns) {
		limit_ns *= 10;
		b++;
	}
	return b;
}

const char *
size_label(unsigned bucket)
{
	static char text[32];
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned unit = bucket / 10;

	if (bucket == 0)
		return "0-1 B";
	if (bucket + 1 == SIZE_BUCKETS)
		return "more";
	if (unit == 0)
		snprintf(text, sizeof(text), bucket == 1 ? "2 B" : "%u-%u B",
		    (1U << (bucket - 1)) + 1, 1U << bucket);
	else
		snprintf(text, sizeof(text), "to %u %s", 1U << bucket % 10, units[unit]);
	return text;
}

const char *
life_label(unsigned bucket)
{
	static const char *const labels[LIFE_BUCKETS] = { "below 1 us", "1-10 us", "10-100 us",
		"0.1-1 ms", "1-10 ms", "10-100 ms", "0.1-1 s", "1-10 s", "10-100 s", "100-1000 s",
		"longer", "not freed" };

	return labels[bucket];
}

/* --- stacks ---------------------------------------------------------------------------------- */

static struct stack_sum *
stack_place(const struct stack_table *t, uint32_t stack)
{
	size_t i = (size_t)(stack * 2654435761U) & t->mask;

	while (t->sums[i].stack != 0 && t->sums[i].stack != stack)
		i = (i + 1) & t->mask;
	return &t->sums[i];
}

static struct stack_sum *
stack_sum(struct stack_table *t, uint32_t stack)
{
	struct stack_sum *sum;

	if (2 * t->count >= t->mask) {
		struct stack_table old = *t;

		t->mask = old.mask == 0 ? 255 : 2 * old.mask + 1;
		t->sums = xcalloc(t->mask + 1, sizeof(*t->sums));
		for (size_t i = 0; old.sums != NULL && i <= old.mask; i++)
			if (old.sums[i].stack != 0)
				*stack_place(t, old.sums[i].stack) = old.sums[i];
		free(old.sums);
	}
	sum = stack_place(t, stack);
	if (sum->stack == 0)
		t->count++;
	sum->stack = stack;
	return sum;
}

static int
by_bytes(const void *a, const void *b)
{
	const struct stack_sum *x = a, *y = b;

	/* Places of the table without a stack go last. */
	if ((x->stack == 0) != (y->stack == 0))
		return x->stack == 0 ? 1 : -1;
	if (x->nbytes != y->nbytes)
		return x->nbytes < y->nbytes ? 1 : -1;
	return (x->stack > y->stack) - (x->stack < y->stack);
}

/* --- the curve ------------------------------------------------------------------------------- */

static void
halve(struct summary *s)
{
	for (size_t i = 0; i < CURVE_MAX / 2; i++) {
		struct curve_part *to = &s->parts[i];
		struct curve_part a = s->parts[2 * i], b = s->parts[2 * i + 1];

		to->live = a.live > b.live ? a.live : b.live;
		to->live_count = a.live_count > b.live_count ? a.live_count : b.live_count;
		to->allocated = a.allocated + b.allocated;
		to->operations = a.operations + b.operations;
	}
	memset(s->parts + CURVE_MAX / 2, 0, sizeof(s->parts) / 2);
	s->part_ticks *= 2;
	s->part_count = (s->part_count + 1) / 2;
}

/* The part of a time; parts without an operation have what was allocated before. */
static struct curve_part *
part_of(struct reader *r, uint64_t time)
{
	struct summary *s = r->s;
	size_t i;

	while (time / s->part_ticks >= CURVE_MAX && s->part_ticks < UINT64_MAX / 4)
		halve(s);
	i = (size_t)(time / s->part_ticks);
	i = i < CURVE_MAX ? i : CURVE_MAX - 1;
	for (; s->part_count <= i; s->part_count++) {
		s->parts[s->part_count].live = r->live;
		s->parts[s->part_count].live_count = r->live_count;
	}
	return &s->parts[i];
}

/* --- operations ------------------------------------------------------------------------------ */

/* An object begins, or goes on with another size. */
static void
count_allocated(struct reader *r, const struct trace_step *step, uint32_t stack)
{
	struct summary *s = r->s;
	uint64_t size = step->object->size;
	struct size_bucket *b = &s->sizes[size_bucket(size)];

	b->count++;
	b->nbytes += size;
	s->nbytes += size;
	r->live += size;
	r->live_count++;
	if (stack != 0) {
		struct stack_sum *sum = stack_sum(&r->stacks, stack);

		sum->count++;
		sum->nbytes += size;
	}
}

static void
count_freed(struct reader *r, const struct trace_step *step)
{
	struct summary *s = r->s;
	const struct trace_object *object = step->object;
	unsigned life = life_bucket(step->time > object->time ? step->time - object->time : 0);

	r->live -= object->size;
	r->live_count--;
	s->freed++;
	s->remote += object->thread != step->thread;
	s->lives[life]++;
	s->sizes[size_bucket(object->size)].lives[life]++;
}

static void
count_step(struct reader *r, const struct trace_step *step)
{
	struct summary *s = r->s;
	const struct trace_record *record = step->record;
	uint64_t before = r->live;
	struct curve_part *part;

	s->end = step->time > s->end ? step->time : s->end;
	if (step->kind == STEP_OTHER) {
		stacks_add(&s->frames, record);
		return;
	}
	/* An object that ended unseen has the record of what came to its address. */
	s->ops[record->op] += (step->kind == STEP_FREE) == (record->op == TRACE_FREE);
	s->deletes += record->op == TRACE_FREE && record->by_new;
	s->failed += step->kind == STEP_FAILED;
	part = part_of(r, step->time);
	part->operations++;
	if (step->object == NULL)
		return;
	if (step->kind == STEP_FREE) {
		count_freed(r, step);
		return;
	}
	if (step->kind == STEP_RESIZE) {
		s->moved += record->address != step->old_address;
		r->live -= step->old_size;
		r->live_count--;
	}
	count_allocated(r, step, record->stack);
	if (step->object->size > 0 && r->live > before)
		part->allocated += r->live - before;
	part->live = r->live > part->live ? r->live : part->live;
	part->live_count = r->live_count > part->live_count ? r->live_count : part->live_count;
	if (r->live > s->peak) {
		s->peak = r->live;
		s->peak_time = step->time;
	}
	s->peak_count = r->live_count > s->peak_count ? r->live_count : s->peak_count;
}

static void
count_live(const struct trace_object *object, void *arg)
{
	struct reader *r = arg;
	struct size_bucket *b = &r->s->sizes[size_bucket(object->size)];

	b->live += object->size;
	b->live_count++;
	b->lives[LIFE_FOREVER]++;
	r->s->lives[LIFE_FOREVER]++;
	if (object->stack != 0) {
		struct stack_sum *sum = stack_sum(&r->stacks, object->stack);

		sum->live += object->size;
		sum->live_count++;
	}
}

void
summary_make(struct summary *s, const char *path, struct trace_order *o)
{
	struct reader r = { .s = s, .path = path };
	struct trace_step step;

	memset(s, 0, sizeof(*s));
	s->part_ticks = 1;
	while (trace_order_next(o, &step)) {
		count_step(&r, &step);
		if ((o->operations & 0xffff) == 0)
			progress("reading the trace", o->blocks_read, o->block_count);
	}
	progress_end();
	if (o->no_memory)
		fail(STATUS_OTHER, "%s: out of memory", path);
	trace_order_live(o, count_live, &r);
	s->live = r.live;
	s->live_count = r.live_count;
	if (r.stacks.sums == NULL)
		return;
	/* Those that are there come first. */
	s->stacks = r.stacks.sums;
	qsort(s->stacks, r.stacks.mask + 1, sizeof(*s->stacks), by_bytes);
	s->stack_count = r.stacks.count;
}

void
summary_free(struct summary *s)
{
	free(s->stacks);
	stacks_free(&s->frames);
}
