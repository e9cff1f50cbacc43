/*
 * replay.c: `phkmalloc replay`: a trace run again on one allocator after the other, each time in a
 * process of its own, round after round, so that what else the machine does meets them all.
 */
#include "command.h"
#include "replay_script.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 5
#define ROUNDS_MAX 1000
#define INTERVALS 50
#define INTERVALS_MAX 100000

/* The program of tools/replay, which is in this one. */
extern const char _binary_replay_engine_start[], _binary_replay_engine_end[];

struct allocator {
	const char *name;
	const char *path;              /* NULL: the system's */
	char **variables;              /* NAME=VALUE, for the environment */
	size_t variable_count;
	uint32_t flags;
	struct replay_result *results; /* of each round */
	uint64_t *touched;             /* pages, in each interval; NULL: not measured */
	const char *problem;           /* why there is nothing, or NULL */
};

struct options {
	unsigned rounds, intervals;
	uint32_t touch;
	uint32_t process;              /* 0: the one with the most operations */
	int pid;
	bool json;
};

static int engine_fd;

/* --- running --------------------------------------------------------------------------------- */

static void
start_engine(void)
{
	size_t n = (uintptr_t)_binary_replay_engine_end - (uintptr_t)_binary_replay_engine_start;

	engine_fd = memfd_create("replay-engine", MFD_CLOEXEC);
	if (engine_fd < 0 || write(engine_fd, _binary_replay_engine_start, n) != (ssize_t)n)
		fail(STATUS_OTHER, "the replay program: %s", strerror(errno));
}

static _Noreturn void
exec_engine(const struct allocator *a, const struct script *s, uint32_t flags, int result_fd)
{
	char path[64];
	/* Out of the way of the numbers that they are to have. */
	int script = fcntl(s->fd, F_DUPFD, 10), result = fcntl(result_fd, F_DUPFD, 10);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fcntl(engine_fd, F_DUPFD_CLOEXEC, 10));
	if (dup2(script, REPLAY_SCRIPT_FD) < 0 || dup2(result, REPLAY_RESULT_FD) < 0)
		_exit(127);
	close(script);
	close(result);
	if (a->path == NULL)
		unsetenv("LD_PRELOAD");
	else
		setenv("LD_PRELOAD", a->path, 1);
	/* A huge page is touched as a whole: which of its pages were is not told. */
	if ((flags & REPLAY_PAGES) != 0)
		(void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	/* How this command was run is no part of the measurement. */
	unsetenv("MALLOC_OPTIONS");
	for (size_t i = 0; i < a->variable_count; i++)
		putenv(a->variables[i]);
	execl(path, "replay", NULL);
	_exit(127);
}

