/*
 * trace_read.c: blocks and their records; see trace_read.h. No state.
 */
#include "trace_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

/* --- records ------------------------------------------------------------------------------ */

bool
trace_decoder_start(struct trace_decoder *d, const void *block, size_t nbytes)
{
	memset(d, 0, sizeof(*d));
	if (nbytes < sizeof(d->block))
		return false;
	memcpy(&d->block, block, sizeof(d->block));
	if (d->block.magic != TRACE_BLOCK_MAGIC)
		return false;
	if (d->block.nbytes == 0 || d->block.nbytes > nbytes)
		d->block.nbytes = (uint32_t)(nbytes < TRACE_BLOCK_NBYTES ? nbytes : TRACE_BLOCK_NBYTES);
	d->at = (const uint8_t *)block + sizeof(d->block);
	d->end = (const uint8_t *)block + d->block.nbytes;
	d->time = d->block.time;
	return d->end >= d->at;
}

/* A number of n bytes, at most 8; 0 when they are not there, and *at is at the end then. */
static uint64_t
number(struct trace_decoder *d, unsigned n)
{
	uint64_t v = 0;

	if (d->end - d->at >= 8) {
		memcpy(&v, d->at, sizeof(v));
		d->at += n;
		return n == 8 ? v : v & (((uint64_t)1 << 8 * n) - 1);
	}
	if ((size_t)(d->end - d->at) < n) {
		d->at = d->end;
		d->problem = "a record is cut off";
		return 0;
	}
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)d->at[i] << (8 * i);
	d->at += n;
	return v;
}

static uint64_t
coded(struct trace_decoder *d, unsigned code)
{
	return number(d, code == 7 ? 8 : code);
}

static uint64_t
address(struct trace_decoder *d, unsigned code, uint64_t from)
{
	uint64_t v = coded(d, code);

	return from + (v >> 1 ^ -(v & 1)) * TRACE_GRAIN;
}

static void
decode_other(struct trace_decoder *d, struct trace_record *r, unsigned tag)
{
	size_t n = number(d, 2);

	r->other = (enum trace_other)(tag >> 3 & 31);
	if (n > (size_t)(d->end - d->at)) {
		d->problem = "a record is cut off";
		return;
	}
	r->data = d->at;
	r->data_nbytes = (uint32_t)n;
	if (r->other == TRACE_TIME && n >= sizeof(d->time)) {
		memcpy(&d->time, d->at, sizeof(d->time));
		r->time = d->time;
	}
	d->at += n;
}

static void
decode_resized(struct trace_decoder *d, struct trace_record *r)
{
	unsigned x = (unsigned)number(d, 1);

	r->old = r->address;
	d->freed = r->old;
	r->address = address(d, x & 7, r->old);
	r->took = coded(d, x >> 3 & 7);
	r->failed = (x & TRACE_FAILED) != 0;
	if (!r->failed)
		d->last[trace_key(r->size)] = r->address;
}

bool
trace_decode(struct trace_decoder *d, struct trace_record *r)
{
	static const uint8_t time_nbytes[] = { 0, 1, 2, 4 };
	unsigned tag, alen;
	uint64_t low;

	memset(r, 0, sizeof(*r));
	if (d->end - d->at < 2)
		return false;
	tag = (unsigned)number(d, 2);
	if ((tag & 0xff) == 0) {
		d->at = d->end = d->at - 2;
		return false;
	}
	alen = tag >> 3 & 7;
	r->op = (enum trace_op)(tag & 7);
	low = tag >> 10;
	d->time += low | number(d, time_nbytes[tag >> 8 & 3]) << 6;
	r->time = d->time;
	if (r->op == TRACE_END) {
		d->problem = "there is a record of a kind that is none";
	} else if (r->op == TRACE_OTHER) {
		decode_other(d, r, tag);
	} else if (r->op == TRACE_FREE) {
		r->by_new = (tag >> 6 & 3) == TRACE_BY_DELETE;
		r->address = d->freed = address(d, alen, d->freed);
	} else {
		r->size = number(d, 1U << (tag >> 6 & 3));
		r->address = address(d, alen, r->op == TRACE_REALLOC ? d->freed :
		    d->last[trace_key(r->size)]);
		if (r->op == TRACE_REALLOC)
			decode_resized(d, r);
		else
			d->last[trace_key(r->size)] = r->address;
		if (r->op == TRACE_ALIGNED) {
			unsigned x = (unsigned)number(d, 1);

			r->log2_alignment = x & 63;
			r->by_new = (x & TRACE_BY_NEW) != 0;
		}
		r->by_new |= r->op == TRACE_NEW;
		r->failed |= r->address == 0;
		if ((d->block.flags & TRACE_STACKS) != 0)
			r->stack = (uint32_t)number(d, 3);
	}
	return d->problem == NULL;
}

