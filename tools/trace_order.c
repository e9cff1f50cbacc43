/*
 * trace_order.c: streams merged, addresses turned into objects; see trace_order.h.
 *
 * A heap has the streams by the time of what comes next in them. What addresses do not allow yet
 * waits until they do, or until all streams are further than the clock can be wrong.
 */
#include "trace_order.h"

#include "trace_objects.h"
#include "trace_streams.h"

#include <stdlib.h>
#include <string.h>

/* Records this close, about 4 us, may be in any order: processors run ahead. */
#define SLACK_TICKS 256U
/* No call took days. */
#define TOOK_TICKS_MAX ((uint64_t)1 << 45)

struct trace_order_state {
	struct streams streams;
	size_t *waiting, waiting_count; /* streams that addresses do not allow yet */
	struct objects objects;
	struct trace_object *gone;      /* of the step before */
	uint64_t serial;
	struct trace_record record;     /* of the step before */
	size_t thread_room;
};

/* --- which processes ----------------------------------------------------------------------- */

struct tally {
	uint32_t number;
	uint64_t nbytes;
};

static int
by_number(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int
by_nbytes(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	if (x->nbytes != y->nbytes)
		return x->nbytes < y->nbytes ? 1 : -1;
	return by_number(a, b);
}

/* How much of a block is in use; one that was never finished does not say it. */
static uint64_t
used_nbytes(const struct trace_file *f, const struct trace_place *p)
{
	const uint8_t *block = f->data + p->offset;
	size_t n = p->nbytes;

	if (f->compressed)
		return p->block.nbytes;
	while (n > 0 && block[n - 1] == 0)
		n--;
	return n;
}

bool
trace_list_processes(const struct trace_file *f, struct trace_processes *p)
{
	size_t n = f->place_count;
	struct tally *tallies = malloc((n + 1) * sizeof(*tallies));

	p->count = 0;
	p->numbers = malloc((n + 1) * sizeof(*p->numbers));
	if (p->numbers == NULL || tallies == NULL) {
		free(p->numbers);
		free(tallies);
		p->numbers = NULL;
		return false;
	}
	for (size_t i = 0; i < n; i++)
		tallies[i] = (struct tally){ f->places[i].block.process,
		    used_nbytes(f, &f->places[i]) };
	qsort(tallies, n, sizeof(*tallies), by_number);
	for (size_t i = 0; i < n; i++) {
		if (p->count == 0 || tallies[p->count - 1].number != tallies[i].number)
			tallies[p->count++] = tallies[i];
		else
			tallies[p->count - 1].nbytes += tallies[i].nbytes;
	}
	qsort(tallies, p->count, sizeof(*tallies), by_nbytes);
	for (size_t i = 0; i < p->count; i++)
		p->numbers[i] = tallies[i].number;
	free(tallies);
	return true;
}

/* --- steps ---------------------------------------------------------------------------------- */

static bool
thread_enter(struct trace_order *o, struct stream *st, int32_t tid)
{
	struct trace_order_state *s = o->state;

	if (st->has_thread && o->threads[st->thread].tid == tid)
		return true;
	if (o->thread_count == s->thread_room) {
		size_t room = s->thread_room == 0 ? 16 : 2 * s->thread_room;
		struct trace_thread *t = realloc(o->threads, room * sizeof(*t));

		if (t == NULL) {
			o->no_memory = true;
			return false;
		}
		o->threads = t;
		s->thread_room = room;
	}
	st->thread = (uint32_t)o->thread_count++;
	st->has_thread = true;
	o->threads[st->thread] = (struct trace_thread){ .tid = tid, .stream = st->id,
		.first = st->key, .last = st->key };
	return true;
}

/* Whether addresses do not allow what comes next in the stream. */
static bool
conflicts(const struct trace_order_state *s, const struct stream *st)
{
	const struct trace_record *r = &st->record;

	if (st->phase == PHASE_RESIZED)
		return !r->failed && objects_find(&s->objects, r->address) != NULL;
	if (r->op == TRACE_OTHER)
		return false;
	if (r->op == TRACE_FREE)
		return objects_find(&s->objects, r->address) == NULL;
	if (r->op == TRACE_REALLOC)
		return objects_find(&s->objects, r->old) == NULL;
	return !r->failed && objects_find(&s->objects, r->address) != NULL;
}

/* A waiting stream whose turn it is, taken out of the list. */
static bool
choose_waiting(struct trace_order_state *s, size_t *chosen)
{
	size_t oldest = 0;
	bool ready = false;

	for (size_t i = 0; i < s->waiting_count && !ready; i++) {
		ready = !conflicts(s, &s->streams.streams[s->waiting[i]]);
		if (ready || streams_before(&s->streams, s->waiting[i], s->waiting[oldest]))
			oldest = i;
	}
	if (s->waiting_count == 0)
		return false;
	*chosen = s->waiting[oldest];
	/* None can go on. The clock is not wrong by so much: something was not recorded. */
	if (!ready && s->streams.heap_count != 0 && s->streams.streams[s->streams.heap[0]].key <=
	    s->streams.streams[*chosen].key + SLACK_TICKS)
		return false;
	s->waiting[oldest] = s->waiting[--s->waiting_count];
	return true;
}

/* The stream whose turn it is, taken out of heap or list; false when there is none left. */
static bool
choose(struct trace_order *o, size_t *chosen)
{
	struct trace_order_state *s = o->state;

	for (;;) {
		if (s->waiting_count != 0 && choose_waiting(s, chosen))
			return true;
		if (!streams_pop(&s->streams, chosen)) {
			if (s->waiting_count == 0 || s->streams.no_memory)
				return false;
			continue;
		}
		if (s->streams.count == 1 || !conflicts(s, &s->streams.streams[*chosen]))
			return true;
		s->waiting[s->waiting_count++] = *chosen;
	}
}

static void
take_other(struct trace_order *o, struct stream *st)
{
	const struct trace_record *r = &st->record;
	int32_t tid;
	uint64_t lost;

	if (r->other == TRACE_THREAD && r->data_nbytes >= sizeof(tid)) {
		memcpy(&tid, r->data, sizeof(tid));
		(void)thread_enter(o, st, tid);
	} else if (r->other == TRACE_LOST && r->data_nbytes >= sizeof(lost)) {
		memcpy(&lost, r->data, sizeof(lost));
		o->lost += lost;
	} else if (r->other == TRACE_EXIT) {
		o->exited = true;
	}
}

/* An object for what the record allocated. */
static struct trace_object *
enter_object(struct trace_order *o, const struct stream *st)
{
	const struct trace_record *r = &st->record;
	struct trace_object *object = objects_add(&o->state->objects, r->address);

	if (object == NULL) {
		o->no_memory = true;
		return NULL;
	}
	object->size = r->size;
	object->time = st->key - o->start;
	object->serial = o->state->serial++;
	object->thread = st->thread;
	object->stack = r->stack;
	object->op = (uint8_t)r->op;
	object->log2_alignment = r->log2_alignment;
	object->tag = 0;
	return object;
}

/* The first half of a resizing: the object leaves its place. */
static void
take_away(struct trace_order *o, struct stream *st)
{
	st->moving = objects_find(&o->state->objects, st->record.old);
	if (st->moving != NULL)
		objects_detach(&o->state->objects, st->moving);
	else
		o->unknown++;
	st->phase = PHASE_RESIZED;
	st->key += st->record.took < TOOK_TICKS_MAX ? st->record.took : 0;
}

/* The second half. */
static bool
put_down(struct trace_order *o, struct stream *st, struct trace_step *step)
{
	const struct trace_record *r = &st->record;
	struct trace_object *object = st->moving;

	st->moving = NULL;
	step->old_address = r->old;
	if (object == NULL) {
		step->kind = r->failed ? STEP_FAILED : STEP_ALLOC;
		step->object = r->failed ? NULL : enter_object(o, st);
		return r->failed || step->object != NULL;
	}
	step->kind = r->failed ? STEP_FAILED : STEP_RESIZE;
	step->old_size = object->size;
	if (!objects_attach(&o->state->objects, object, r->failed ? r->old : r->address)) {
		o->no_memory = true;
		return false;
	}
	if (!r->failed) {
		object->size = r->size;
		object->stack = r->stack;
		step->object = object;
	}
	return true;
}

/* An address that is allocated twice was freed in between, unseen. */
static bool
free_unseen(struct trace_order *o, const struct stream *st, struct trace_step *step)
{
	struct trace_order_state *s = o->state;
	const struct trace_record *r = &st->record;
	struct trace_object *object;

	if (r->failed || r->op == TRACE_FREE || r->op == TRACE_OTHER ||
	    (r->op == TRACE_REALLOC && st->phase != PHASE_RESIZED))
		return false;
	object = objects_find(&s->objects, r->address);
	if (object == NULL)
		return false;
	o->twice++;
	step->kind = STEP_FREE;
	step->object = s->gone = object;
	objects_detach(&s->objects, object);
	return true;
}

/* Fills in the step that the stream's record is; false for lack of memory. */
static bool
take_record(struct trace_order *o, struct stream *st, struct trace_step *step)
{
	struct trace_order_state *s = o->state;
	const struct trace_record *r = &st->record;

	if (r->op == TRACE_OTHER) {
		step->kind = STEP_OTHER;
		take_other(o, st);
		step->thread = st->thread;
		return !o->no_memory;
	}
	o->operations++;
	o->threads[st->thread].operations++;
	if (r->op == TRACE_FREE) {
		step->kind = STEP_FREE;
		step->object = s->gone = objects_find(&s->objects, r->address);
		if (s->gone == NULL)
			o->unknown++;
		else
			objects_detach(&s->objects, s->gone);
		return true;
	}
	if (r->op == TRACE_REALLOC)
		return put_down(o, st, step);
	step->kind = r->failed ? STEP_FAILED : STEP_ALLOC;
	step->object = r->failed ? NULL : enter_object(o, st);
	return r->failed || step->object != NULL;
}

bool
trace_order_next(struct trace_order *o, struct trace_step *step)
{
	struct trace_order_state *s = o->state;
	struct stream *st;
	size_t chosen;

	if (s->gone != NULL)
		objects_drop(&s->objects, s->gone);
	s->gone = NULL;
	for (;;) {
		bool found = !o->no_memory && choose(o, &chosen);

		o->blocks_read = s->streams.read;
		o->nbytes = s->streams.nbytes;
		o->missing = s->streams.missing;
		o->damaged = s->streams.damaged;
		o->problem = s->streams.problem;
		o->no_memory |= s->streams.no_memory;
		if (!found)
			return false;
		st = &s->streams.streams[chosen];
		if (st->record.op != TRACE_REALLOC || st->phase == PHASE_RESIZED)
			break;
		take_away(o, st);
		streams_push(&s->streams, chosen);
	}
	memset(step, 0, sizeof(*step));
	step->time = st->key - o->start;
	s->record = st->record;
	step->record = &s->record;
	/* A thread that takes over a stream says so in a record, or starts a block. */
	if ((!st->has_thread || st->decoder.block.number != st->block) &&
	    !thread_enter(o, st, st->decoder.block.thread))
		return false;
	st->block = st->decoder.block.number;
	step->thread = st->thread;
	if (free_unseen(o, st, step)) {
		streams_push(&s->streams, chosen);
		return true;
	}
	if (!take_record(o, st, step))
		return false;
	o->threads[st->thread].last = st->key;
	streams_advance(&s->streams, chosen);
	return true;
}

/* --- start and end -------------------------------------------------------------------------- */

/* What the process said of itself at the start of one of its blocks. */
static void
read_process(struct trace_order *o, const void *block, size_t nbytes)
{
	struct trace_decoder d;
	struct trace_record r;
	struct trace_process p;
	size_t n;

	if (!trace_decoder_start(&d, block, nbytes) || !trace_decode(&d, &r) ||
	    r.op != TRACE_OTHER || r.other != TRACE_PROCESS || r.data_nbytes < sizeof(p))
		return;
	memcpy(&p, r.data, sizeof(p));
	o->parent_pid = p.parent_pid;
	o->parent = p.parent;
	n = r.data_nbytes - sizeof(p);
	n = n < sizeof(o->command) ? n : sizeof(o->command) - 1;
	memcpy(o->command, r.data + sizeof(p), n);
	while (n > 0 && o->command[n - 1] == '\0')
		n--;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)o->command[i] < ' ')
			o->command[i] = ' ';
}

