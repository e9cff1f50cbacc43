/*
 * trace.c: records, streams and their blocks; see trace.h. Called on paths that are slow anyway,
 * with no lock held; must never allocate. A stream is written by the thread whose number it has;
 * that of a thread that is gone is taken over by compare-and-swap of the number. LOCK_TRACE
 * protects the process's number.
 */
#include "watch/trace.h"

#include "conf/conf.h"
#include "diag/stack.h"
#include "os/env.h"
#include "os/lock.h"
#include "os/thread.h"
#include "os/vm.h"
#include "watch/trace_file.h"
#include "watch/trace_stack.h"

#include <string.h>

/* Room that is kept for what a record may need, and for one in a signal handler. */
#define RECORD_NBYTES_MAX 512U
#define COMMAND_NBYTES_MAX 256U
#define CHUNK_STREAMS 64U
#define CHUNK_MAX 4096U
/* Streams that a new thread looks at for one whose thread is gone. */
#define TAKE_TRIES 8U

struct stream {
	char *at;     /* of the next record */
	char *limit;  /* no record starts from here on; both NULL without a block */
	uint64_t time;
	uintptr_t freed;
	uintptr_t last[TRACE_KEYS];
	struct trace_block *block;
	int thread;      /* 0: nobody's; atomic */
	uint32_t number; /* of the next block */
	uint32_t index;
	uint32_t process;
	uint64_t lost;
	bool busy;       /* in the middle of a record, which a signal handler may interrupt */
} ALIGNED(CACHE_LINE);

/*
 * In memory that is zero in a child of fork, however it was made: its first record finds a stream
 * without a block there, and never writes into one of the parent's.
 */
static struct stream *chunks[CHUNK_MAX];
static unsigned nstreams;
static bool wiped;
static __thread struct stream *self __attribute__((tls_model("initial-exec")));

static uint32_t process;        /* number in the file of the process with this pid */
static int process_pid;

static uint64_t
ticks(void)
{
	return trace_ticks(trace_tick_ns);
}

void
trace_init(void)
{
	trace_file_open();
	if (opt.trace > 1)
		trace_stack_init();
}

/* --- records ------------------------------------------------------------------------------- */

/* Puts the low n bytes of a number, and zeros behind them up to eight. */
ALWAYS_INLINE char *
put(char *at, uint64_t v, unsigned n)
{
	memcpy(at, &v, sizeof(v));
	return at + n;
}

/* The first byte, which is never 0, goes last: a record that is not whole is none. */
ALWAYS_INLINE void
record_end(struct stream *s, uint32_t tag, char *end)
{
	s->at[1] = (char)(tag >> 8);
	store_release(s->at, (char)tag);
	s->at = end;
}

static void
record_other(struct stream *s, enum trace_other other, const void *data, size_t nbytes)
{
	char *at = put(s->at + 2, nbytes, 2);

	memcpy(at, data, nbytes);
	at += nbytes;
	memset(at, 0, sizeof(uint64_t));
	record_end(s, TRACE_OTHER | (uint32_t)other << 3, at);
}

/* The time's part of the tag; what of it does not fit goes behind the tag, to *at. */
ALWAYS_INLINE uint32_t
put_time(struct stream *s, uint64_t now, char **at)
{
	uint64_t delta = now > s->time ? now - s->time : 0, high = delta >> 6;
	uint32_t low = (uint32_t)(delta & 63) << 10;

	s->time += delta;
	if (LIKELY(high == 0)) {
		*at = s->at + 2;
		return low;
	}
	if (UNLIKELY(high > UINT32_MAX)) {
		record_other(s, TRACE_TIME, &s->time, sizeof(s->time));
		*at = s->at + 2;
		return 0;
	}
	if (high <= UINT8_MAX) {
		*at = put(s->at + 2, high, 1);
		return low | 1U << 8;
	}
	if (high <= UINT16_MAX) {
		*at = put(s->at + 2, high, 2);
		return low | 2U << 8;
	}
	*at = put(s->at + 2, high, 4);
	return low | 3U << 8;
}

