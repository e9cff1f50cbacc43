/*
 * measure.c: what the kernel tells of this process's memory; see engine.h. No state; one thread at
 * a time.
 */
#include "engine.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file of /proc, piece by piece; each line goes to `line`. */
static bool
each_line(const char *path, void (*line)(const char *, void *), void *arg)
{
	char buf[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = read(fd, buf + have, sizeof(buf) - 1 - have)) > 0) {
		char *at = buf, *end;

		have += (size_t)n;
		buf[have] = '\0';
		while ((end = memchr(at, '\n', (size_t)(buf + have - at))) != NULL) {
			*end = '\0';
			line(at, arg);
			at = end + 1;
		}
		have = (size_t)(buf + have - at);
		if (have == sizeof(buf) - 1)
			have = 0;
		memmove(buf, at, have);
	}
	close(fd);
	return n == 0;
}

/* The number of KiB behind a name, in bytes. */
static bool
kib(const char *line, const char *name, uint64_t *nbytes)
{
	size_t len = strlen(name);

	if (strncmp(line, name, len) != 0)
		return false;
	*nbytes = strtoull(line + len, NULL, 10) * 1024;
	return true;
}

static void
status_line(const char *line, void *arg)
{
	struct status *s = arg;

	(void)(kib(line, "VmRSS:", &s->rss) || kib(line, "VmHWM:", &s->peak));
}

void
measure_memory(struct status *s)
{
	memset(s, 0, sizeof(*s));
	(void)each_line("/proc/self/status", status_line, s);
}

static bool
clear_refs(const char *what)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, what, 1) == 1;

	if (fd >= 0)
		close(fd);
	return done;
}

bool
measure_reset_peak(void)
{
	return clear_refs("5");
}

bool
measure_reset_pages(void)
{
	return clear_refs("1");
}

struct count {
	bool counts;     /* the mapping that lines are of */
	uint64_t nbytes;
};

/* Memory that is neither a file's, nor a stack; ours is shared, which has the name of a file. */
static void
smaps_line(const char *line, void *arg)
{
	struct count *c = arg;
	char *at;
	uint64_t nbytes;

	(void)strtoull(line, &at, 16);
	if (*at == '-' && at > line) {
		const char *name = line;

		for (int i = 0; i < 5 && name != NULL; i++)
			name = name == NULL ? NULL : strchr(name + 1, ' ');
		while (name != NULL && *name == ' ')
			name++;
		c->counts = name == NULL || *name == '\0' || strcmp(name, "[heap]") == 0 ||
		    strncmp(name, "[anon", 5) == 0;
	} else if (c->counts && kib(line, "Referenced:", &nbytes)) {
		c->nbytes += nbytes;
	}
}

bool
measure_pages(uint64_t *nbytes)
{
	struct count c = { 0 };

	if (!each_line("/proc/self/smaps", smaps_line, &c))
		return false;
	*nbytes = c.nbytes;
	return true;
}
