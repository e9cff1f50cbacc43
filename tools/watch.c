/*
 * watch.c: see watch.h. The program is traced, with no stop but for signals, forks and its end:
 * there the kernel holds it while its memory is still complete, and its heap is read as by stat.
 * So nothing has to be enabled in it, it prints nothing more than it would, and the figures are
 * there however it ends. Where tracing is not permitted the kernel's figures are all there is.
 */
#include "watch.h"
#include "find.h"
#include "stat.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OPTIONS (PTRACE_O_TRACEEXIT | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK)
#define LOOK_SECONDS 0.1   /* between two looks, and never more than a hundredth of the time */
#define OTHERS_SHOWN 20U

struct watch {
	const char *program;
	pid_t pid;
	bool traced;
	double start;
	double next_look;
	uint64_t most_live;  /* bytes in use, of the looks there were */
	uint64_t most_asked; /* of those */
	uint64_t looks;
	struct look end;     /* of the program; no snapshot when it was not seen */
	bool ended;
	struct look *others; /* processes that it started */
	size_t other_count;
	sigset_t signals;
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool
look_at(pid_t pid, struct look *l)
{
	struct phkmalloc_descriptor d;
	bool ok;

	memset(l, 0, sizeof(*l));
	if (!target_try_pid(&l->t, pid))
		return false;
	kernel_figures(&l->t, &l->k);
	ok = find_descriptor(&l->t, &d) && snapshot_take(&l->t, &d, false, NULL, &l->s);
	snapshot_free(&l->s); /* only sums are told */
	return ok;
}

static void
note_most(struct watch *w, const struct look *l)
{
	w->looks++;
	if (l->s.live_nbytes > w->most_live) {
		w->most_live = l->s.live_nbytes;
		w->most_asked = l->s.asked_nbytes;
	}
}

static void
look_meanwhile(struct watch *w)
{
	double begin = now();
	struct look l;

	if (begin < w->next_look)
		return;
	if (look_at(w->pid, &l))
		note_most(w, &l);
	target_close(&l.t);
	w->next_look = now() + 100 * (now() - begin);
	if (w->next_look < begin + LOOK_SECONDS)
		w->next_look = begin + LOOK_SECONDS;
}

/* A process is at its end, with its memory still there. */
static void
look_at_end(struct watch *w, pid_t pid)
{
	struct look l;
	bool seen = look_at(pid, &l);

	target_close(&l.t);
	l.t.maps = NULL;
	if (pid == w->pid) {
		w->end = l;
		w->ended = seen;
		if (seen)
			note_most(w, &l);
	} else if (seen) {
		if ((w->other_count & (w->other_count - 1)) == 0)
			w->others = xgrow(w->others, w->other_count == 0 ? 1 : w->other_count * 2,
			    sizeof(l));
		w->others[w->other_count++] = l;
	}
}

/* Lets a stopped process go on. */
static void
go_on(struct watch *w, pid_t pid, int status)
{
	int event = status >> 16, number = WSTOPSIG(status);
	enum __ptrace_request how = PTRACE_CONT;

	if (event == PTRACE_EVENT_EXIT)
		look_at_end(w, pid);
	else if (event == PTRACE_EVENT_STOP && number != SIGTRAP)
		how = PTRACE_LISTEN; /* stopped by job control, until it is told to go on */
	(void)ptrace(how, pid, 0, (long)(event == 0 ? number : 0));
}

/* Terminals send theirs to the program as well; others mean it when they send it to us. */
static void
pass_on(const struct watch *w, const siginfo_t *info)
{
	if (info->si_signo != SIGCHLD && info->si_code <= 0)
		kill(w->pid, info->si_signo);
}

static int
wait_for_end(struct watch *w, struct rusage *r)
{
	for (;;) {
		struct timespec time = { .tv_nsec = (long)(LOOK_SECONDS * 1e9) };
		siginfo_t info;
		int status;
		pid_t pid;

		while ((pid = wait4(-1, &status, WNOHANG | __WALL, r)) > 0) {
			if (WIFSTOPPED(status))
				go_on(w, pid, status);
			else if (pid == w->pid)
				return status;
		}
		if (pid < 0 && errno != EINTR)
			fail(STATUS_OTHER, "%s: %s", w->program, strerror(errno));
		if (w->traced)
			look_meanwhile(w);
		if (sigtimedwait(&w->signals, &info, &time) > 0)
			pass_on(w, &info);
	}
}

/* The child waits at gate until it is traced, and tells there by an errno that exec failed. */
static _Noreturn void
be_program(char **program, int gate, int trouble, const sigset_t *mask)
{
	char c;
	int error;

	sigprocmask(SIG_SETMASK, mask, NULL);
	while (read(gate, &c, 1) < 0 && errno == EINTR)
		;
	execvp(program[0], program);
	error = errno;
	if (write(trouble, &error, sizeof(error)) < 0)
		error = EIO;
	_exit(error == ENOENT ? 127 : 126);
}

static void
start(struct watch *w, char **program)
{
	static const int passed[] = { SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };
	int gate[2], trouble[2], error = 0;
	sigset_t mask;
	pid_t pid;

	if (pipe2(gate, O_CLOEXEC) != 0 || pipe2(trouble, O_CLOEXEC) != 0)
		fail(STATUS_OTHER, "%s: %s", w->program, strerror(errno));
	sigemptyset(&w->signals);
	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
		sigaddset(&w->signals, passed[i]);
	sigprocmask(SIG_BLOCK, &w->signals, &mask);
	pid = fork();
	if (pid < 0)
		fail(STATUS_OTHER, "%s: %s", w->program, strerror(errno));
	if (pid == 0) {
		close(gate[1]);
		close(trouble[0]);
		be_program(program, gate[0], trouble[1], &mask);
	}
	w->pid = pid;
	w->traced = ptrace(PTRACE_SEIZE, pid, 0, (long)OPTIONS) == 0;
	close(gate[0]);
	close(gate[1]);
	close(trouble[1]);
	w->start = now();
	if (read(trouble[0], &error, sizeof(error)) == sizeof(error))
		fprintf(stderr, "phkmalloc: %s: %s\n", w->program, strerror(error));
	close(trouble[0]);
}

static int
by_program(const void *a, const void *b)
{
	const struct look *x = a, *y = b;

	return strcmp(x->t.program, y->t.program);
}

/* What processes of one program took, one after the other or at once. */
struct sum {
	const char *program;
	uint64_t processes;
	uint64_t rss_max;
	uint64_t live_max;
	uint64_t nmalloc;
};

static int
by_rss(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;

	return (x->rss_max < y->rss_max) - (x->rss_max > y->rss_max);
}

static void
print_others(struct look *others, size_t n)
{
#define ROW "%9s  %-24.24s %12s %12s %16s\n"
	struct sum *sums = xcalloc(n, sizeof(*sums));
	size_t count = 0;

	qsort(others, n, sizeof(*others), by_program);
	for (size_t i = 0; i < n; i++) {
		const struct look *l = &others[i];
		struct sum *s = &sums[count - (count > 0)];

		if (count == 0 || strcmp(s->program, l->t.program) != 0)
			s = &sums[count++];
		s->program = l->t.program;
		s->processes++;
		s->nmalloc += l->s.nmalloc;
		if (l->k.rss_max > s->rss_max)
			s->rss_max = l->k.rss_max;
		if (l->s.live_nbytes > s->live_max)
			s->live_max = l->s.live_nbytes;
	}
	qsort(sums, count, sizeof(*sums), by_rss);
	fprintf(stderr, "\nprocesses that it started, by program; the largest of each, and all "
	    "allocations:\n");
	fprintf(stderr, ROW, "processes", "program", "resident", "in use last", "allocations");
	for (size_t i = 0; i < count && i < OTHERS_SHOWN; i++)
		fprintf(stderr, ROW, show_count(sums[i].processes), sums[i].program,
		    show_bytes(sums[i].rss_max), show_bytes(sums[i].live_max),
		    show_count(sums[i].nmalloc));
	if (count > OTHERS_SHOWN)
		fprintf(stderr, "and %s other programs\n", show_count(count - OTHERS_SHOWN));
	free(sums);
#undef ROW
}

static void
print_end(const struct watch *w, int status, const struct rusage *r)
{
	double cpu = (double)(r->ru_utime.tv_sec + r->ru_stime.tv_sec) +
	    (double)(r->ru_utime.tv_usec + r->ru_stime.tv_usec) / 1e6;
	uint64_t rss_max = (uint64_t)r->ru_maxrss * 1024;

	fprintf(stderr, "\nphkmalloc: %s ", w->program);
	if (WIFSIGNALED(status))
		fprintf(stderr, "was ended by signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "ended with status %d", WEXITSTATUS(status));
	fprintf(stderr, " after %.2f s, %.2f s of CPU\n", now() - w->start, cpu);
	/* The kernel counts in parts that it adds up at different times. */
	fprintf(stderr, "memory       %11s  resident at most",
	    show_bytes(rss_max < w->end.k.rss_max ? w->end.k.rss_max : rss_max));
	if (w->end.k.rss != 0)
		fprintf(stderr, ", %s at the end", show_bytes(w->end.k.rss));
	fprintf(stderr, "; %s page faults, %s of them from disk\n",
	    show_count((uint64_t)(r->ru_minflt + r->ru_majflt)), show_count((uint64_t)r->ru_majflt));
}

static void
summary(struct watch *w, int status, const struct rusage *r)
{
	print_end(w, status, r);
	if (!w->traced)
		fputs("phkmalloc: its heap is not told of: the system does not permit tracing it\n",
		    stderr);
	else if (!w->ended)
		fprintf(stderr, "phkmalloc: its heap is not told of: %s\n",
		    w->end.t.why[0] != '\0' ? w->end.t.why : "it ended at once");
	if (w->ended) {
		fprintf(stderr, "in use       %11s  at most, about %s asked for, as seen in %s looks\n",
		    show_bytes(w->most_live), show_bytes(w->most_asked), show_count(w->looks));
		fprintf(stderr, "pages        %11s  in use at most\n",
		    show_bytes(w->end.s.nused_max * w->end.s.page_nbytes));
		fprintf(stderr, "\nat the end: ");
		stat_text(stderr, &w->end);
	}
	if (w->other_count > 0)
		print_others(w->others, w->other_count);
}

int
end_like(int status)
{
	sigset_t one;
	int number = WTERMSIG(status);

	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	fflush(NULL);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	signal(number, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, number);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	return 128 + number;
}

int
watch_program(char **program)
{
	struct watch w = { .program = program[0] };
	struct rusage r;
	int status;

	start(&w, program);
	status = wait_for_end(&w, &r);
	summary(&w, status, &r);
	free(w.others);
	return end_like(status);
}
