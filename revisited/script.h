/*
 * script.h: a trace as the player reads it: operations in one order, objects by number.
 */
#ifndef REVISITED_SCRIPT_H
#define REVISITED_SCRIPT_H

#include <stdint.h>

#define SCRIPT_MAGIC 0x3178747072637350ULL

enum script_op { SCRIPT_MALLOC, SCRIPT_CALLOC, SCRIPT_ALIGNED, SCRIPT_RESIZE, SCRIPT_FREE };

struct script_step {
	uint32_t slot;		/* of the object; used again after it is freed */
	uint8_t op;		/* enum script_op */
	uint8_t log2_alignment;	/* of SCRIPT_ALIGNED */
	uint8_t reserved[2];
	uint64_t nbytes;
};

struct script_head {
	uint64_t magic;
	uint64_t nsteps;
	uint64_t nslots;
	uint64_t peak_live;	/* most bytes asked for at one time */
	uint64_t peak_pages;	/* OS pages that these bytes would fill without a gap */
	uint64_t allocations;
};

#endif
