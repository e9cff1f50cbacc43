/*
 * family.h: which functions may free what which function allocated (option M). Pure functions.
 */
#ifndef PHK_FAMILY_H
#define PHK_FAMILY_H

#include "base/base.h"

enum family {
	FAMILY_MALLOC,
	FAMILY_ALIGNED, /* by aligned_alloc and the like, to more than 16 bytes */
	FAMILY_NEW,
	FAMILY_ARRAY,
	FAMILY_NEW_ALIGNED,
	FAMILY_ARRAY_ALIGNED,
	FAMILY_COUNT,
};

/* Whether a public function, by its name in messages, may free or resize what is of a family. */
bool family_fits(enum family family, const char *func);
/* A function that allocates what is of the family, for messages. */
const char *family_name(enum family family);

#endif
