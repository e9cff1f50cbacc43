/*
 * target.c: a running process through /proc and process_vm_readv; see target.h.
 */
#include "target.h"

#include <errno.h>
#include <dirent.h>
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
#define DELETED " (deleted)"
#define COMM_MAX 15U /* bytes of a name that the kernel keeps */

void
target_trouble(struct target *t, enum status status, const char *format, ...)
{
	va_list args;

	if (t->status != STATUS_OK)
		return;
	t->status = status;
	va_start(args, format);
	vsnprintf(t->why, sizeof(t->why), format, args);
	va_end(args);
}

void
target_require(const struct target *t)
{
	if (t->status != STATUS_OK)
		fail((int)t->status, "%s", t->why);
}

/* Distributions forbid what process_vm_readv needs to all but parents by this. */
static bool
yama_forbids(void)
{
	char value = '0';
	FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");

	if (f == NULL)
		return false;
	value = (char)fgetc(f);
	fclose(f);
	return value >= '1' && geteuid() != 0;
}

static void
trouble_open(struct target *t, int error)
{
	if (error == ENOENT || error == ESRCH)
		target_trouble(t, STATUS_NO_PROCESS, "no such process: %d", t->pid);
	else if (error == EACCES || error == EPERM)
		target_trouble(t, STATUS_NOT_PERMITTED, "not permitted to read process %d: %s", t->pid,
		    geteuid() == 0 ? "the system does not let even this root do that, see ptrace(2)" :
		    yama_forbids() ? "with kernel.yama.ptrace_scope as it is here only root may" :
		    "only its user or root may");
	else
		target_trouble(t, STATUS_OTHER, "process %d: %s", t->pid, strerror(error));
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

static FILE *
open_proc(pid_t pid, pid_t tid, const char *name)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, name);
	return fopen(path, "re");
}

/* An ended thread has none, even where the process goes on. */
static bool
read_mappings(struct target *t)
{
	char *line = NULL;
	size_t size = 0;
	FILE *f = open_proc(t->pid, t->tid, "maps");
	int error = errno;

	if (f != NULL) {
		errno = 0;
		while (getline(&line, &size, f) > 0)
			add_mapping(t, line);
		error = ferror(f) ? errno : 0;
		free(line);
		fclose(f);
	}
	if (error != 0)
		trouble_open(t, error);
	return t->map_count > 0;
}

static void
read_mappings_of_any_thread(struct target *t)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	if (read_mappings(t) || t->status != STATUS_OK)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task", t->pid);
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL) {
		t->tid = (pid_t)strtol(e->d_name, NULL, 10);
		if (t->tid > 0 && t->tid != t->pid && read_mappings(t))
			break;
		t->tid = t->pid;
	}
	if (d != NULL)
		closedir(d);
}

/*
 * The name that it was started by, which a link to one file for several programs tells apart; of
 * long ones the kernel keeps the first 15 bytes, and the file tells the rest.
 */
