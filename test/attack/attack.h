/*
 * attack.h: a technique and what becomes of it; and where the allocator keeps its things, which an
 * attacker is supposed to know.
 */
#ifndef TEST_ATTACK_H
#define TEST_ATTACK_H

#include "phkmalloc.h"
#include "tap.h"

#include <malloc.h>

#define ALIGNED_TO(n) __attribute__((aligned(n)))

enum { NOTHING, GAINED };
/* EITHER: what is next to what is random then, so it has no effect, or is caught. */
enum outcome { HAS_NO_EFFECT, CAUGHT, TRAPS, EITHER, SUCCEEDS };

struct attack {
	const char *name;
	int (*act)(void);             /* NOTHING or GAINED, if it comes back */
	enum outcome plain, secure; /* in the default build, with option S */
};
extern const struct attack attacks[];
extern const size_t attack_count;

/* The bookkeeping of the first arena, the table of arenas, the options. */
void *attack_page_dir(void);
void *attack_arenas(void);
void *attack_options(void);

#endif
