/*
 * target.c: a running process through /proc and process_vm_readv; see target.h.
 */
#include "target.h"
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SPANS_AT_ONCE 512U /* below the kernel's IOV_MAX */

void (*fail_first)(void);

void
fail(enum status status, const char *format, ...)
{
	va_list args;

	if (fail_first != NULL)
		fail_first();
	fflush(stdout);
	fputs("phkmalloc: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit((int)status);
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n == 0 ? 1 : n, size);

	if (p == NULL)
		fail(STATUS_OTHER, "out of memory");
	return p;
}

void *
xgrow(void *old, size_t n, size_t size)
{
	void *p = reallocarray(old, n, size);

	if (p == NULL)
		fail(STATUS_OTHER, "out of memory");
	return p;
}

char *
xstrdup(const char *s)
{
	char *p = strdup(s);

	if (p == NULL)
		fail(STATUS_OTHER, "out of memory");
	return p;
}

static _Noreturn void
fail_open(pid_t pid, int error)
{
	if (error == ENOENT || error == ESRCH)
		fail(STATUS_NO_PROCESS, "no such process: %d", pid);
	if (error == EACCES || error == EPERM)
		fail(STATUS_NOT_PERMITTED,
		    "not permitted to read process %d: only its user or root may", pid);
	fail(STATUS_OTHER, "process %d: %s", pid, strerror(error));
}

static void
add_mapping(struct target *t, const char *line)
{
	unsigned long start, end, offset;
	char perms[8];
	int at = 0;
	struct mapping *m;

	if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %n", &start, &end, perms, &offset, &at) < 4 ||
	    at == 0 || line[at] != '/' || perms[0] != 'r' || perms[3] != 'p')
		return;
	if ((t->map_count & (t->map_count - 1)) == 0)
		t->maps = xgrow(t->maps, t->map_count == 0 ? 1 : t->map_count * 2, sizeof(*m));
	m = &t->maps[t->map_count++];
	m->start = start;
	m->end = end;
	m->offset = offset;
	m->path = xstrdup(line + at);
	m->path[strcspn(m->path, "\n")] = '\0';
}

static void
read_mappings(struct target *t)
{
	char path[64];
	char *line = NULL;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", t->pid);
	f = fopen(path, "re");
	if (f == NULL)
		fail_open(t->pid, errno);
	while (getline(&line, &size, f) > 0)
		add_mapping(t, line);
	if (ferror(f))
		fail_open(t->pid, errno);
	free(line);
	fclose(f);
}

static void
read_program(struct target *t)
{
	char path[64], exe[PATH_MAX];
	ssize_t n;
	const char *name = exe;

	snprintf(path, sizeof(path), "/proc/%d/exe", t->pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	if (strrchr(exe, '/') != NULL)
		name = strrchr(exe, '/') + 1;
	snprintf(t->program, sizeof(t->program), "%.*s", (int)strcspn(name, " "), name);
}

void
target_open_pid(struct target *t, const char *text)
{
	char *end;
	long pid;

	errno = 0;
	pid = strtol(text, &end, 10);
	if (end == text || *end != '\0' || pid <= 0 || errno != 0 || pid > INT_MAX)
		fail(STATUS_USAGE, "not a process number: %s", text);
	memset(t, 0, sizeof(*t));
	t->pid = (pid_t)pid;
	/* Held open, so that a later process of the same number is not taken for this one. */
	t->fd = (int)syscall(SYS_pidfd_open, t->pid, 0);
	if (t->fd < 0 && (errno == ESRCH || errno == EINVAL))
		fail_open(t->pid, ESRCH);
	if (gethostname(t->host, sizeof(t->host) - 1) != 0)
		t->host[0] = '\0';
	read_mappings(t);
	read_program(t);
	if (t->map_count == 0)
		target_still_there(t);
}

void
target_close(struct target *t)
{
	for (size_t i = 0; i < t->map_count; i++)
		free(t->maps[i].path);
	free(t->maps);
	free(t->segments);
	if (t->fd >= 0)
		close(t->fd);
}

/* The kernel takes a process's memory before it says that the process ended: flag PF_EXITING. */
static bool
is_ending(pid_t pid)
{
	char path[64], line[512];
	unsigned flags = 0;
	char *p = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return true;
	/* The name, in brackets, can hold anything. */
	if (fgets(line, sizeof(line), f) != NULL)
		p = strrchr(line, ')');
	fclose(f);
	return p == NULL || (sscanf(p, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
	    (flags & 4) != 0);
}

void
target_still_there(struct target *t)
{
	struct pollfd p = { .fd = t->fd, .events = POLLIN };

	if (t->core != NULL)
		return;
	if ((t->fd >= 0 && poll(&p, 1, 0) == 1) || is_ending(t->pid))
		fail(STATUS_GONE, "process %d ended while it was read", t->pid);
}

/* Bytes read, which end at the first address that is not there. */
static size_t
read_some(struct target *t, const struct iovec *to, const struct iovec *from, size_t n)
{
	ssize_t got = process_vm_readv(t->pid, to, n, from, n, 0);

	if (got >= 0)
		return (size_t)got;
	if (errno == EPERM)
		fail_open(t->pid, EPERM);
	if (errno == ESRCH)
		fail(STATUS_GONE, "process %d ended while it was read", t->pid);
	if (errno != EFAULT)
		fail(STATUS_OTHER, "process %d: %s", t->pid, strerror(errno));
	return 0;
}

void
target_read_spans(struct target *t, struct span *spans, size_t n)
{
	struct iovec to[SPANS_AT_ONCE], from[SPANS_AT_ONCE];
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		spans[i].done = t->core != NULL &&
		    core_read(t, spans[i].address, spans[i].to, spans[i].nbytes);
	while (t->core == NULL && at < n) {
		size_t count = n - at < SPANS_AT_ONCE ? n - at : SPANS_AT_ONCE;
		size_t got, end;

		for (size_t i = 0; i < count; i++) {
			struct span *s = &spans[at + i];

			to[i] = (struct iovec){ s->to, s->nbytes };
			from[i] = (struct iovec){ (void *)(uintptr_t)s->address, s->nbytes };
		}
		got = read_some(t, to, from, count);
		for (end = at + count; at < end && got >= spans[at].nbytes; at++) {
			got -= spans[at].nbytes;
			spans[at].done = true;
		}
		if (at < end)
			at++; /* this one is not there, or not all of it */
	}
}

bool
target_read(struct target *t, uint64_t address, void *to, size_t nbytes)
{
	struct span s = { .address = address, .to = to, .nbytes = nbytes };

	target_read_spans(t, &s, 1);
	return s.done;
}
