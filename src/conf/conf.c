/*
 * conf.c: reads the options; see conf.h. Runs once, before the first allocation.
 */
#include "conf/conf.h"

#include "base/fmt.h"
#include "os/env.h"
#include "os/vm.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

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
	const char *words;
};

#define OPTION(u, l, field, w, v) {ROW_OPTION, u, l, offsetof(struct conf, field), v, w},
#define LEVEL(u, l, field, w, v) {ROW_LEVEL, u, l, offsetof(struct conf, field), v, w},
#define NUMBER(u, l, field, w, v) {ROW_NUMBER, u, l, offsetof(struct conf, field), v, w},
#define SHIFT(u, l, field, w, v) {ROW_SHIFT, u, l, offsetof(struct conf, field), v, w},
#define GROUP(u, l, field, w, v) {ROW_GROUP, u, l, offsetof(struct conf, field), v, w},
#define IGNORED(u, l, field, w, v) {ROW_IGNORED, u, l, 0, v, w},
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
	fmt_add(&f, "%s(%u) in malloc(): warning: unknown char in %s: %c\n", env_program(),
	    (unsigned)getpid(), source, (unsigned char)letter);
	env_write(f.text, f.len);
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The decimal digits behind *s, which is moved to the last of them; without any: none. */
static uint32_t
digits(const char **s, uint32_t none)
{
	uint64_t n = is_digit((*s)[1]) ? 0 : none;

	while (is_digit((*s)[1])) {
		n = n * 10 + (uint64_t)(*++*s - '0');
		if (n > UINT32_MAX)
			n = UINT32_MAX;
	}
	return (uint32_t)n;
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

static void
letter_add(struct fmt *f, const struct row *r, int64_t steps)
{
	for (; steps > 0; steps--)
		fmt_char(f, r->upper);
	for (; steps < 0; steps++)
		fmt_char(f, r->lower);
}

/* The letters that make one row's field of one configuration that of another. */
static void
row_letters(struct fmt *f, const struct row *r, const struct conf *from, const struct conf *to)
{
	const void *a = (const char *)from + r->offset, *b = (const char *)to + r->offset;
	uint32_t number;

	switch (r->kind) {
	case ROW_OPTION:
		letter_add(f, r, *(const bool *)b - *(const bool *)a);
		break;
	case ROW_LEVEL:
		letter_add(f, r, (int64_t) * (const uint32_t *)b - *(const uint32_t *)a);
		break;
	case ROW_NUMBER:
		number = *(const uint32_t *)b;
		if (number == *(const uint32_t *)a)
			break;
		letter_add(f, r, number != 0 ? 1 : -1);
		if (number != 0)
			fmt_dec(f, number);
		break;
	case ROW_SHIFT:
		letter_add(f, r, *(const int32_t *)b - *(const int32_t *)a);
		break;
	case ROW_GROUP:
	case ROW_IGNORED:
		break;
	}
}

void
conf_letters(const struct conf *c, char *buf)
{
	struct conf from;
	struct fmt f;

	f.len = 0;
	conf_defaults(&from);
	if (c->secure) {
		secure_set(&from, true);
		fmt_char(&f, 'S');
	}
	for (size_t i = 0; i < ROW_COUNT; i++)
		row_letters(&f, &rows[i], &from, c);
	fmt_char(&f, '\0');
	ASSERT(f.len <= CONF_LETTERS_MAX);
	memcpy(buf, f.text, f.len);
}

const char *
conf_words(char letter, bool *on)
{
	for (size_t i = 0; i < ROW_COUNT; i++) {
		*on = letter == rows[i].upper;
		if (*on || letter == rows[i].lower)
			return rows[i].words;
	}
	return NULL;
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
