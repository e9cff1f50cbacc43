/*
 * trace_streams.h: the streams of one process of a trace, the one with the earliest record first.
 *
 * A block is in memory only from its first record to its last. Not thread-safe.
 */
#ifndef TOOLS_TRACE_STREAMS_H
#define TOOLS_TRACE_STREAMS_H

#include "trace_read.h"

enum phase {
	PHASE_LOAD,    /* the next block has to be read first */
	PHASE_RECORD,
	PHASE_RESIZED, /* what was resized has left its old place and not taken its new one */
};

struct stream {
	uint32_t id;
	size_t next, end;        /* blocks in streams.places */
	uint32_t number;         /* expected of the next block */
	enum phase phase;
	uint64_t key;            /* ticks, of what comes next; never less than before */
	uint8_t *buffer;
	struct trace_decoder decoder;
	struct trace_record record;
	/* For who orders them. */
	uint32_t thread;
	bool has_thread;
	uint32_t block;          /* number of the block that it was last known of */
	struct trace_object *moving;
};

struct streams {
	const struct trace_file *file;
	const struct trace_place **places; /* of the process, by stream and number */
	size_t place_count;
	struct stream *streams;
	size_t count;
	size_t *heap, heap_count;          /* the earliest on top */
	uint64_t start;                    /* ticks, of the earliest block */
	uint64_t read;                     /* blocks, and the bytes of them in use */
	uint64_t nbytes;
	uint64_t missing;                  /* blocks that are not there */
	uint64_t damaged;                  /* blocks that could not be read to their end */
	const char *problem;               /* of the first of them */
	bool no_memory;
};

/* False when the process has no blocks, or for lack of memory. */
bool streams_start(struct streams *s, const struct trace_file *f, uint32_t process);
void streams_finish(struct streams *s);
/* Whether stream a comes before stream b. */
bool streams_before(const struct streams *s, size_t a, size_t b);
/* Takes the earliest stream, at a record; false when there is none. */
bool streams_pop(struct streams *s, size_t *stream);
/* Puts a stream back as it is, or with the record after. */
void streams_push(struct streams *s, size_t stream);
void streams_advance(struct streams *s, size_t stream);

#endif