static void
read_program(struct target *t)
{
	char path[64], exe[PATH_MAX];
	ssize_t n;
	const char *name = exe;
	FILE *f = open_proc(t->pid, t->pid, "comm");

	if (f != NULL) {
		if (fgets(t->program, sizeof(t->program), f) != NULL)
			t->program[strcspn(t->program, "\n")] = '\0';
		fclose(f);
	}
	snprintf(path, sizeof(path), "/proc/%d/exe", t->pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	n = (ssize_t)strlen(exe) - (ssize_t)strlen(DELETED);
	if (n > 0 && strcmp(exe + n, DELETED) == 0)
		exe[n] = '\0';
	if (strrchr(exe, '/') != NULL)
		name = strrchr(exe, '/') + 1;
	if (strncmp(name, t->program, strlen(t->program)) == 0 &&
	    (strlen(t->program) == COMM_MAX || t->program[0] == '\0'))
		snprintf(t->program, sizeof(t->program), "%.*s", (int)sizeof(t->program) - 1, name);
}

struct thread_stat {
	unsigned flags;
	unsigned long long start; /* ticks since the machine started */
};

static bool
read_stat(const struct target *t, struct thread_stat *s)
{
	char line[1024];
	char *p = NULL;
	FILE *f = open_proc(t->pid, t->tid, "stat");

	if (f == NULL)
		return false;
	/* The name, in brackets, can hold anything. */
	if (fgets(line, sizeof(line), f) != NULL)
		p = strrchr(line, ')');
	fclose(f);
	return p != NULL &&
	    sscanf(p, ") %*c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		"%llu", &s->flags, &s->start) == 2;
}

static void
read_start_time(struct target *t)
{
	char line[256];
	unsigned long long boot = 0;
	struct thread_stat s;
	FILE *f = fopen("/proc/stat", "re");

	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL && sscanf(line, "btime %llu", &boot) != 1)
		;
	fclose(f);
	if (boot != 0 && read_stat(t, &s))
		t->start_time = (double)boot + (double)s.start / (double)sysconf(_SC_CLK_TCK);
}

/* Bytes read, which end at the first address that is not there. */
static size_t
read_some(struct target *t, const struct iovec *to, const struct iovec *from, size_t n)
{
	ssize_t got = process_vm_readv(t->tid, to, n, from, n, 0);

	if (got >= 0)
		return (size_t)got;
	if (errno == ESRCH)
		target_trouble(t, STATUS_GONE, "process %d ended while it was read", t->pid);
	else if (errno != EFAULT)
		trouble_open(t, errno);
	return 0;
}

static void
process_read_spans(struct target *t, struct span *spans, size_t n)
{
	struct iovec to[SPANS_AT_ONCE], from[SPANS_AT_ONCE];
	size_t at = 0;

	while (at < n && t->status == STATUS_OK) {
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

void
target_read_spans(struct target *t, struct span *spans, size_t n)
{
	for (size_t i = 0; i < n; i++)
		spans[i].done = false;
	t->read_spans(t, spans, n);
}

bool
target_read(struct target *t, uint64_t address, void *to, size_t nbytes)
{
	struct span s = { .address = address, .to = to, .nbytes = nbytes };

	target_read_spans(t, &s, 1);
	return s.done;
}

bool
target_try_pid(struct target *t, pid_t pid)
{
	memset(t, 0, sizeof(*t));
	t->read_spans = process_read_spans;
	t->pid = t->tid = pid;
	/* Held open, so that a later process of the same number is not taken for this one. */
	t->fd = (int)syscall(SYS_pidfd_open, t->pid, 0);
	if (t->fd < 0 && (errno == ESRCH || errno == EINVAL)) {
		trouble_open(t, ESRCH);
		return false;
	}
	if (gethostname(t->host, sizeof(t->host) - 1) != 0)
		t->host[0] = '\0';
	read_mappings_of_any_thread(t);
	read_program(t);
	read_start_time(t);
	return t->status == STATUS_OK && (t->map_count > 0 || target_is_there(t));
}

void
target_try_text(struct target *t, const char *text)
{
	char *end;
	long pid;

	errno = 0;
	pid = strtol(text, &end, 10);
	if (end == text || *end != '\0' || pid <= 0 || errno != 0 || pid > INT_MAX)
		fail(STATUS_USAGE, "not a process number: %s", text);
	(void)target_try_pid(t, (pid_t)pid);
}

void
target_open_pid(struct target *t, const char *text)
{
	target_try_text(t, text);
	target_require(t);
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
is_ending(const struct target *t)
{
	struct thread_stat s;

	return !read_stat(t, &s) || (s.flags & 4) != 0;
}

bool
target_is_there(struct target *t)
{
	struct pollfd p = { .fd = t->fd, .events = POLLIN };

	if (t->pid == 0 || t->core != NULL)
		return t->status == STATUS_OK;
	if ((t->fd >= 0 && poll(&p, 1, 0) == 1) || is_ending(t))
		target_trouble(t, STATUS_GONE, "process %d ended while it was read", t->pid);
	return t->status == STATUS_OK;
}
