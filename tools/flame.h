/*
 * flame.h: a profile's stacks as one tree of functions, with what each allocated below it.
 */
#ifndef TOOLS_FLAME_H
#define TOOLS_FLAME_H

#include "profile.h"

struct flame {
	const char *name;    /* of the function; the root has the program's */
	const char *file;    /* source of the first address it was met at, or NULL */
	int line;
	struct estimate e;   /* of it and all below it */
	struct estimate self; /* of stacks that end here */
	struct flame *child; /* in no order */
	struct flame *next;
};

struct flame *flame_build(const struct profile *p);
void flame_free(struct flame *f);

#endif
