/*
 * backoff.h: something that pays when it is quick, and is left alone for a while when it was not:
 * sixteen times, twice as many after each further time, up to 4096, until it is quick again. Not
 * protected: where threads share one without a lock a step may be lost, which does no harm.
 */
#ifndef PHK_BACKOFF_H
#define PHK_BACKOFF_H

#include "base/base.h"

#define BACKOFF_MIN 16U
#define BACKOFF_MAX 4096U

struct backoff {
	unsigned skip; /* times to leave it alone */
	unsigned next; /* and after the next slow one; 0 when the last was quick */
};

/* Whether it is to be tried this time. */
ALWAYS_INLINE bool
backoff_over(struct backoff *b)
{
	unsigned skip = load_relaxed(&b->skip);

	if (skip != 0)
		store_relaxed(&b->skip, skip - 1);
	return skip == 0;
}

/* It was tried. */
ALWAYS_INLINE void
backoff_tried(struct backoff *b, bool quick)
{
	unsigned next = load_relaxed(&b->next) * 2;

	if (next < BACKOFF_MIN)
		next = BACKOFF_MIN;
	if (next > BACKOFF_MAX)
		next = BACKOFF_MAX;
	store_relaxed(&b->next, quick ? 0 : next);
	store_relaxed(&b->skip, quick ? 0 : next);
}

#endif
