/*
 * block.h: memory for pages of small chunks comes in blocks of one huge page, where that pays.
 * Within page/ only; the page lock is held, and dropped around system calls.
 */
#ifndef PHK_BLOCK_H
#define PHK_BLOCK_H

#include "base/base.h"

/* A block that took longer is one to be without for a while; set by tests. */
extern uint64_t block_slow_ns;

/* Before a page that is likely to be written all over is taken from the lowest free run. */
void block_bring(void);

#endif
