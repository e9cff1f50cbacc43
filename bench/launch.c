/*
 * launch: run one program under one allocator and measure it. It is a program of
 * its own, small and static, because a child starts with its parent's peak RSS:
 * under a large parent every small program would look alike.
 *
 * usage: launch report preload timeout-seconds [samples-file] -- program [argument...]
 *
 * The report gets lines `key value`: the exit status, wall, user and system
 * seconds, faults, peak RSS of the largest process, and whether the preloaded
 * library was seen mapped in the program. With a samples file, resident memory
 * over time is written there. It must not allocate while the program runs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES_MAX = 20000, SAMPLE_MS = 20, LOOK_MS = 2 };

static struct { float seconds; unsigned pages; } sample[SAMPLES_MAX];
static size_t samples;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static ssize_t
read_proc(pid_t pid, const char *name, char *text, size_t room)
{
	char path[64];
	ssize_t got, n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return -1;
	while ((size_t)n + 1 < room && (got = read(fd, text + n, room - 1 - (size_t)n)) > 0)
		n += got;
	close(fd);
	text[n] = '\0';
	return n;
}

static int
is_mapped(pid_t pid, const char *library)
{
	static char text[1 << 18];

	return read_proc(pid, "maps", text, sizeof(text)) > 0 && strstr(text, library) != NULL;
}

static void
take_sample(pid_t pid, double since)
{
	char text[128];
	unsigned pages;

	if (samples == SAMPLES_MAX || read_proc(pid, "statm", text, sizeof(text)) <= 0
	    || sscanf(text, "%*u %u", &pages) != 1
	    || pages == 0)		/* it has ended, but was not yet waited for */
		return;
	sample[samples].seconds = (float)(now() - since);
	sample[samples++].pages = pages;
}

static void
write_samples(const char *path)
{
	FILE *f = fopen(path, "w");
	unsigned kib = (unsigned)sysconf(_SC_PAGESIZE) >> 10;

	if (f == NULL)
		return;
	for (size_t i = 0; i < samples; i++)
		fprintf(f, "%.3f %u\n", (double)sample[i].seconds, sample[i].pages * kib);
	fclose(f);
}

static void
become(const char *preload, char **argv)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* an interrupted run leaves nothing behind */
	if (*preload != '\0')
		setenv("LD_PRELOAD", preload, 1);
	execvp(argv[0], argv);
	fprintf(stderr, "launch: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Wait for its end, looking at its maps until the library is there. */
static int
watch(pid_t pid, const char *library, double limit, double start, int sampling)
{
	struct pollfd end = { (int)syscall(SYS_pidfd_open, pid, 0), POLLIN, 0 };
	int seen = *library == '\0';
	int killed = 0;

	while (!killed) {
		int ms = !seen ? LOOK_MS : sampling ? SAMPLE_MS : 1000;

		if (poll(&end, 1, ms) == 1)
			break;
		if (!seen)
			seen = is_mapped(pid, library);
		if (sampling)
			take_sample(pid, start);
		if (now() - start > limit)
			killed = kill(-pid, SIGKILL) == 0;
	}
	close(end.fd);
	return seen | killed << 1;
}

static void
report(FILE *f, int status, double wall, const struct rusage *u, int seen)
{
	fprintf(f, "exit %d\nsignal %d\ntimeout %d\nloaded %d\n",
	    WIFEXITED(status) ? WEXITSTATUS(status) : -1,
	    WIFSIGNALED(status) ? WTERMSIG(status) : 0, seen >> 1, seen & 1);
	fprintf(f, "wall %.6f\nuser %.6f\nsystem %.6f\n", wall,
	    (double)u->ru_utime.tv_sec + (double)u->ru_utime.tv_usec * 1e-6,
	    (double)u->ru_stime.tv_sec + (double)u->ru_stime.tv_usec * 1e-6);
	fprintf(f, "minflt %ld\nmajflt %ld\npeak_rss %ld\n", u->ru_minflt, u->ru_majflt,
	    u->ru_maxrss * 1024);
}

int
main(int argc, char **argv)
{
	int dashes = argc > 4 && strcmp(argv[4], "--") == 0 ? 4 : 5;
	char library[PATH_MAX] = "";
	struct rusage usage;
	double start, wall;
	int status, seen;
	pid_t pid;
	FILE *out;

	if (argc < dashes + 2 || strcmp(argv[dashes], "--") != 0
	    || (out = fopen(argv[1], "we")) == NULL
	    || (*argv[2] != '\0' && realpath(argv[2], library) == NULL)) {
		fprintf(stderr, "usage: launch report preload timeout [samples] -- program\n");
		return 2;
	}
	start = now();
	if ((pid = vfork()) == 0)
		become(argv[2], argv + dashes + 1);
	if (pid < 0)
		return 2;
	seen = watch(pid, library, strtod(argv[3], NULL), start, dashes == 5);
	if (wait4(pid, &status, 0, &usage) != pid)
		return 2;
	wall = now() - start;
	report(out, status, wall, &usage, seen);
	fclose(out);
	if (dashes == 5)
		write_samples(argv[4]);
	return 0;
}