/* --- files -------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void
complain(struct trace_file *f, const char *format, ...)
{
	va_list ap;

	if (f->problem[0] != '\0')
		return;
	va_start(ap, format);
	vsnprintf(f->problem, sizeof(f->problem), format, ap);
	va_end(ap);
}

static const uint8_t frame_magic[] = { 0x28, 0xb5, 0x2f, 0xfd };

/* One frame, of at most a block, in buffer; returns its bytes there, 0 if it is damaged. */
static size_t
unpack(const void *frame, size_t nbytes, void *buffer)
{
	unsigned long long content = ZSTD_getFrameContentSize(frame, nbytes);
	size_t n;

	if (content == 0 || content > TRACE_BLOCK_NBYTES)
		return 0;
	n = ZSTD_decompress(buffer, TRACE_BLOCK_NBYTES, frame, nbytes);
	return ZSTD_isError(n) ? 0 : n;
}

static bool
add_place(struct trace_file *f, uint64_t offset, size_t nbytes, const void *bytes, size_t have)
{
	struct trace_decoder d;
	struct trace_place *p;

	if (!trace_decoder_start(&d, bytes, have)) {
		complain(f, "block %zu is damaged", f->place_count + f->damaged);
		f->damaged++;
		return true;
	}
	/* Doubled each time it is full, which its size tells. */
	if ((f->place_count & (f->place_count - 1)) == 0) {
		size_t room = f->place_count == 0 ? 1 : 2 * f->place_count;

		p = realloc(f->places, room * sizeof(*p));
		if (p == NULL) {
			complain(f, "out of memory after %zu blocks", f->place_count);
			return false;
		}
		f->places = p;
	}
	p = &f->places[f->place_count++];
	p->offset = offset;
	p->nbytes = (uint32_t)nbytes;
	p->block = d.block;
	return true;
}

/* The bytes of a trace that is not compressed, from its first block on. */
static void
find_blocks(struct trace_file *f, size_t at)
{
	while (at < f->nbytes) {
		const uint8_t *bytes = f->data + at;
		size_t have = f->nbytes - at, step = TRACE_BLOCK_NBYTES;
		struct trace_block b;

		if (have < sizeof(b)) {
			complain(f, "it is cut off after %zu blocks", f->place_count);
			return;
		}
		memcpy(&b, bytes, sizeof(b));
		if (f->head.packed != 0)
			step = b.nbytes;
		if (step < sizeof(b) || step > TRACE_BLOCK_NBYTES) {
			complain(f, "it is damaged after %zu blocks", f->place_count);
			return;
		}
		if (have < step)
			complain(f, "it is cut off after %zu blocks", f->place_count);
		have = have < step ? have : step;
		/* A block that is all zero was never begun, or was collected. */
		if (b.magic != 0 && !add_place(f, at, have, bytes, have))
			return;
		at += have;
	}
}

static bool
take_head(struct trace_file *f, const void *bytes, size_t nbytes)
{
	if (nbytes < sizeof(f->head)) {
		complain(f, "it is too short for a trace");
		return false;
	}
	memcpy(&f->head, bytes, sizeof(f->head));
	if (memcmp(f->head.magic, TRACE_MAGIC, sizeof(f->head.magic)) != 0)
		complain(f, "it is not a trace");
	else if (f->head.version != TRACE_VERSION)
		complain(f, "it is a trace of version %u, which this program does not read",
		    f->head.version);
	else if (f->head.block_nbytes != TRACE_BLOCK_NBYTES ||
	    (f->head.tick_ns != TRACE_COUNTER && f->head.tick_ns != TRACE_TICK_NS))
		complain(f, "its head is damaged");
	return f->problem[0] == '\0';
}

