/*
 * trace_read.h: the records of a trace, from a file or from memory, damaged or whole.
 *
 * Whatever the bytes are, nothing here crashes, loops, reads outside of them, or allocates more
 * than a small multiple of them. Ends no process and prints nothing: what is wrong is told in a
 * text.
 * Not thread-safe on the same objects. src/watch/trace_format.h has the bytes.
 */
#ifndef TOOLS_TRACE_READ_H
#define TOOLS_TRACE_READ_H

#include "../src/watch/trace_format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_record {
	enum trace_op op;
	bool failed;             /* the call returned NULL */
	bool by_new;             /* operator new, operator delete */
	uint8_t log2_alignment;  /* of TRACE_ALIGNED */
	uint32_t stack;          /* 0: not known */
	uint64_t time;           /* ticks */
	uint64_t took;           /* ticks, of TRACE_REALLOC */
	uint64_t address;        /* allocated, or freed */
	uint64_t old;            /* what TRACE_REALLOC resized */
	uint64_t size;           /* asked for */
	enum trace_other other;  /* of TRACE_OTHER, and what it holds */
	const uint8_t *data;
	uint32_t data_nbytes;
};

/* Where a block is read, and what its records count from. */
struct trace_decoder {
	const uint8_t *at, *end;
	const char *problem;     /* why the block ends before its end, or NULL */
	struct trace_block block;
	uint64_t time, freed, last[TRACE_KEYS];
};

/* Starts on a block; false when it is none. The bytes have to stay. */
bool trace_decoder_start(struct trace_decoder *d, const void *block, size_t nbytes);
/* The next record; false at the end of the block or of what can be read of it. */
bool trace_decode(struct trace_decoder *d, struct trace_record *r);

struct trace_place {
	uint64_t offset;          /* in the file */
	uint32_t nbytes;          /* there */
	struct trace_block block; /* nbytes is always that of the block */
};

struct trace_file {
	const uint8_t *data;
	size_t nbytes;
	bool mapped, compressed;
	struct trace_head head;
	double tick;                /* in units of TRACE_TICK_NS */
	struct trace_place *places; /* of all blocks, in the order of the file */
	size_t place_count;
	size_t damaged;             /* blocks that were passed over */
	char problem[160];          /* the first thing that is wrong with the file, or "" */
};

/*
 * Finds the blocks of a trace. False when there is nothing to be read; when some of it can, true,
 * and the problem tells what cannot. The bytes given have to stay.
 */
bool trace_file_read(struct trace_file *f, const void *data, size_t nbytes);
bool trace_file_map(struct trace_file *f, const char *path);
void trace_file_close(struct trace_file *f);
/* A time of the file in units of TRACE_TICK_NS since the file was made. */
uint64_t trace_file_time(const struct trace_file *f, uint64_t ticks);
/* A block's bytes, in a buffer of TRACE_BLOCK_NBYTES if they have to be; NULL if it is damaged. */
const void *trace_file_block(const struct trace_file *f, const struct trace_place *p, void *buffer);

#endif