/* The first block of the process has that; its stream may be any. */
static bool
find_process(struct trace_order *o)
{
	const struct streams *s = &o->state->streams;
	uint8_t *buffer = malloc(TRACE_BLOCK_NBYTES);

	if (buffer == NULL)
		return false;
	for (size_t i = 0; i < s->place_count && o->command[0] == '\0'; i++) {
		const struct trace_place *p = s->places[i];
		const void *bytes;

		o->pid = p->block.pid;
		if (p->block.number != 0)
			continue;
		bytes = trace_file_block(s->file, p, buffer);
		if (bytes != NULL)
			read_process(o, bytes, p->block.nbytes);
	}
	free(buffer);
	return true;
}

bool
trace_order_start(struct trace_order *o, const struct trace_file *f, uint32_t process)
{
	struct trace_order_state *s = calloc(1, sizeof(*s));

	memset(o, 0, sizeof(*o));
	o->process = process;
	o->state = s;
	if (s == NULL)
		return false;
	if (streams_start(&s->streams, f, process) && objects_init(&s->objects)) {
		s->waiting = malloc(s->streams.count * sizeof(*s->waiting));
		o->start = s->streams.start;
		o->block_count = s->streams.place_count;
		for (size_t i = 0; i < s->streams.place_count; i++)
			o->file_nbytes += s->streams.places[i]->nbytes;
		if (s->waiting != NULL && find_process(o))
			return true;
	}
	trace_order_finish(o);
	return false;
}

void
trace_order_live(const struct trace_order *o,
    void (*visit)(const struct trace_object *, void *), void *arg)
{
	objects_walk(&o->state->objects, visit, arg);
}

void
trace_order_finish(struct trace_order *o)
{
	struct trace_order_state *s = o->state;

	if (s == NULL)
		return;
	streams_finish(&s->streams);
	objects_finish(&s->objects);
	free(s->waiting);
	free(s);
	free(o->threads);
	o->threads = NULL;
	o->state = NULL;
}
