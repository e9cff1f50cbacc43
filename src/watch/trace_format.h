/*
 * trace_format.h: the bytes of a trace, for who writes them and for who reads them.
 *
 *   raw       | head, 64 KiB | block, 64 KiB | block, 64 KiB | ...
 *   packed    zstd frames: the head's first TRACE_HEAD_NBYTES bytes, then a block in each, cut to
 *             its nbytes
 *
 * A block belongs to one stream and is decoded without any other. A stream is written by one
 * thread at a time. All numbers are little-endian. doc/traces.md tells the same in words.
 *
 * A record is a tag of two bytes, whose first is never 0, and what the tag says follows it; a first
 * byte of 0, or the end of the block, ends a block. That byte of a record is stored last.
 *
 *   bit   15       10   9 8    7 6    5   3   2  0
 *       | time, low  | tlen | slen | alen   | op   |
 *
 *   time   ticks since the record before, or since the block's own; tlen says how many bytes of
 *          its higher bits follow the tag: 0, 1, 2, 4
 *   slen   bytes of the size, which come next: 1, 2, 4, 8
 *   alen   bytes of the address, which come next: 0 to 6, and 7 says 8. It is the difference from
 *          an address before, in steps of TRACE_GRAIN, its sign in the lowest bit: for what is
 *          freed, from the last freed; for what is allocated, from the last of the same
 *          trace_key() of its size.
 *
 * After that, by op:
 *   TRACE_FREE      has no size; slen says what freed: enum trace_freed
 *   TRACE_ALIGNED   a byte: log2 of the alignment, and TRACE_BY_NEW
 *   TRACE_REALLOC   alen is of the old address. A byte x: bits 0-2 are the alen of the new address,
 *                   which follows as the difference from the old one; bits 3-5 are the same for the
 *                   ticks that the call took, which follow that; TRACE_FAILED
 *   TRACE_OTHER     no size and no address: alen and slen together are enum trace_other. Two bytes:
 *                   how many follow. Those that a reader does not know it passes over.
 * and in blocks with TRACE_STACKS, after all that allocate, three bytes: the number of the stack, 0
 * when it is not known.
 *
 * An allocation that failed has address 0; one that was resized in vain has TRACE_FAILED.
 */
#ifndef PHK_TRACE_FORMAT_H
#define PHK_TRACE_FORMAT_H

#include <stdint.h>

#define TRACE_MAGIC "PHKTRACE"
#define TRACE_VERSION 1U
#define TRACE_BLOCK_MAGIC 0x424b4850U /* "PHKB" */
#define TRACE_BLOCK_NBYTES 65536U
#define TRACE_HEAD_NBYTES 128U
#define TRACE_TICK_NS 16U
/*
 * Ticks are of the processor's counter, divided by 2 to this power; how long one is has to be told
 * from the clock and the ticks that the head and blocks have.
 */
#define TRACE_COUNTER 0U
#define TRACE_COUNTER_SHIFT 5U
#define TRACE_GRAIN 16U
#define TRACE_KEYS 64U

enum trace_op {
	TRACE_END,
	TRACE_MALLOC,
	TRACE_FREE,
	TRACE_REALLOC,
	TRACE_CALLOC,
	TRACE_ALIGNED,
	TRACE_NEW,
	TRACE_OTHER,
};

enum trace_freed { TRACE_BY_FREE, TRACE_BY_DELETE };

enum trace_other {
	TRACE_TIME = 1,    /* u64: ticks, absolute */
	TRACE_THREAD = 2,  /* u32: the kernel's number of the thread that writes from here on */
	TRACE_PROCESS = 3, /* struct trace_process; its command line, a 0 after each word */
	TRACE_STACK = 4,   /* u32: number of the stack; u64 each: return addresses, innermost first */
	TRACE_MAP = 5,     /* u64 start, end: what is loaded there; its file */
	TRACE_LOST = 6,    /* u64: operations in signal handlers that could not be recorded */
	TRACE_EXIT = 7,    /* the process ends of its own accord */
};

#define TRACE_BY_NEW 0x40U
#define TRACE_FAILED 0x40U

/* flags of a block */
#define TRACE_STACKS 1U

struct trace_head {
	char magic[8];
	uint32_t version;
	uint32_t block_nbytes;
	uint32_t tick_ns;    /* of a tick; TRACE_COUNTER: see below */
	uint32_t packed;     /* blocks follow each other without gaps */
	uint64_t wall_ns;    /* the time of day, and */
	uint64_t clock_ns;   /* a clock that only goes forward, and */
	uint64_t ticks;      /* ticks, all three when the file was made */
	/* Below: while it is written, atomic. */
	uint64_t end;        /* of the blocks, in bytes of the file */
	uint64_t full;       /* blocks that nobody writes to any more */
	uint64_t collected;  /* of these, taken by the collector */
	uint32_t processes;
	int32_t collector;   /* process that takes blocks out of the file, or 0 */
	uint32_t closed;     /* not to be written to any more */
	int32_t stopped;     /* the error for which a program stopped writing, or 0 */
	uint32_t reserved[10];
};

struct trace_block {
	uint32_t magic;
	uint32_t nbytes;     /* of the block with this header; 0 while it is written to */
	uint32_t process;    /* number in this file, from 1 */
	uint32_t stream;     /* number in its process */
	uint32_t number;     /* of the block in its stream */
	uint32_t flags;
	uint64_t time;       /* ticks that its first record counts from, */
	uint64_t clock_ns;   /* and the clock at that time */
	int32_t pid;
	int32_t thread;
	uint32_t reserved[4];
};

struct trace_process {
	int32_t pid;
	int32_t parent_pid;
	uint32_t parent;     /* process in this file that it was forked from, or 0 */
	uint32_t reserved;
};

_Static_assert(sizeof(struct trace_head) == TRACE_HEAD_NBYTES, "the head has no gaps");
_Static_assert(sizeof(struct trace_block) == 64, "a block's header is a cache line");

/* Which of the addresses before it an allocation of n bytes is told by. */
static inline unsigned
trace_key(uint64_t n)
{
	return n <= (TRACE_KEYS - 2) * 16 ? (unsigned)((n + 15) / 16) : TRACE_KEYS - 1;
}

#endif
