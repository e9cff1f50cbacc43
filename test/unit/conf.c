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
	{ char n[5] = {u, '1', '2', l, 0}, on[2] = {u, 0}, given[4] = {u, '1', '2', 0}; \
		all &= letters_are(n, "") && letters_are(given, on); }
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
	fflush(stdout);
	if (!freopen("/dev/null", "w", stderr))
		return 1;
	conf_parse(&c, "\x80?C", "test");
	promise(c.canary, "an unknown letter is passed over");
	child = fork();
	if (child == 0) {
		conf_page.conf.abort_on_fault = false;
		_exit(0);
	}
	promise(child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status),
	    "options cannot be written after start");
	return unit_done();
}