/* Puts a size; returns its length's code. */
ALWAYS_INLINE uint32_t
put_size(char **at, uint64_t n)
{
	uint32_t code = n <= UINT8_MAX ? 0 : n <= UINT16_MAX ? 1 : n <= UINT32_MAX ? 2 : 3;

	*at = put(*at, n, 1U << code);
	return code;
}

/* Puts a number of 0 to 8 bytes; returns its length's code. */
ALWAYS_INLINE uint32_t
put_number(char **at, uint64_t v)
{
	uint32_t n = v == 0 ? 0 : (71U - (uint32_t)__builtin_clzll(v)) / 8;

	if (UNLIKELY(n > 6)) {
		*at = put(*at, v, 8);
		return 7;
	}
	*at = put(*at, v, n);
	return n;
}

/* Puts an address as the difference from another. */
ALWAYS_INLINE uint32_t
put_address(char **at, uintptr_t p, uintptr_t from)
{
	int64_t d = (int64_t)(p - from) / (int64_t)TRACE_GRAIN;

	return put_number(at, (uint64_t)d << 1 ^ (d < 0 ? UINT64_MAX : 0));
}

/* --- blocks -------------------------------------------------------------------------------- */

/* Gives the process its number in the file, and says in this stream who it is. */
static void
process_enter(struct stream *s, int pid)
{
	struct {
		struct trace_process p;
		char command[COMMAND_NBYTES_MAX];
	} data;
	uint32_t parent = 0;
	bool first = false;
	size_t len;

	lock_take(LOCK_TRACE);
	if (process_pid != pid) {
		parent = process;
		process = trace_file_process();
		process_pid = pid;
		first = true;
	}
	lock_drop(LOCK_TRACE);
	s->process = s->block->process = process;
	if (!first)
		return;
	memset(&data, 0, sizeof(data));
	data.p.pid = pid;
	data.p.parent_pid = env_parent();
	data.p.parent = parent;
	len = env_command(data.command, sizeof(data.command));
	record_other(s, TRACE_PROCESS, &data, sizeof(data.p) + len);
}

/* Nobody writes to the stream's block any more. */
static void
block_finish(struct stream *s)
{
	if (s->block == NULL || s->at == NULL)
		return;
	store_release(&s->block->nbytes, (uint32_t)(s->at - (char *)s->block));
	s->at = s->limit = NULL;
	trace_file_done();
}

/* A new block for a stream that has none or a full one; false when there cannot be one. */
static COLD bool
block_next(struct stream *s)
{
	int pid;
	struct trace_block *b;

	block_finish(s);
	/* A thread that has filled one block will fill the next too. */
	b = trace_file_next(s->block, s->number != 0);
	if (b == NULL)
		return false;
	pid = env_process();
	s->block = b;
	b->process = s->process;
	b->stream = s->index;
	b->number = s->number++;
	b->flags = opt.trace > 1 ? TRACE_STACKS : 0;
	b->time = s->time = ticks();
	b->clock_ns = env_clock_ns();
	b->pid = pid;
	b->thread = s->thread;
	s->freed = 0;
	memset(s->last, 0, sizeof(s->last));
	s->at = (char *)(b + 1);
	s->limit = (char *)b + TRACE_BLOCK_NBYTES - RECORD_NBYTES_MAX;
	if (s->process == 0 || load_relaxed(&process_pid) != pid)
		process_enter(s, pid);
	store_release(&b->magic, TRACE_BLOCK_MAGIC);
	return true;
}

/* --- streams ------------------------------------------------------------------------------- */

