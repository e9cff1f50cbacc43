/*
 * Pointers of the C library's own allocator, as libraries bring them that reach it past us: they
 * end the process, or with option O are handed to it.
 */
#include "everywhere.h"

#include <dlfcn.h>

static void *(*other_malloc)(size_t n);
static size_t (*other_usable)(void *p);

static bool
find(void)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

	if (libc == NULL)
		return false;
	*(void **)&other_malloc = dlsym(libc, "malloc");
	*(void **)&other_usable = dlsym(libc, "malloc_usable_size");
	return other_malloc != NULL && other_usable != NULL && other_malloc != malloc;
}

/* What was freed is given out again, sooner or later; what is in use, never. */
static bool
is_reused(void *p)
{
	for (int i = 0; i < 100000; i++)
		if (other_malloc(40) == p)
			return true;
	return false;
}

static int
frees(void *call)
{
	void *p = other_malloc(40), *q;

	if (strcmp(call, "free") == 0)
		free(opaque(p));
	else if (strcmp(call, "free_sized") == 0)
		free_sized(opaque(p), 40);
	else if (strcmp(call, "operator delete") == 0)
		_ZdlPv(opaque(p));
	else if (strcmp(call, "malloc_usable_size") == 0)
		return malloc_usable_size(p) == other_usable(p) ? 0 : 5;
	else if (strcmp(call, "realloc") == 0) {
		memset(p, 0x11, 40);
		q = realloc(opaque(p), 100000);
		return q != NULL && other_usable(q) >= 100000 && !phkmalloc_owns(q) &&
		    ((char *)q)[39] == 0x11 && is_whole() ? 0 : 4;
	}
	return is_reused(p) && is_whole() ? 0 : 3;
}

/* What is ours, or was reserved by us, is nobody else's. */
static int
frees_ours(void *unused)
{
	char *p = with_neighbour(100);

	(void)unused;
	free(p);
	free(p);
	return 0;
}

static int
start(void *call)
{
	setenv("MALLOC_OPTIONS", "O", 1);
	execl("/proc/self/exe", "others", call, (char *)NULL);
	return 127;
}

int
main(int argc, char **argv)
{
	static char *const calls[] = {"free", "free_sized", "operator delete", "malloc_usable_size",
	    "realloc"};
	char want[100];

	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	if (!find()) {
		skip("pointers of the C library", "its allocator is not there beside this one");
		return tap_done();
	}
	if (argc == 2)
		return strcmp(argv[1], "ours") == 0 ? frees_ours(NULL) : frees(argv[1]);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct ended e;

		child_run(&e, frees, calls[i]);
		snprintf(want, sizeof(want), "others(%d) in %s(): error: junk pointer, too ", (int)e.pid,
		    calls[i]);
		ok(died_of(&e, SIGABRT) && strncmp(e.text, want, strlen(want)) == 0,
		    "%s of the C library's memory ends the process", calls[i]);
		child_run(&e, start, calls[i]);
		if (!ok(e.status == 0 && e.len == 0, "with option O it is the C library's %s", calls[i]))
			printf("# status %#x\n# %s\n", (unsigned)e.status, e.text);
	}
	struct ended e;

	child_run(&e, start, (char[]){"ours"});
	ok(died_of(&e, SIGABRT) && strstr(e.text, "chunk is already free") != NULL,
	    "with option O our own pointers are checked as ever");
	return tap_done();
}
