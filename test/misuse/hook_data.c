/*
 * A variable called malloc_message, as another allocator has it that a program is linked with:
 * it is not called, and messages go to standard error.
 */
#include "tap.h"

#include <sys/resource.h>

extern const char *malloc_message[2];
const char *malloc_message[2] = {"data", "that is no code"};

static int
wrong(void *unused)
{
	char local[64];

	(void)unused;
	free(malloc(1));
	free(opaque(local + 16));
	return 0;
}

int
main(void)
{
	struct ended e;
	char want[100];

	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	child_run(&e, wrong, NULL);
	snprintf(want, sizeof(want), "hook_data(%d) in free(): error: junk pointer", (int)e.pid);
	if (!ok(died_of(&e, SIGABRT) && strncmp(e.text, want, strlen(want)) == 0,
	    "a variable of the name malloc_message is not taken for a function"))
		printf("# status %#x\n# %s\n", (unsigned)e.status, e.text);
	return tap_done();
}