static bool
read_all(int fd, void *data, size_t nbytes)
{
	char *at = data;

	while (nbytes > 0) {
		ssize_t n = read(fd, at, nbytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		nbytes -= (size_t)n;
	}
	return true;
}

static const char *
problem_of(const struct replay_result *r, int status)
{
	static const char *const problems[] = {
		[REPLAY_OK] = NULL,
		[REPLAY_BAD_SCRIPT] = "the replay program does not understand its script",
		[REPLAY_NO_MEMORY] = "not enough memory for the replay",
		[REPLAY_NO_THREAD] = "a thread could not be started",
		[REPLAY_NO_PAGES] = "the kernel does not tell which pages were touched",
		[REPLAY_INEXACT_PAGES] =
		    "the kernel does not tell exactly which pages were touched",
	};

	if (WIFSIGNALED(status))
		return strsignal(WTERMSIG(status));
	if (r->magic != REPLAY_MAGIC || r->problem > REPLAY_INEXACT_PAGES)
		return "the replay program could not be started, or ended early";
	return problems[r->problem];
}

/* Runs the script once; false when that failed, with the problem set. */
static bool
run_once(struct allocator *a, struct script *s, uint32_t flags, struct replay_result *r)
{
	int ends[2], status;
	pid_t pid;
	bool read_touched = true;

	if (pwrite(s->fd, &flags, sizeof(flags), offsetof(struct replay_head, flags)) !=
	    sizeof(flags) || pipe2(ends, O_CLOEXEC) != 0)
		fail(STATUS_OTHER, "%s", strerror(errno));
	pid = fork();
	if (pid < 0)
		fail(STATUS_OTHER, "%s", strerror(errno));
	if (pid == 0)
		exec_engine(a, s, flags, ends[1]);
	close(ends[1]);
	memset(r, 0, sizeof(*r));
	if (read_all(ends[0], r, sizeof(*r)) && (flags & REPLAY_PAGES) != 0 &&
	    r->problem == REPLAY_OK)
		read_touched = read_all(ends[0], a->touched, s->intervals * sizeof(*a->touched));
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	a->problem = problem_of(r, status);
	if (a->problem == NULL && !read_touched)
		a->problem = "the replay program ended early";
	if (a->problem == NULL && r->damaged != 0)
		a->problem = "objects did not hold what was written to them";
	return a->problem == NULL;
}

static void
run_rounds(struct allocator *list, size_t n, struct script *s, const struct options *opt)
{
	uint64_t done = 0, all = n * opt->rounds;
	struct replay_result r;

	for (size_t i = 0; i < n; i++)
		list[i].results = xcalloc(opt->rounds, sizeof(*list[i].results));
	for (unsigned round = 0; round < opt->rounds; round++) {
		for (size_t i = 0; i < n; i++) {
			progress("replaying", done++, all);
			if (list[i].problem == NULL)
				(void)run_once(&list[i], s, list[i].flags, &list[i].results[round]);
		}
	}
	for (size_t i = 0; i < n && s->intervals != 0; i++) {
		if (list[i].problem != NULL || (list[i].flags & REPLAY_NOTHING) != 0)
			continue;
		progress("counting pages", i, n);
		list[i].touched = xcalloc(s->intervals, sizeof(uint64_t));
		if (!run_once(&list[i], s, list[i].flags | REPLAY_PAGES, &r)) {
			/* The times are as good without it. */
			fprintf(stderr, "phkmalloc: pages of %s: %s\n", list[i].name, list[i].problem);
			list[i].problem = NULL;
			free(list[i].touched);
			list[i].touched = NULL;
		}
	}
	progress_end();
}

/* --- figures --------------------------------------------------------------------------------- */

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

enum figure { CPU, WALL, PEAK, AFTER, MINOR, MAJOR };

static double
figure_of(const struct replay_result *r, enum figure f)
{
	switch (f) {
	case CPU: return (double)(r->user_ns + r->system_ns) / 1e9;
	case WALL: return (double)r->wall_ns / 1e9;
	case PEAK: return r->rss_peak > r->rss_before ? (double)(r->rss_peak - r->rss_before) : 0;
	case AFTER: return r->rss_after > r->rss_before ? (double)(r->rss_after - r->rss_before) : 0;
	case MINOR: return (double)r->minor_faults;
	case MAJOR: return (double)r->major_faults;
	}
	return 0;
}

static double
median_of(const struct allocator *a, unsigned rounds, enum figure f)
{
	double *v = xcalloc(rounds, sizeof(*v)), m;

	for (unsigned i = 0; i < rounds; i++)
		v[i] = figure_of(&a->results[i], f);
	qsort(v, rounds, sizeof(*v), by_value);
	m = (v[(rounds - 1) / 2] + v[rounds / 2]) / 2;
	free(v);
	return m;
}

/* The median over the rounds of the ratio of CPU time to the first allocator's. */
static double
ratio_of(const struct allocator *a, const struct allocator *first, unsigned rounds)
{
	double *v = xcalloc(rounds, sizeof(*v)), m;

	for (unsigned i = 0; i < rounds; i++) {
		double y = figure_of(&first->results[i], CPU);

		v[i] = y > 0 ? figure_of(&a->results[i], CPU) / y : 0;
	}
	qsort(v, rounds, sizeof(*v), by_value);
	m = (v[(rounds - 1) / 2] + v[rounds / 2]) / 2;
	free(v);
	return m;
}

static double
median_pages(const struct allocator *a, uint32_t n)
{
	double *v = xcalloc(n, sizeof(*v)), m;

	for (uint32_t i = 0; i < n; i++)
		v[i] = (double)a->touched[i];
	qsort(v, n, sizeof(*v), by_value);
	m = n == 0 ? 0 : (v[(n - 1) / 2] + v[n / 2]) / 2;
	free(v);
	return m;
}

static void
print_text(const struct allocator *list, size_t n, const struct script *s,
    const struct options *opt)
{
	const struct allocator *engine = &list[n - 1];

	printf("%s (process %d): %s operations of %u thread%s, at most %s asked for at a time\n",
	    s->command, s->pid, show_count(s->operations), s->threads, s->threads == 1 ? "" : "s",
	    show_bytes(s->live_peak));
	if (s->unknown + s->failed != 0)
		printf("left out: %s frees of what is not in the trace, %s allocations that failed\n",
		    show_count(s->unknown), show_count(s->failed));
	printf("%-16s %9s %7s %9s %11s %7s %11s %11s %7s %11s\n", "", "CPU s", "ratio",
	    "wall s", "peak memory", "/asked", "at the end", "page faults", "major", "pages/intv.");
	for (size_t i = 0; i + 1 < n; i++) {
		const struct allocator *a = &list[i];

		if (a->problem != NULL) {
			printf("%-16s %s\n", a->name, a->problem);
			continue;
		}
		printf("%-16s %9.3f %7.2f %9.3f %11s %7.2f %11s %11.0f %7.0f", a->name,
		    median_of(a, opt->rounds, CPU), ratio_of(a, list, opt->rounds),
		    median_of(a, opt->rounds, WALL),
		    show_bytes((uint64_t)median_of(a, opt->rounds, PEAK)),
		    s->live_peak == 0 ? 0 : median_of(a, opt->rounds, PEAK) / (double)s->live_peak,
		    show_bytes((uint64_t)median_of(a, opt->rounds, AFTER)),
		    median_of(a, opt->rounds, MINOR), median_of(a, opt->rounds, MAJOR));
		if (a->touched != NULL)
			printf(" %11.0f\n", median_pages(a, s->intervals));
		else
			printf(" %11s\n", "-");
	}
	if (engine->problem == NULL)
		printf("Medians of %u rounds, %u intervals. The replay alone, without an allocator: "
		    "%.3f s\nof CPU time, %.0f page faults; its own memory (%s) is not counted.\n",
		    opt->rounds, s->intervals, median_of(engine, opt->rounds, CPU),
		    median_of(engine, opt->rounds, MINOR),
		    show_bytes(engine->results[0].rss_before));
}

static void
json_rounds(const struct allocator *a, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		const struct replay_result *r = &a->results[i];

		printf("%s{\"user_s\":%.6f,\"system_s\":%.6f,\"wall_s\":%.6f,\"minor_faults\":%" PRIu64
		    ",\"major_faults\":%" PRIu64 ",\"peak_bytes\":%.0f,\"end_bytes\":%.0f"
		    ",\"failed\":%" PRIu64 "}", i == 0 ? "" : ",", (double)r->user_ns / 1e9,
		    (double)r->system_ns / 1e9, (double)r->wall_ns / 1e9, r->minor_faults,
		    r->major_faults, figure_of(r, PEAK), figure_of(r, AFTER), r->failed);
	}
}

