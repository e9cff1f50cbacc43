/*
 * run.c: `phkmalloc run`: any program on the library. Without a summary the program takes this
 * command's place; see watch.h for the other way.
 */
#include "command.h"
#include "program.h"
#include "watch.h"

#include <errno.h>
#include <getopt.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_CANNOT_RUN 126
#define STATUS_NOT_FOUND 127

/* Beside the command, or where an installation puts it beside bin. */
static char *
find_library(void)
{
	static const char *const places[] = { "", "../lib/", "../lib/*-linux-*/", "../lib64/" };
	static const char *const names[] = { "libphkmalloc.so.1", "libphkmalloc.so" };
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *found = NULL;

	self[len > 0 ? len : 0] = '\0';
	if (strrchr(self, '/') != NULL)
		strrchr(self, '/')[1] = '\0';
	for (size_t i = 0; i < 8 && found == NULL; i++) {
		char *pattern;
		glob_t g = { 0 };

		if (asprintf(&pattern, "%s%s%s", self, places[i / 2], names[i % 2]) < 0)
			fail(STATUS_OTHER, "out of memory");
		if (strchr(self, '[') != NULL || strchr(self, '*') != NULL || strchr(self, '?') != NULL)
			found = access(pattern, R_OK) == 0 ? xstrdup(pattern) : NULL;
		else if (glob(pattern, 0, NULL, &g) == 0)
			for (size_t k = 0; k < g.gl_pathc && found == NULL; k++)
				if (program_is_native(g.gl_pathv[k]))
					found = xstrdup(g.gl_pathv[k]);
		globfree(&g);
		free(pattern);
	}
	return found;
}

void
prepend(const char *name, const char *first, const char *separator)
{
	const char *old = getenv(name);
	char *value;

	if (old == NULL || *old == '\0')
		value = xstrdup(first);
	else if (asprintf(&value, "%s%s%s", first, separator, old) < 0)
		fail(STATUS_OTHER, "out of memory");
	if (setenv(name, value, 1) != 0)
		fail(STATUS_OTHER, "out of memory");
	free(value);
}

void
preload(const char *library)
{
	char *found = library == NULL ? find_library() : realpath(library, NULL);

	if (found == NULL && library == NULL)
		fail(STATUS_CANNOT_RUN, "libphkmalloc.so.1 is neither beside this command nor in ../lib; "
		    "--library FILE tells where it is");
	if (found == NULL)
		fail(STATUS_CANNOT_RUN, "%s: %s", library, strerror(errno));
	if (!program_is_native(found))
		fail(STATUS_CANNOT_RUN, "%s: not a library for this machine", found);
	if (strpbrk(found, " :") != NULL)
		fail(STATUS_CANNOT_RUN, "%s: LD_PRELOAD cannot hold a path with a space or colon", found);
	prepend("LD_PRELOAD", found, ":");
	free(found);
}

char *
library_with_name(const char *name)
{
	char *found = find_library(), *both;

	if (found == NULL)
		fail(STATUS_FILE, "libphkmalloc.so.1 is neither beside this command nor in ../lib");
	if (asprintf(&both, "%s=%s", name, found) < 0)
		fail(STATUS_OTHER, "out of memory");
	free(found);
	return both;
}

static int
cannot_run(const char *name, int error)
{
	fprintf(stderr, "phkmalloc: %s: %s\n", name, strerror(error));
	return error == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

void
need_program(const char *name)
{
	const char *obstacle;
	char *file = program_find(name);

	if (file == NULL)
		exit(cannot_run(name, errno));
	obstacle = program_obstacle(file);
	if (obstacle != NULL)
		fail(STATUS_CANNOT_RUN, "%s cannot run on the library: %s", file, obstacle);
	free(file);
}

int
command_run(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "summary", no_argument, NULL, 's' },
		{ "leaks", no_argument, NULL, 'k' },
		{ "library", required_argument, NULL, 'l' },
		{ 0 },
	};
	const char *library = NULL, *letters = NULL;
	bool with_summary = false, with_leaks = false;
	int c;

	while ((c = getopt_long(argc, argv, "+o:", longs, NULL)) != -1) {
		if (c == 'o')
			letters = optarg;
		else if (c == 's')
			with_summary = true;
		else if (c == 'k')
			with_leaks = true;
		else if (c == 'l')
			library = optarg;
		else
			usage("run");
	}
	if (optind == argc || (with_leaks && with_summary))
		usage("run");
	if (with_leaks)
		return leaks_program(argv + optind, library, letters);
	need_program(argv[optind]);
	preload(library);
	if (letters != NULL && setenv("MALLOC_OPTIONS", letters, 1) != 0)
		fail(STATUS_OTHER, "out of memory");
	if (with_summary)
		return watch_program(argv + optind);
	execvp(argv[optind], argv + optind);
	return cannot_run(argv[optind], errno);
}
