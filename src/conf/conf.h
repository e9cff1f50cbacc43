/*
 * conf.h: the options of the process, from MALLOC_OPTIONS.
 *
 * Read once at start, before the first allocation; constant after that.
 */
#ifndef PHK_CONF_H
#define PHK_CONF_H

#include "base/base.h"

struct conf {
	bool dump; /* D: statistics at exit */
};

extern struct conf conf;

void conf_init(void);

#endif
