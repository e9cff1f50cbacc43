/*
 * content.h: what options write into memory and read from it, for chunks and large allocations.
 * Used by who holds the allocation.
 */
#ifndef PHK_CONTENT_H
#define PHK_CONTENT_H

#include "conf/conf.h"
#include "diag/fault.h"
#include "diag/fill.h"
#include "page/page.h"

#include <string.h>

#define CANARY_NBYTES ((size_t)16)

ALWAYS_INLINE struct pginfo *
page_of(const void *p)
{
	struct pginfo *pg;

	return LIKELY(page_dir_get(p, &pg)) ? pg : page_dir_find(p);
}

/* What is needed for n bytes; less than n when there is no such size. */
ALWAYS_INLINE size_t
with_canary(size_t n)
{
	return n + (opt.canary ? CANARY_NBYTES : 0);
}

/* Reports that byte `at` of an allocation or free chunk at p was written. */
COLD void report_written(struct pginfo *pg, const void *p, size_t at, enum ptr_fault fault,
    const char *func);

ALWAYS_INLINE void
check_freed(struct pginfo *pg, void *p, size_t nbytes, const char *func)
{
	size_t at = fill_check_junk(p, nbytes);

	if (LIKELY(at == FILL_WHOLE))
		return;
	report_written(pg, p, at, PTR_WRITTEN_FREE, func);
	/* With option a: said once. */
	fill_junk((char *)p + at, nbytes - at, JUNK_FREED);
}

ALWAYS_INLINE void
check_canary(struct pginfo *pg, const void *p, size_t asked, size_t end, const char *func)
{
	size_t at = fill_check_canary(p, asked, end, opt.secret);

	if (UNLIKELY(at != FILL_WHOLE))
		report_written(pg, p, at, PTR_CANARY, func);
}

/* Fills n new bytes; what is behind them to the end is the canary's, or nobody's. */
ALWAYS_INLINE void
fill_new(void *p, size_t n, size_t end, bool zero)
{
	if (opt.zero)
		memset(p, 0, opt.canary ? n : end);
	else if (zero)
		memset(p, 0, n);
	else if (opt.junk >= 2)
		fill_junk(p, n, JUNK_NEW);
}

/* Fills what a resized allocation has more than before. */
ALWAYS_INLINE void
fill_grown(char *p, size_t had, size_t n)
{
	if (n > had && opt.zero)
		memset(p + had, 0, n - had);
	else if (n > had && opt.junk >= 2)
		fill_junk(p + had, n - had, JUNK_NEW);
}

#endif
