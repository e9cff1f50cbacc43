/*
 * trace_streams.c: blocks sorted into streams, and a heap of streams; see trace_streams.h.
 */
#include "trace_streams.h"

#include <stdlib.h>
#include <string.h>

/* --- the heap ------------------------------------------------------------------------------- */

bool
streams_before(const struct streams *s, size_t a, size_t b)
{
	const struct stream *x = &s->streams[a], *y = &s->streams[b];

	return x->key != y->key ? x->key < y->key : x->id < y->id;
}

void
streams_push(struct streams *s, size_t stream)
{
	size_t at = s->heap_count++;

	while (at > 0 && streams_before(s, stream, s->heap[(at - 1) / 2])) {
		s->heap[at] = s->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	s->heap[at] = stream;
}

static size_t
heap_pop(struct streams *s)
{
	size_t top = s->heap[0], last = s->heap[--s->heap_count], at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= s->heap_count)
			break;
		if (child + 1 < s->heap_count &&
		    streams_before(s, s->heap[child + 1], s->heap[child]))
			child++;
		if (!streams_before(s, s->heap[child], last))
			break;
		s->heap[at] = s->heap[child];
		at = child;
	}
	s->heap[at] = last;
	return top;
}

/* --- records -------------------------------------------------------------------------------- */

void
streams_advance(struct streams *s, size_t stream)
{
	struct stream *st = &s->streams[stream];
	uint64_t time;

	if (st->buffer != NULL) {
		if (trace_decode(&st->decoder, &st->record)) {
			st->phase = PHASE_RECORD;
			time = trace_file_time(s->file, st->record.time);
			st->key = time > st->key ? time : st->key;
			st->record.took = (uint64_t)((double)st->record.took * s->file->tick);
			streams_push(s, stream);
			return;
		}
		s->nbytes += (uint64_t)(st->decoder.at - st->buffer);
		if (st->decoder.problem != NULL) {
			s->damaged++;
			s->problem = s->problem == NULL ? st->decoder.problem : s->problem;
		}
		free(st->buffer);
		st->buffer = NULL;
	}
	if (st->next == st->end)
		return;
	st->phase = PHASE_LOAD;
	time = trace_file_time(s->file, s->places[st->next]->block.time);
	st->key = time > st->key ? time : st->key;
	streams_push(s, stream);
}

/* Reads a stream's next block, which the file may turn out not to have. */
static void
load(struct streams *s, struct stream *st)
{
	const struct trace_place *p = s->places[st->next++];
	const void *bytes;

	if (p->block.number > st->number)
		s->missing += p->block.number - st->number;
	st->number = p->block.number + 1;
	s->read++;
	st->buffer = malloc(TRACE_BLOCK_NBYTES);
	if (st->buffer == NULL) {
		s->no_memory = true;
		return;
	}
	bytes = trace_file_block(s->file, p, st->buffer);
	if (bytes != NULL && bytes != st->buffer)
		memcpy(st->buffer, bytes, p->block.nbytes);
	if (bytes == NULL || !trace_decoder_start(&st->decoder, st->buffer, p->block.nbytes)) {
		s->damaged++;
		s->problem = s->problem == NULL ? "a block cannot be unpacked" : s->problem;
		free(st->buffer);
		st->buffer = NULL;
	}
}

bool
streams_pop(struct streams *s, size_t *stream)
{
	while (s->heap_count > 0 && !s->no_memory) {
		*stream = heap_pop(s);
		if (s->streams[*stream].phase != PHASE_LOAD)
			return true;
		load(s, &s->streams[*stream]);
		streams_advance(s, *stream);
	}
	return false;
}

/* --- start and end -------------------------------------------------------------------------- */

static int
by_stream(const void *a, const void *b)
{
	const struct trace_block *x = &(*(const struct trace_place *const *)a)->block;
	const struct trace_block *y = &(*(const struct trace_place *const *)b)->block;

	if (x->stream != y->stream)
		return x->stream < y->stream ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

bool
streams_start(struct streams *s, const struct trace_file *f, uint32_t process)
{
	uint64_t time;
	size_t n = 0;

	memset(s, 0, sizeof(*s));
	s->file = f;
	s->start = UINT64_MAX;
	s->places = malloc((f->place_count + 1) * sizeof(const struct trace_place *));
	if (s->places == NULL)
		return false;
	for (size_t i = 0; i < f->place_count; i++)
		if (f->places[i].block.process == process)
			s->places[n++] = &f->places[i];
	s->place_count = n;
	s->streams = calloc(n + 1, sizeof(*s->streams));
	s->heap = malloc((n + 1) * sizeof(*s->heap));
	if (n == 0 || s->streams == NULL || s->heap == NULL) {
		streams_finish(s);
		return false;
	}
	qsort(s->places, n, sizeof(const struct trace_place *), by_stream);
	for (size_t i = 0; i < n; i++) {
		const struct trace_block *b = &s->places[i]->block;

		if (i == 0 || b->stream != s->streams[s->count - 1].id) {
			s->streams[s->count].id = b->stream;
			s->streams[s->count++].next = i;
		}
		s->streams[s->count - 1].end = i + 1;
		time = trace_file_time(f, b->time);
		s->start = time < s->start ? time : s->start;
	}
	for (size_t i = 0; i < s->count; i++)
		streams_advance(s, i);
	return true;
}

void
streams_finish(struct streams *s)
{
	for (size_t i = 0; s->streams != NULL && i < s->count; i++)
		free(s->streams[i].buffer);
	free(s->streams);
	free(s->heap);
	free(s->places);
	memset(s, 0, sizeof(*s));
}
