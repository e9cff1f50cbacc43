/*
 * conf.c: reads the options; see conf.h. Runs once, before the first allocation.
 */
#include "conf/conf.h"

#include "base/fmt.h"
#include "os/env.h"
#include "os/vm.h"

#include <stddef.h>
#include <string.h>

#define DELAY_NBYTES_MAX ((size_t)16 << 20)
#define LEVEL_MAX 2U
#define SHIFT_MAX 16

/* A program may define this to set its own options. */
extern __attribute__((weak)) const char *malloc_options;

union conf_page conf_page ALIGNED(SEAL_NBYTES);

enum row_kind { ROW_OPTION, ROW_LEVEL, ROW_NUMBER, ROW_SHIFT, ROW_GROUP, ROW_IGNORED };
struct row {
	enum row_kind kind;
	char upper;
	char lower;
	size_t offset;
	int64_t value;
};

#define OPTION(u, l, field, w, v) {ROW_OPTION, u, l, offsetof(struct conf, field), v},
#define LEVEL(u, l, field, w, v) {ROW_LEVEL, u, l, offsetof(struct conf, field), v},
#define NUMBER(u, l, field, w, v) {ROW_NUMBER, u, l, offsetof(struct conf, field), v},
#define SHIFT(u, l, field, w, v) {ROW_SHIFT, u, l, offsetof(struct conf, field), v},
#define GROUP(u, l, field, w, v) {ROW_GROUP, u, l, offsetof(struct conf, field), v},
#define IGNORED(u, l, field, w, v) {ROW_IGNORED, u, l, 0, v},
static const struct row rows[] = {
#include "conf/options.def"
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static void
secure_set(struct conf *c, bool on)
{
	c->secure = on;
	c->canary = c->random = c->delay = c->guard = c->page_end = c->realloc_moves = on;
	c->junk = on ? LEVEL_MAX : 0;
	c->cache_shift = on ? -SHIFT_MAX : 0;
}

static void
row_apply(struct conf *c, const struct row *r, bool up, uint32_t number)
{
	void *field = (char *)c + r->offset;
	uint32_t *level = field;
	int32_t *shift = field;

	switch (r->kind) {
	case ROW_OPTION:
		*(bool *)field = up;
		break;
	case ROW_LEVEL:
		if (up ? *level < LEVEL_MAX : *level > 0)
			*level += up ? 1U : -1U;
		break;
	case ROW_NUMBER:
		*level = up ? number : 0;
		break;
	case ROW_SHIFT:
		if (up ? *shift < SHIFT_MAX : *shift > -SHIFT_MAX)
			*shift += up ? 1 : -1;
		break;
	case ROW_GROUP:
		secure_set(c, up);
		break;
	case ROW_IGNORED:
		break;
	}
}

void
conf_defaults(struct conf *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].value != 0 && rows[i].kind != ROW_NUMBER)
			row_apply(c, &rows[i], true, (uint32_t)rows[i].value);
	c->delay_nbytes_max = DELAY_NBYTES_MAX;
}

static void
warn_unknown(char letter, const char *source)
{
	struct fmt f;

	f.len = 0;
	fmt_add(&f, "%s in malloc(): warning: unknown char in %s: %c\n", env_program(), source,
	    (unsigned char)letter);
	env_write(f.text, f.len);
}

/* The decimal digits at *s, which is moved to the last of them; at most 9. Without any: none. */
static uint32_t
digits(const char **s, uint32_t none)
{
	uint32_t n = (*s)[1] >= '0' && (*s)[1] <= '9' ? 0 : none;

	for (int i = 0; i < 9 && (*s)[1] >= '0' && (*s)[1] <= '9'; i++)
		n = n * 10 + (uint32_t)(*++*s - '0');
	return n;
}

void
conf_parse(struct conf *c, const char *letters, const char *source)
{
	for (const char *s = letters; *s != '\0'; s++) {
		size_t i = 0;

		while (i < ROW_COUNT && *s != rows[i].upper && *s != rows[i].lower)
			i++;
		if (i == ROW_COUNT)
			warn_unknown(*s, source);
		else if (*s == rows[i].lower)
			row_apply(c, &rows[i], false, 0);
		else
			row_apply(c, &rows[i], true,
			    rows[i].kind == ROW_NUMBER ? digits(&s, (uint32_t)rows[i].value) : 0);
	}
}

static char *
letter_add(char *at, char letter, uint32_t times)
{
	while (times-- > 0)
		*at++ = letter;
	return at;
}

void
conf_letters(const struct conf *c, char *buf)
{
	char *at = buf;

	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct row *r = &rows[i];
		const void *field = (const char *)c + r->offset;
		int32_t shift = r->kind == ROW_SHIFT ? *(const int32_t *)field : 0;
		uint32_t level = r->kind == ROW_LEVEL ? *(const uint32_t *)field : 0;

		if ((r->kind == ROW_OPTION || r->kind == ROW_GROUP) &&
		    *(const bool *)field != (r->value != 0))
			*at++ = *(const bool *)field ? r->upper : r->lower;
		at = letter_add(at, r->upper, level);
		if (r->kind == ROW_NUMBER && *(const uint32_t *)field != 0)
			*at++ = r->upper;
		at = letter_add(at, shift < 0 ? r->lower : r->upper,
		    (uint32_t)(shift < 0 ? -shift : shift));
	}
	*at = '\0';
}

/* What follows from the options. */
static void
conf_derive(struct conf *c)
{
	c->notes = c->canary || c->delay || c->junk != 0 || c->stacks || c->exact || c->family;
	c->tagged = c->notes || c->trace != 0;
	c->careful = c->notes || c->random || c->zero || c->page_end;
	c->looked = c->careful || c->trace != 0 || c->zero_is_null;
	c->notes_only = c->notes && c->trace == 0 && !c->zero_is_null && c->sample_rate == 0;
	c->realloc_careful = c->tagged || c->realloc_moves;
	c->junk_freed = c->junk != 0 || c->delay;
}

void
conf_init(void)
{
	struct conf *c = &conf_page.conf;
	char text[256];

	conf_defaults(c);
	if (&malloc_options != NULL && malloc_options != NULL)
		conf_parse(c, malloc_options, "malloc_options");
	if (env_link("/etc/malloc.conf", text, sizeof(text)))
		conf_parse(c, text, "/etc/malloc.conf");
	if (env_get("MALLOC_OPTIONS", text, sizeof(text)))
		conf_parse(c, text, "MALLOC_OPTIONS");
	conf_derive(c);
	conf_letters(c, c->letters);
	c->secret = env_random() | 0x0101010101010101U;
	/* Where the OS page is larger than ours, sealing would take its neighbours along. */
	if (vm_pagesize <= SEAL_NBYTES)
		(void)vm_seal(&conf_page, SEAL_NBYTES, c->secure);
}
