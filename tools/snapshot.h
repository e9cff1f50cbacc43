/*
 * snapshot.h: what a heap looked like, page by page, read from outside while it changed.
 *
 * A page whose entry changed between two looks is read again, and when it does not hold still it
 * is counted as unsettled: figures are of pages that were seen whole. Pages are not all seen at
 * the same instant. A chunk is in use or free as it was at some instant of the look, and counters
 * count no operation twice and none that had not happened: they are never too high.
 *
 * What is read is not trusted: whatever is in the memory, the work is bounded by entries_max, and
 * what contradicts itself is left out and counted as damage. These files (snapshot.c, find.c,
 * target.c, base.c) link without the rest of the command, for tests that make memory up.
 */
#ifndef TOOLS_SNAPSHOT_H
#define TOOLS_SNAPSHOT_H

#include "target.h"

#include "phkmalloc_inspect.h"

#define CLASS_MAX 256U
#define SNAPSHOT_BITMAP_NWORDS ((size_t)1 << 18) /* kept, at most */

enum run_kind {
	RUN_CHUNKS,
	RUN_LARGE,
	RUN_FREE,
	RUN_GUARD,     /* inaccessible on purpose */
	RUN_HELD,      /* freed and held back (option F), kept by a thread, or on its way to be free */
	RUN_UNSETTLED, /* changed each time it was looked at, or was changing hands */
};

/* A page of chunks, or consecutive pages of one kind. */
struct run {
	uint64_t address;
	uint64_t nbytes;   /* large: asked for; free: 0 */
	uint32_t npages;
	uint32_t ndirty;   /* free: not yet given back to the kernel */
	uint16_t live;     /* chunks in use */
	uint16_t hollow;   /* OS pages without a chunk in use */
	uint8_t kind;
	uint8_t class_no;
};

struct class_figures {
	uint32_t size;
	uint32_t nchunks; /* in a page */
	uint64_t npages;
	uint64_t live;
	uint64_t hollow;
	uint64_t nfreed;
	/* Of some allocations, as many as looks, what rounding up to the class added to all of them. */
	uint64_t rounding_nlooks;
	uint64_t rounding_nbytes;
};

/* A thread's pages, or those of one that ended. */
struct owner_figures {
	uint64_t address;
	int32_t thread;      /* the kernel's number */
	uint32_t state;      /* 0 live, 1 parked, 2 late, 3 lost */
	uint64_t npages;
	uint64_t live;       /* chunks */
	uint64_t live_nbytes;
	uint64_t nfreed;     /* as far as the owner has counted */
};

struct snapshot {
	double time; /* seconds since 1970 */
	char library[17];
	char options[64];
	uint32_t page_nbytes;
	uint32_t os_page_nbytes;
	uint32_t class_count;
	struct class_figures classes[CLASS_MAX];
	uint64_t arenas;
	uint64_t damage;     /* arenas and lists that contradict themselves, left out */
	bool cut;            /* the heap has more pages than are looked at */
	uint64_t npages;     /* in use from the arenas' origins on */
	uint64_t nused_max;  /* the most pages of them ever in use at a time, large and of chunks */
	uint64_t large_count, large_npages, large_nbytes;
	uint64_t large_nmalloc, large_nfree;
	uint64_t free_runs, free_npages, free_ndirty, free_longest;
	uint64_t guard_npages, held_npages, unsettled_npages;
	uint64_t npurged;
	struct phkmalloc_samples samples; /* of option W */
	uint64_t owners_live, owners_parked, owners_other;
	/* sums over classes and large allocations */
	uint64_t live_nbytes, chunk_npages, chunk_live, hollow;
	uint64_t asked_nbytes; /* of those in use what was asked for: estimated, see class_asked */
	uint64_t nmalloc, nfree;
	struct run *runs;    /* if wanted, in the order of addresses, arena by arena */
	size_t run_count;
	struct owner_figures *owners; /* by address; those that were there at the start of the look */
	size_t owner_count;
	/*
	 * With runs, and while there are few: for each run of chunks in turn the words that a bit
	 * for each chunk takes, 1 in use. NULL when the heap has more.
	 */
	uint64_t *bitmaps;
	size_t bitmap_nwords;
};

/* Entries of page_dir that are looked at before the rest of a heap is left alone. */
extern uint64_t snapshot_entries_max;

/* Called now and then with the pages done and those there are. */
typedef void (*snapshot_progress)(uint64_t done, uint64_t all);

/*
 * False when the heap cannot be read: the target's status and why tell. progress may be NULL. The
 * snapshot has to be freed in any case.
 */
bool snapshot_take(struct target *t, const struct phkmalloc_descriptor *d, bool with_runs,
    snapshot_progress progress, struct snapshot *s);
void snapshot_free(struct snapshot *s);

/*
 * Bytes asked for of a chunk on average, estimated from the allocations that the library looked at;
 * all of its bytes when it looked at none.
 */
double class_asked(const struct class_figures *g);

#endif
