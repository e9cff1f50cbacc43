/* The option letters: every row of the table, sources, errors, the seal. */
#include "conf/conf.h"
#include "heap/heap.h"
#include "unit.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int
letters_are(const char *given, const char *expected)
{
	struct conf c;
	char buf[CONF_LETTERS_MAX];

	conf_defaults(&c);
	conf_parse(&c, given, "test");
	conf_letters(&c, buf);
	if (strcmp(buf, expected) != 0)
		printf("# %s gives %s, not %s\n", given, buf, expected);
	return strcmp(buf, expected) == 0;
}

#define OPTION(u, l, field, w, v) \
	{ char up[2] = {u, 0}, both[3] = {u, l, 0}, low[2] = {l, 0}; \
		all &= letters_are(up, (v) ? "" : up) && letters_are(both, (v) ? low : ""); }
#define LEVEL(u, l, field, w, v) \
	{ char three[4] = {u, u, u, 0}, two[3] = {u, u, 0}, down[5] = {u, u, l, l, 0}; \
		all &= letters_are(three, two) && letters_are(down, ""); }
#define NUMBER(u, l, field, w, v) \
	{ char n[5] = {u, '1', '2', l, 0}, given[4] = {u, '1', '2', 0}; \
		all &= letters_are(n, "") && letters_are(given, given); }
#define SHIFT(u, l, field, w, v) \
	{ char up[2] = {u, 0}, both[3] = {u, l, 0}; \
		all &= letters_are(up, up) && letters_are(both, ""); }
#define GROUP(u, l, field, w, v) \
	{ char both[3] = {u, l, 0}; all &= letters_are(both, ""); }
#define IGNORED(u, l, field, w, v) \
	{ char both[3] = {u, l, 0}; all &= letters_are(both, ""); }

static int
every_row(void)
{
	int all = 1;

#include "conf/options.def"
	return all;
}

/* Any letters, in any order, are told as letters that mean the same and are told so again. */
static int
round_trip(void)
{
	static const char letters[] = "AaBbCcDdEeFfGgHhJjKkMmNnOoPpRrSsTtUuVvWwXxZz<>+-0123456789";
	char given[200], told[CONF_LETTERS_MAX], again[CONF_LETTERS_MAX];
	struct conf a, b;

	for (int i = 0; i < 20000; i++) {
		size_t n = unit_random() % 100;

		for (size_t k = 0; k < n; k++)
			given[k] = letters[unit_random() % (sizeof(letters) - 1)];
		given[n] = '\0';
		conf_defaults(&a);
		conf_parse(&a, given, "test");
		conf_letters(&a, told);
		conf_defaults(&b);
		conf_parse(&b, told, "test");
		conf_letters(&b, again);
		if (strcmp(told, again) != 0 || memcmp(&a, &b, sizeof(a)) != 0) {
			printf("# %s is told as %s, and that as %s\n", given, told, again);
			return 0;
		}
	}
	return 1;
}

int
main(void)
{
	struct conf c;
	int status = -1;
	pid_t child;

	malloc_init();
	promise(every_row(), "each letter sets and clears its option");
	conf_defaults(&c);
	conf_parse(&c, "W250J", "test");
	promise(c.sample_rate == 250 && c.junk == 1, "a number ends where the next letter starts");
	conf_parse(&c, "S", "test");
	promise(c.canary && c.delay && c.guard && c.random && c.junk == 2 && c.cache_shift < 0,
	    "S sets the secure set");
	promise(letters_are("S", "S") && letters_are("SaW7<c", "SacW7") &&
	    letters_are("W99999999999", "W4294967295") && letters_are("B9", "B9") &&
	    letters_are("W0", ""), "what is in effect is told in short");
	fflush(stdout);
	if (!freopen("/dev/null", "w", stderr))
		return 1;
	conf_parse(&c, "\x80?C", "test");
	promise(c.canary, "an unknown letter is passed over");
	promise(round_trip(), "what is told of any letters means the same");
	child = fork();
	if (child == 0) {
		conf_page.conf.abort_on_fault = false;
		_exit(0);
	}
	promise(child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status),
	    "options cannot be written after start");
	return unit_done();
}