/* The chunk of stream i, made if it is not there. */
static struct stream *
chunk_of(unsigned i)
{
	struct stream *chunk = load_acquire(&chunks[i / CHUNK_STREAMS]), *none = NULL;
	size_t nbytes = round_up(CHUNK_STREAMS * sizeof(*chunk), vm_pagesize);

	if (chunk != NULL)
		return chunk;
	chunk = vm_reserve(nbytes, vm_pagesize);
	if (chunk == NULL)
		return NULL;
	if (vm_commit(chunk, nbytes)) {
		store_relaxed(&wiped, vm_wipe_on_fork(chunk, nbytes));
		/* Pairs with the acquire above in another thread, or with itself there. */
		if (__atomic_compare_exchange_n(&chunks[i / CHUNK_STREAMS], &none, chunk, false,
		    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return chunk;
	}
	(void)vm_unreserve(chunk, nbytes);
	return none;
}

/* Takes the stream if it is nobody's; the kernel says that a thread is gone after all it wrote. */
static bool
stream_claim(struct stream *s, int thread)
{
	int before = load_acquire(&s->thread);

	if (before != 0 && (before == thread || !thread_gone(before)))
		return before == thread;
	return __atomic_compare_exchange_n(&s->thread, &before, thread, false, __ATOMIC_ACQ_REL,
	    __ATOMIC_RELAXED);
}

/* A stream for the calling thread, of one that is gone if possible. */
static COLD struct stream *
stream_take(void)
{
	static unsigned turn;
	int thread = env_thread();

	for (unsigned tries = 0;; tries++) {
		unsigned n = load_acquire(&nstreams), i;
		struct stream *s;

		if (tries < TAKE_TRIES && tries < n)
			i = __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % n;
		else
			i = __atomic_fetch_add(&nstreams, 1, __ATOMIC_ACQ_REL);
		if (i >= CHUNK_MAX * CHUNK_STREAMS)
			return NULL;
		s = chunk_of(i);
		if (s == NULL)
			return NULL;
		s += i % CHUNK_STREAMS;
		if (!stream_claim(s, thread))
			continue;
		s->index = i;
		s->busy = false;
		if (s->at != NULL && s->at < s->limit)
			record_other(s, TRACE_THREAD, &thread, sizeof(thread));
		return s;
	}
}

static COLD struct stream *
record_start_slow(void)
{
	struct stream *s = self;

	if (load_relaxed(&trace_on) == 0)
		return NULL;
	/* In a child of fork that of its thread is nobody's. */
	if (s == NULL || load_relaxed(&s->thread) == 0)
		s = self = stream_take();
	if (s == NULL)
		return NULL;
	if (s->busy) {
		s->lost++;
		return NULL;
	}
	s->busy = true;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (s->at < s->limit || block_next(s))
		return s;
	s->busy = false;
	return NULL;
}

/* The caller's stream with room for a record; NULL when it cannot be recorded. */
ALWAYS_INLINE struct stream *
record_start(void)
{
	struct stream *s = self;

	if (UNLIKELY(s == NULL) || UNLIKELY(s->busy) || UNLIKELY(s->at >= s->limit))
		return record_start_slow();
	s->busy = true;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return s;
}

ALWAYS_INLINE void
record_finish(struct stream *s)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	s->busy = false;
}

/* Tells what a new stack is; false when there is no room for any record any more. */
static COLD bool
tell_stack(struct stream *s, uint32_t stack)
{
	char data[TRACE_STACK_NBYTES_MAX];

	for (unsigned i = 0; i <= STACK_DEPTH; i++) {
		size_t nbytes = i < STACK_DEPTH ? trace_stack_put_map(stack, i, data) :
		    trace_stack_put(stack, data);

		if (s->at >= s->limit && !block_next(s))
			return false;
		if (nbytes != 0)
			record_other(s, i < STACK_DEPTH ? TRACE_MAP : TRACE_STACK, data, nbytes);
	}
	return true;
}

/* As record_start, and the stack is told of. */
ALWAYS_INLINE struct stream *
record_start_with(uint32_t stack)
{
	struct stream *s = record_start();

	if (LIKELY(stack == 0) || s == NULL || trace_stack_told(stack) || tell_stack(s, stack))
		return s;
	s->busy = false;
	return NULL;
}

/* Ends the record of an allocation. */
ALWAYS_INLINE void
record_finish_with(struct stream *s, uint32_t tag, char *at, uint32_t stack)
{
	if (UNLIKELY(opt.trace > 1))
		at = put(at, stack, 3);
	record_end(s, tag, at);
	record_finish(s);
}

/* --- the interface ------------------------------------------------------------------------- */

void
trace_alloc(enum trace_op op, const void *p, size_t n, size_t alignment)
{
	uint32_t stack = UNLIKELY(opt.trace > 1) ? trace_stack() : 0;
	struct stream *s = record_start_with(stack);
	unsigned by_new = 0;
	uintptr_t *last;
	uint32_t tag;
	char *at;

	if (s == NULL)
		return;
	if (op == TRACE_NEW && alignment > TRACE_GRAIN) {
		op = TRACE_ALIGNED;
		by_new = TRACE_BY_NEW;
	}
	last = &s->last[trace_key(n)];
	tag = op | put_time(s, ticks(), &at);
	tag |= put_size(&at, n) << 6;
	tag |= put_address(&at, (uintptr_t)p, *last) << 3;
	*last = (uintptr_t)p;
	if (op == TRACE_ALIGNED)
		at = put(at, log2_floor(alignment) | by_new, 1);
	record_finish_with(s, tag, at, stack);
}

void
trace_free(const void *p, enum trace_freed by)
{
	struct stream *s;
	uint32_t tag;
	char *at;

	/* What was never allocated. */
	if (((uintptr_t)p & (TRACE_GRAIN - 1)) != 0)
		return;
	s = record_start();
	if (s == NULL)
		return;
	tag = TRACE_FREE | put_time(s, ticks(), &at) | (uint32_t)by << 6;
	tag |= put_address(&at, (uintptr_t)p, s->freed) << 3;
	s->freed = (uintptr_t)p;
	record_end(s, tag, at);
	record_finish(s);
}

uint64_t
trace_resizing(void)
{
	/* A block that is begun after the call started would count from a later time. */
	struct stream *s = record_start();

	if (s != NULL)
		record_finish(s);
	return ticks();
}

void
trace_resized(const void *p, const void *to, size_t n, uint64_t start)
{
	uint64_t now = ticks();
	uint32_t stack = UNLIKELY(opt.trace > 1) ? trace_stack() : 0;
	struct stream *s = record_start_with(stack);
	uint32_t tag, x;
	char *at, *x_at;

	if (s == NULL)
		return;
	tag = TRACE_REALLOC | put_time(s, start, &at);
	tag |= put_size(&at, n) << 6;
	tag |= put_address(&at, (uintptr_t)p, s->freed) << 3;
	x_at = at++;
	x = put_address(&at, (uintptr_t)(to == NULL ? p : to), (uintptr_t)p);
	x |= put_number(&at, now > start ? now - start : 0) << 3;
	*x_at = (char)(to == NULL ? x | TRACE_FAILED : x);
	s->freed = (uintptr_t)p;
	if (to != NULL)
		s->last[trace_key(n)] = (uintptr_t)to;
	record_finish_with(s, tag, at, stack);
}

void
trace_exit(void)
{
	struct stream *s = self == NULL ? NULL : record_start();

	if (s == NULL)
		return;
	if (s->lost != 0)
		record_other(s, TRACE_LOST, &s->lost, sizeof(s->lost));
	record_other(s, TRACE_EXIT, "", 0);
	if (trace_file_collected())
		block_finish(s);
	record_finish(s);
}

void
trace_fork_child(void)
{
	if (load_relaxed(&wiped))
		return;
	for (unsigned i = 0; i < nstreams; i++)
		memset(chunks[i / CHUNK_STREAMS] + i % CHUNK_STREAMS, 0, sizeof(struct stream));
}