static void
json_numbers(const char *name, const uint64_t *v, size_t n)
{
	printf(",\"%s\":[", name);
	for (size_t i = 0; i < n; i++)
		printf("%s%" PRIu64, i == 0 ? "" : ",", v[i]);
	printf("]");
}

static void
print_json(const struct allocator *list, size_t n, const struct script *s,
    const struct options *opt)
{
	printf("{\"command\":");
	put_quoted(stdout, s->command);
	printf(",\"pid\":%d,\"operations\":%" PRIu64 ",\"threads\":%u,\"unknown\":%" PRIu64
	    ",\"failed\":%" PRIu64 ",\"live_peak_bytes\":%" PRIu64 ",\"page_bytes\":%ld", s->pid,
	    s->operations, s->threads, s->unknown, s->failed, s->live_peak, sysconf(_SC_PAGESIZE));
	json_numbers("interval_live_bytes", s->interval_live, s->intervals);
	printf(",\"engine\":[");
	json_rounds(&list[n - 1], opt->rounds);
	printf("],\"allocators\":[");
	for (size_t i = 0; i + 1 < n; i++) {
		printf("%s{\"name\":", i == 0 ? "" : ",");
		put_quoted(stdout, list[i].name);
		if (list[i].problem != NULL) {
			printf(",\"problem\":");
			put_quoted(stdout, list[i].problem);
		} else {
			printf(",\"rounds\":[");
			json_rounds(&list[i], opt->rounds);
			printf("]");
		}
		if (list[i].touched != NULL)
			json_numbers("touched_pages", list[i].touched, s->intervals);
		printf("}");
	}
	printf("]}\n");
}

