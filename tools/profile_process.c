/*
 * profile_process.c: see profile_process.h. The only place where this command writes to another
 * process: the 8 bytes of struct phkmalloc_watch.
 */
#include "profile_process.h"
#include "command.h"
#include "find.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;
/* What is switched off when this command ends, however it does. */
static struct target *on_target;
static uint64_t on_address;

static void
interrupt(int signo)
{
	(void)signo;
	interrupted = 1;
}

static bool
read_watch(struct target *t, uint64_t address, struct phkmalloc_watch *w)
{
	return target_read(t, address, w, sizeof(*w));
}

static bool
set_rate(struct target *t, uint64_t address, uint32_t rate)
{
	struct phkmalloc_watch w;
	struct iovec from = { &w, sizeof(w) }, to = { (void *)(uintptr_t)address, sizeof(w) };

	if (!read_watch(t, address, &w))
		return false;
	w.rate = rate;
	w.session++;
	return process_vm_writev(t->tid, &from, 1, &to, 1, 0) == (ssize_t)sizeof(w);
}

static void
switch_off(void)
{
	struct target *t = on_target;

	on_target = NULL;
	if (t != NULL)
		(void)set_rate(t, on_address, 0);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
wait_for(struct target *t, double seconds)
{
	struct sigaction sa = { .sa_handler = interrupt };
	double start = now(), left;

	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
	while ((left = start + seconds - now()) > 0 && !interrupted && target_is_there(t)) {
		progress("sampling", (uint64_t)((seconds - left) * 10), (uint64_t)(seconds * 10));
		nanosleep(&(struct timespec){ .tv_nsec = left > .1 ? 100000000 : (long)(left * 1e9) },
		    NULL);
	}
	progress_end();
}

void
profile_process(const char *pid, double seconds, uint32_t rate, struct profile *p)
{
	static struct target t;
	struct phkmalloc_descriptor d;
	struct phkmalloc_watch w;
	struct profile since;

	target_open_pid(&t, pid);
	if (!find_descriptor(&t, &d))
		target_require(&t);
	if (!read_watch(&t, d.watch, &w)) {
		target_require(&t);
		fail(STATUS_GONE, "process %s ended while it was read", pid);
	}
	if (w.rate != 0 && seconds == 0) {
		profile_read(&t, &d, p);
		profile_rows(p, NULL);
		return;
	}
	profile_read(&t, &d, &since);
	if (w.rate == 0) {
		fail_first = switch_off;
		on_address = d.watch;
		on_target = &t;
		if (!set_rate(&t, d.watch, rate))
			fail(STATUS_NOT_PERMITTED, "not permitted to write to process %s: %s", pid,
			    strerror(errno));
	}
	wait_for(&t, seconds == 0 ? PROFILE_SECONDS : seconds);
	profile_read(&t, &d, p);
	switch_off();
	profile_rows(p, &since);
	if (p->rate == 0)
		p->rate = w.rate != 0 ? w.rate : rate;
	profile_free(&since);
	target_close(&t);
}

/* The file of the process, or the largest that there is. */
static bool
find_file(const char *folder, pid_t pid, char *path, size_t size, unsigned *others)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	bool found = false;

	*others = 0;
	while (dir != NULL && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (atoi(e->d_name) == pid || !found)
			snprintf(path, size, "%s/%s", folder, e->d_name);
		*others += found;
		found = true;
	}
	if (dir != NULL)
		closedir(dir);
	return found;
}

static void
remove_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	int fd = dir == NULL ? -1 : dirfd(dir);
	struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL)
		if (fd >= 0 && e->d_name[0] != '.')
			(void)unlinkat(fd, e->d_name, 0);
	if (dir != NULL)
		closedir(dir);
	(void)rmdir(folder);
}

static pid_t child;

static void
pass_on(int signo)
{
	(void)kill(child, signo);
}

static int
run(char **program)
{
	struct sigaction sa = { .sa_handler = pass_on };
	int status;

	child = fork();
	if (child < 0)
		fail(STATUS_OTHER, "%s: %s", program[0], strerror(errno));
	if (child == 0) {
		execvp(program[0], program);
		fprintf(stderr, "phkmalloc: %s: %s\n", program[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	/* The terminal's signals reach the program by themselves. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			fail(STATUS_OTHER, "%s: %s", program[0], strerror(errno));
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int
profile_program(char **program, const char *library, const char *letters, uint32_t rate,
    struct profile *p)
{
	char folder[] = "/tmp/phkmalloc-XXXXXX", value[PATH_MAX], path[PATH_MAX];
	unsigned others;
	int status;

	need_program(program[0]);
	preload(library);
	if (mkdtemp(folder) == NULL)
		fail(STATUS_FILE, "/tmp: %s", strerror(errno));
	snprintf(value, sizeof(value), "%s/%%p", folder);
	if (setenv("MALLOC_PROFILE_FILE", value, 1) != 0 ||
	    (letters != NULL && setenv("MALLOC_OPTIONS", letters, 1) != 0))
		fail(STATUS_OTHER, "out of memory");
	snprintf(value, sizeof(value), "B%u", rate);
	prepend("MALLOC_OPTIONS", value, "");
	status = run(program);
	memset(p, 0, sizeof(*p));
	if (find_file(folder, child, path, sizeof(path), &others)) {
		profile_read_file(path, p);
		profile_rows(p, NULL);
	}
	remove_folder(folder);
	if (others > 0)
		fprintf(stderr, "phkmalloc: %u more processes were profiled; this is process %d, %s\n",
		    others, p->pid, p->program);
	return status;
}
