/*
 * conf.c: parses MALLOC_OPTIONS; see conf.h.
 */
#include "conf/conf.h"

#include "base/fmt.h"
#include "os/env.h"

struct conf conf;

void
conf_init(void)
{
	const char *s = env_get("MALLOC_OPTIONS");

	for (; s != NULL && *s != '\0'; s++) {
		switch (*s) {
		case 'D': conf.dump = true; break;
		case 'd': conf.dump = false; break;
		default: {
			struct fmt f;

			f.len = 0;
			fmt_add(&f, "%s in malloc(): warning: unknown char in MALLOC_OPTIONS: %c\n",
			    env_program(), *s);
			env_write(f.text, f.len);
		}
		}
	}
}