/* --- arguments ------------------------------------------------------------------------------- */

/* [NAME=]FILE[,VARIABLE=VALUE ...], or "system". */
static void
add_allocator(struct allocator *a, char *text, uint32_t flags)
{
	char *comma = strchr(text, ','), *equal;

	memset(a, 0, sizeof(*a));
	a->flags = flags;
	while (comma != NULL) {
		*comma = '\0';
		a->variables = xgrow(a->variables, a->variable_count + 1, sizeof(*a->variables));
		a->variables[a->variable_count++] = comma + 1;
		if (strchr(comma + 1, '=') == NULL)
			fail(STATUS_USAGE, "%s: not NAME=VALUE", comma + 1);
		comma = strchr(comma + 1, ',');
	}
	equal = strchr(text, '=');
	if (equal != NULL)
		*equal = '\0';
	a->name = text;
	text = equal != NULL ? equal + 1 : text;
	if (strcmp(text, "system") == 0)
		return;
	a->path = realpath(text, NULL);
	if (a->path == NULL || access(a->path, R_OK) != 0)
		fail(STATUS_FILE, "%s: %s", text, strerror(errno));
	if (equal == NULL && strrchr(text, '/') != NULL)
		a->name = strrchr(text, '/') + 1;
}

static unsigned
number(const char *text, unsigned max, const char *what)
{
	char *end;
	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): these options have a value */
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || n > max)
		fail(STATUS_USAGE, "%s: not a number of %s up to %u", text, what, max);
	return (unsigned)n;
}

static void
replay(const char *path, struct allocator *list, size_t n, const struct options *opt)
{
	struct trace_file f;
	struct script s;

	trace_need(&f, path);
	script_make(&s, path, &f, trace_choose(&f, path, opt->process, opt->pid), opt->intervals);
	trace_file_close(&f);
	start_engine();
	list[n] = (struct allocator){ .name = "replay", .flags = REPLAY_NOTHING };
	run_rounds(list, n + 1, &s, opt);
	if (opt->json)
		print_json(list, n + 1, &s, opt);
	else
		print_text(list, n + 1, &s, opt);
	script_free(&s);
}

int
command_replay(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "with", required_argument, NULL, 'w' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "intervals", required_argument, NULL, 'i' },
		{ "touch", optional_argument, NULL, 't' },
		{ "process", required_argument, NULL, 'n' },
		{ "pid", required_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ 0 },
	};
	struct options opt = { .rounds = ROUNDS, .intervals = INTERVALS };
	char **with = xcalloc((size_t)argc + 2, sizeof(*with));
	struct allocator *list = xcalloc((size_t)argc + 3, sizeof(*list));
	size_t n = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'w')
			with[n++] = optarg;
		else if (c == 'r' && (opt.rounds = number(optarg, ROUNDS_MAX, "rounds")) != 0)
			continue;
		else if (c == 'i')
			opt.intervals = number(optarg, INTERVALS_MAX, "intervals");
		else if (c == 't' && (optarg == NULL || strcmp(optarg, "write") == 0))
			opt.touch = REPLAY_TOUCH_WRITE | (optarg == NULL ? REPLAY_TOUCH_READ : 0);
		else if (c == 'n')
			opt.process = number(optarg, INT32_MAX, "a process");
		else if (c == 'p')
			opt.pid = (int)number(optarg, INT32_MAX, "a process");
		else if (c == 'j')
			opt.json = true;
		else
			usage("replay");
	}
	if (optind + 1 != argc)
		usage("replay");
	if (n == 0) {
		with[n++] = xstrdup("system");
		with[n++] = library_with_name("phkmalloc");
	}
	for (size_t i = 0; i < n; i++)
		add_allocator(&list[i], with[i], opt.touch);
	replay(argv[optind], list, n, &opt);
	for (size_t i = 0; i < n; i++)
		if (list[i].problem != NULL)
			return STATUS_OTHER;
	return STATUS_OK;
}
