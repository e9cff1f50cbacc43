/*
 * A program's own malloc_options and malloc_message: its options count, the environment's come
 * later, and messages go where the program wants them.
 */
#include "phkmalloc.h"
#include "tap.h"

const char *malloc_options = "aZ";

static char messages[1000];
static size_t used;

void
malloc_message(const char *text, size_t size)
{
	if (used + size < sizeof(messages))
		memcpy(messages + used, text, size);
	used += size;
}

static int
with_options(void *options)
{
	setenv("MALLOC_OPTIONS", options, 1);
	execl("/proc/self/exe", "hooks", "child", (char *)NULL);
	return 127;
}

static int
child(void)
{
	char *p = malloc(100);

	free(p);
	free(opaque(p));
	return 0;
}

int
main(int argc, char **argv)
{
	struct ended e;
	char *p = malloc(100);
	char want[200];

	(void)argv;
	if (argc == 2)
		return child();
	memset(p, 1, 100);
	free(p);
	p = malloc(100);
	ok(p[0] == 0 && p[99] == 0, "malloc_options of the program counts");
	snprintf(want, sizeof(want), "hooks(%d) in free(): warning: modified (chunk-) pointer %p ",
	    (int)getpid(), (void *)(p + 3));
	free(opaque(p + 3));
	ok(strncmp(messages, want, strlen(want)) == 0 && used < sizeof(messages) &&
	    messages[used - 1] == '\n', "malloc_message gets the message");
	free(p);
	child_run(&e, with_options, (char[]){"A"});
	ok(died_of(&e, SIGABRT), "MALLOC_OPTIONS wins over malloc_options");
	ok(e.len == 0, "nothing is written to standard error beside malloc_message");
	child_run(&e, with_options, (char[]){"C"});
	ok(e.status == 0, "and leaves alone what it does not name");
	return tap_done();
}
