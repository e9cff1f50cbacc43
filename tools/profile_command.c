/*
 * profile_command.c: `phkmalloc profile` and `phkmalloc leaks`: what is to be profiled, and in what
 * forms it is written.
 */
#include "command.h"
#include "output.h"
#include "profile_process.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS_SHOWN 20U

struct request {
	const char *command;
	double seconds;
	uint32_t rate;
	const char *pprof, *folded, *html, *library;
	bool allocated;
	bool full;
	size_t rows;
};

static double
number(const char *text, const char *what, double min, double max)
{
	char *end;
	double v = strtod(text, &end);

	if (strcmp(text, "all") == 0 && min == 1)
		return 1;
	if (*end == 'k' || *end == 'K')
		v *= 1024, end++;
	else if (*end == 'm' || *end == 'M')
		v *= 1048576, end++;
	if (end == text || *end != '\0' || !(v >= min && v <= max))
		fail(STATUS_USAGE, "not %s: %s", what, text);
	return v;
}

static void
parse(struct request *q, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "rate", required_argument, NULL, 'r' },
		{ "pprof", required_argument, NULL, 'p' },
		{ "folded", required_argument, NULL, 'f' },
		{ "html", required_argument, NULL, 'h' },
		{ "allocated", no_argument, NULL, 'a' },
		{ "top", required_argument, NULL, 't' },
		{ "full", no_argument, NULL, 'F' },
		{ "library", required_argument, NULL, 'l' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
		switch (c) {
		case 's': q->seconds = number(optarg, "a number of seconds", 0.1, 1e6); break;
		case 'r': q->rate = (uint32_t)number(optarg, "a number of bytes", 1, 4e9); break;
		case 'p': q->pprof = optarg; break;
		case 'f': q->folded = optarg; break;
		case 'h': q->html = optarg; break;
		case 'a': q->allocated = true; break;
		case 't': q->rows = (size_t)number(optarg, "a number of stacks", 0, 1e9); break;
		case 'F': q->full = true; break;
		case 'l': q->library = optarg; break;
		default: usage(q->command);
		}
	}
	if (optind == argc)
		usage(q->command);
}

static void
write_to(const char *path, const struct profile *p, void (*put)(FILE *, const struct profile *))
{
	struct output o;

	if (path == NULL)
		return;
	output_begin(&o, strcmp(path, "-") == 0 ? NULL : path);
	put(o.f, p);
	output_end(&o);
}

static bool folded_live;

static void
put_folded(FILE *f, const struct profile *p)
{
	profile_folded(f, p, folded_live);
}

static void
write_all(const struct request *q, struct profile *p)
{
	/* Pprof's samples tell sizes apart, the other forms do not. */
	write_to(q->pprof, p, profile_pprof);
	profile_merge(p, !q->allocated);
	folded_live = !q->allocated;
	write_to(q->folded, p, put_folded);
	write_to(q->html, p, profile_html);
	if (q->pprof == NULL && q->folded == NULL && q->html == NULL)
		profile_text(stdout, p, !q->allocated, q->rows, q->full);
	if (fflush(stdout) != 0)
		fail(STATUS_FILE, "standard output: %s", strerror(errno));
}

static int
profile(const struct request *q, int argc, char **argv)
{
	struct profile p;
	int status = STATUS_OK;

	if (strcmp(argv[optind - 1], "--") == 0) {
		status = profile_program(argv + optind, q->library, getenv("MALLOC_OPTIONS"), q->rate, &p);
		if (p.symbols == NULL)
			fail(status != 0 ? status : STATUS_OTHER,
			    "%s left no profile: it ended by a signal or by _exit()", argv[optind]);
	} else {
		if (optind + 1 != argc)
			usage(q->command);
		if (argv[optind][strspn(argv[optind], "0123456789")] == '\0') {
			profile_process(argv[optind], q->seconds, q->rate, &p);
		} else {
			profile_read_file(argv[optind], &p);
			profile_rows(&p, NULL);
		}
	}
	write_all(q, &p);
	profile_free(&p);
	return status;
}

int
command_profile(int argc, char **argv)
{
	struct request q = { .command = "profile", .rate = PROFILE_RATE, .rows = ROWS_SHOWN };

	parse(&q, argc, argv);
	return profile(&q, argc, argv);
}

int
command_leaks(int argc, char **argv)
{
	/* A program is looked at whole; a process that runs is to be disturbed little. */
	struct request q = { .command = "leaks", .rows = ROWS_SHOWN };

	parse(&q, argc, argv);
	if (q.rate == 0)
		q.rate = strcmp(argv[optind - 1], "--") == 0 ? 1 : PROFILE_RATE;
	return profile(&q, argc, argv);
}

int
leaks_program(char **program, const char *library, const char *letters)
{
	struct profile p;
	int status = profile_program(program, library, letters, 1, &p);

	if (p.symbols == NULL) {
		fprintf(stderr, "phkmalloc: %s left no leak report: it ended by a signal or by _exit()\n",
		    program[0]);
		return status;
	}
	profile_merge(&p, true);
	profile_text(stderr, &p, true, ROWS_SHOWN, false);
	profile_free(&p);
	return status;
}
