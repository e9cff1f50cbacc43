/*
 * output.c: see output.h.
 */
#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
output_begin(struct output *o, const char *path)
{
	struct stat st;

	*o = (struct output){ .path = path, .f = stdout };
	if (path == NULL)
		return;
	/* A device or a pipe is written to, not replaced. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		o->f = fopen(path, "we");
		if (o->f == NULL)
			fail(STATUS_FILE, "%s: %s", path, strerror(errno));
		return;
	}
	o->part = xcalloc(strlen(path) + 32, 1);
	sprintf(o->part, "%s.%d.part", path, getpid());
	o->f = fopen(o->part, "wxe");
	if (o->f == NULL)
		fail(STATUS_FILE, "%s: %s", path, strerror(errno));
}

void
output_end(struct output *o)
{
	if (o->path == NULL) {
		if (fflush(stdout) != 0 || ferror(stdout))
			fail(STATUS_FILE, "standard output: %s", strerror(errno));
		return;
	}
	if (ferror(o->f) || fclose(o->f) != 0 || (o->part != NULL && rename(o->part, o->path) != 0)) {
		int error = errno;

		if (o->part != NULL)
			unlink(o->part);
		fail(STATUS_FILE, "%s: %s", o->path, strerror(error));
	}
	free(o->part);
}
