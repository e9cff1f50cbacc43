/*
 * rest.c: a program at rest gives back the OS pages in which no chunk is in use, bit by bit; see
 * chunk_page.h. State: how far it has come. No lock: entries are read as hints, chunk_purge looks.
 *
 * At rest is a program with much free memory that for a whole interval gave no page back, see
 * page_tick. It is gone through once, in steps that take a twentieth of the time at most: what a
 * step may do is measured by the time since the last one.
 */
#include "chunk/chunk_page.h"

#include "os/env.h"
#include "page/page_alloc.h"

/* Pages of chunks for a millisecond that has passed: one takes about 15 microseconds. */
#define MS_NPAGES 3U
#define STEP_MS_MIN 10U
/* 8 milliseconds at most, and 64 MiB. */
#define STEP_NPAGES ((size_t)512)
/* Entries of other kinds are no work, but not none. */
#define STEP_NENTRIES ((size_t)65536)

static size_t next_page; /* in the first arena; atomic, as is the other */
static uint64_t step_ms;

void
chunk_rest(void)
{
	struct arena *a = &arenas[0];
	size_t end = load_acquire(&a->limit) >> malloc_pageshift;
	size_t at = load_relaxed(&next_page), stop = at + STEP_NENTRIES;
	uint64_t now = env_clock_ms(), since = now - load_relaxed(&step_ms);
	size_t left = since < STEP_NPAGES / MS_NPAGES ? (size_t)since * MS_NPAGES : STEP_NPAGES;

	if (since < STEP_MS_MIN)
		return;
	store_relaxed(&step_ms, now);
	for (; at < end && at < stop && left != 0; at++)
		if (owner_is(load_relaxed(&a->page_dir[at].owner))) {
			(void)chunk_purge(&a->page_dir[at]);
			left--;
		}
	if (at >= end) {
		at = 0;
		page_rest_over();
	}
	store_relaxed(&next_page, at);
}
