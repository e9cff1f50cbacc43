/*
 * conf.h: the options of the process.
 *
 * Read once at start, later sources winning: the program's symbol malloc_options, the link
 * /etc/malloc.conf, the environment variable MALLOC_OPTIONS (not in set-uid programs). Sealed
 * read-only after that. options.def lists the letters.
 */
#ifndef PHK_CONF_H
#define PHK_CONF_H

#include "base/base.h"

#define CONF_LETTERS_MAX 128

#define OPTION(upper, lower, field, what, value) bool field;
#define LEVEL(upper, lower, field, what, value) uint32_t field;
#define NUMBER(upper, lower, field, what, value) uint32_t field;
#define SHIFT(upper, lower, field, what, value) int32_t field;
#define GROUP(upper, lower, field, what, value) bool field;
#define IGNORED(upper, lower, field, what, value)
struct conf {
#include "conf/options.def"
	bool looked;              /* each allocation is looked at, at least on slow paths */
	bool careful;             /* it is filled, placed or noted */
	bool tagged;              /* no fast path frees: noted or recorded */
	bool notes;               /* something is noted of each chunk */
	bool notes_only;          /* and no option but those has a say in allocations */
	bool realloc_careful;     /* realloc has to do with options */
	bool junk_freed;          /* freed chunks are filled with junk */
	uint64_t secret;          /* of canaries */
	size_t delay_nbytes_max;  /* F: memory held back */
	char letters[CONF_LETTERS_MAX]; /* in effect, for tools */
};
#undef OPTION
#undef LEVEL
#undef NUMBER
#undef SHIFT
#undef GROUP
#undef IGNORED

/* In a page of its own, which conf_seal makes read-only. */
union conf_page {
	struct conf conf;
	char page[SEAL_NBYTES];
};
extern union conf_page conf_page;
#define opt (conf_page.conf)

void conf_init(void);
/* Applies the letters of one source; unknown ones are said and passed over. */
void conf_parse(struct conf *c, const char *letters, const char *source);
void conf_defaults(struct conf *c);
/*
 * The letters that make the default this, in the order of options.def but for S, which is first;
 * buf holds CONF_LETTERS_MAX bytes.
 */
void conf_letters(const struct conf *c, char *buf);
/* What a letter of the table does, and whether it is the one that switches that on. */
const char *conf_words(char letter, bool *on);

#endif
