/*
 * reader.h: what the two halves of a look at a heap share: snapshot.c walks arenas and owners,
 * entries.c reads blocks of page_dir and says what an entry is.
 */
#ifndef TOOLS_READER_H
#define TOOLS_READER_H

#include "snapshot.h"

#include <string.h>

#define BLOCK 256U          /* entries at once */
#define BITMAP_NWORDS 2048U /* of a page: far above what any class needs */
#define BITMAP_SPANS 4U     /* what is read of a page beside its entry */

struct class_layout {
	uint32_t nwords;
	uint32_t remote;
};

struct reader {
	struct target *t;
	const struct phkmalloc_descriptor *d;
	struct snapshot *s;
	snapshot_progress progress;
	bool with_runs;
	struct class_layout layout[CLASS_MAX];
	uint64_t looks;        /* entries */
	unsigned char *before; /* BLOCK entries, as seen before their bitmaps were read */
	unsigned char *after;
	uint64_t *bitmaps;     /* BLOCK times BITMAP_NWORDS: bits, and behind them remote */
	struct span spans[(BITMAP_SPANS + 1) * BLOCK];
	uint32_t first[BLOCK]; /* the entry's first span in this round */
	bool seen[BLOCK];      /* the entry's bitmaps were read */
	struct run last;       /* of no pages at first; can still grow */
	uint64_t last_entry;   /* address */
};

/* A number of at most 8 bytes in a structure of the process. */
static inline uint64_t
get(const unsigned char *entry, uint32_t offset, size_t nbytes)
{
	uint64_t v = 0;

	memcpy(&v, entry + offset, nbytes); /* little-endian, as all that phkmalloc runs on */
	return v;
}

/* What an entry is, as far as it makes sense. */
enum entry_kind {
	ENTRY_CHUNKS,
	ENTRY_FREE,
	ENTRY_LARGE,
	ENTRY_MOVING, /* a run on its way between free and in use */
	ENTRY_INSIDE, /* of a run that an entry before it describes */
	ENTRY_OTHER,
};

/* False when the process's table of size classes is not there, or makes no sense. */
bool read_classes(struct reader *r);
/* Reads n entries, at most BLOCK, and what belongs to them; false when they are not there. */
bool read_block(struct reader *r, uint64_t address, uint32_t n);
enum entry_kind entry_kind(const struct reader *r, const unsigned char *entry);
/* Whether entry i of the block held still: its kind, and what that makes count. */
bool entry_held_still(const struct reader *r, uint32_t i);
/* Counts the chunks of entry i, which is one of chunks and was read with its bitmaps. */
void count_chunks(struct reader *r, struct run *run, uint32_t i);

#endif