/* From a damaged frame, which may not tell its length, to what looks like the next, or the end. */
static size_t
to_next_frame(const struct trace_file *f, size_t at)
{
	const uint8_t *next = memmem(f->data + at + 1, f->nbytes - at - 1, frame_magic,
	    sizeof(frame_magic));

	return next == NULL ? f->nbytes - at : (size_t)(next - (f->data + at));
}

/* A trace that is compressed: its head in one frame, and each block in one. */
static bool
find_frames(struct trace_file *f)
{
	uint8_t *buffer = malloc(TRACE_BLOCK_NBYTES);
	bool found = false;
	size_t at = 0;

	if (buffer == NULL)
		complain(f, "out of memory");
	while (buffer != NULL && at < f->nbytes) {
		const uint8_t *frame = f->data + at;
		size_t nbytes = ZSTD_findFrameCompressedSize(frame, f->nbytes - at);
		size_t n = ZSTD_isError(nbytes) ? 0 : unpack(frame, nbytes, buffer);

		if (!found && n != 0) {
			found = take_head(f, buffer, n);
			if (!found)
				break;
		} else if (n == 0) {
			nbytes = found ? to_next_frame(f, at) : f->nbytes - at;
			if (at + nbytes == f->nbytes)
				complain(f, "it is cut off or damaged after %zu blocks",
				    f->place_count);
			else
				complain(f, "block %zu is damaged", f->place_count + f->damaged);
			f->damaged++;
		} else if (!add_place(f, at, nbytes, buffer, n)) {
			break;
		}
		at += nbytes;
	}
	free(buffer);
	return found;
}

/* How long a tick is, from the blocks that are furthest apart. */
static void
measure_tick(struct trace_file *f)
{
	uint64_t first = f->head.ticks, first_ns = f->head.clock_ns;
	uint64_t last = first, last_ns = first_ns;

	f->tick = 1;
	if (f->head.tick_ns != TRACE_COUNTER)
		return;
	for (size_t i = 0; i < f->place_count; i++) {
		const struct trace_block *b = &f->places[i].block;

		if (b->time > last && b->clock_ns > last_ns) {
			last = b->time;
			last_ns = b->clock_ns;
		}
	}
	if (last > first)
		f->tick = (double)(last_ns - first_ns) / TRACE_TICK_NS / (double)(last - first);
}

uint64_t
trace_file_time(const struct trace_file *f, uint64_t ticks)
{
	double t;

	if (ticks <= f->head.ticks)
		return 0;
	ticks -= f->head.ticks;
	if (f->tick == 1)
		return ticks;
	t = (double)ticks * f->tick;
	return t < 0x1p62 ? (uint64_t)t : (uint64_t)1 << 62;
}

bool
trace_file_read(struct trace_file *f, const void *data, size_t nbytes)
{
	memset(f, 0, sizeof(*f));
	f->data = data;
	f->nbytes = nbytes;
	f->compressed = nbytes >= sizeof(frame_magic) &&
	    memcmp(data, frame_magic, sizeof(frame_magic)) == 0;
	if (f->compressed) {
		if (!find_frames(f))
			return false;
	} else {
		if (!take_head(f, data, nbytes))
			return false;
		find_blocks(f, f->head.packed != 0 ? sizeof(f->head) : TRACE_BLOCK_NBYTES);
	}
	measure_tick(f);
	return true;
}

bool
trace_file_map(struct trace_file *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat s;
	void *data;

	memset(f, 0, sizeof(*f));
	if (fd < 0 || fstat(fd, &s) != 0) {
		complain(f, "%s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	data = s.st_size == 0 || !S_ISREG(s.st_mode) ? MAP_FAILED :
	    mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (data == MAP_FAILED) {
		complain(f, s.st_size == 0 ? "it is empty" : "it cannot be mapped");
		return false;
	}
	if (trace_file_read(f, data, (size_t)s.st_size)) {
		f->mapped = true;
		return true;
	}
	munmap(data, (size_t)s.st_size);
	f->data = NULL;
	return false;
}

void
trace_file_close(struct trace_file *f)
{
	free(f->places);
	f->places = NULL;
	if (f->mapped)
		munmap((void *)(uintptr_t)f->data, f->nbytes);
}

const void *
trace_file_block(const struct trace_file *f, const struct trace_place *p, void *buffer)
{
	if (!f->compressed)
		return f->data + p->offset;
	return unpack(f->data + p->offset, p->nbytes, buffer) == p->block.nbytes ? buffer : NULL;
}
