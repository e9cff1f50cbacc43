/*
 * dirty.h: a bit for each page that may differ from zero, and so may be backed by memory.
 *
 * Set when pages are given back, cleared when the kernel has taken their memory. Page lock held.
 */
#ifndef PHK_DIRTY_H
#define PHK_DIRTY_H

#include "page/page.h"

/* Dirty pages among npages from first, which lie in one arena. */
size_t dirty_count(const struct pginfo *first, size_t npages);
/* Pages from first up to the last dirty one. */
size_t dirty_end(const struct pginfo *first, size_t npages);
void dirty_set(struct pginfo *first, size_t npages, bool value);

#endif
