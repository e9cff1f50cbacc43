/*
 * main.c: `phkmalloc`, the command: finds the subcommand and shows the help of each.
 */
#include "command.h"
#include "phkmalloc.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

static const struct command commands[] = {
	{ "run", command_run,
	    "run [-o LETTERS] [--summary | --leaks] [--library FILE] [--] PROGRAM [ARGUMENT ...]",
	    "a program on the library",
	    "Runs a program, and what it starts, on the library that lies beside this command or is\n"
	    "installed with it. Ends as the program does, by the same signal too; with 127 when there\n"
	    "is no such program and 126 when it cannot run, or not on the library.\n\n"
	    "  -o LETTERS       MALLOC_OPTIONS for it; malloc.conf(5) lists them\n"
	    "  --summary        at its end: time, memory, page faults, and its heap as stat shows it\n"
	    "  --leaks          at its end: what is still in use, by stacks\n"
	    "  --library FILE   another library\n" },
	{ "stat", command_stat,
	    "stat [--json | --openmetrics] [--threads] [-o FILE] [--every SECONDS] PID ... | --all",
	    "a heap in figures",
	    "Prints totals and a row for each size class of a running process, read from outside:\n"
	    "nothing has to be enabled before, and the process is not stopped.\n\n"
	    "  --json            for programs\n"
	    "  --openmetrics     for Prometheus, as its node exporter's textfile collector reads it\n"
	    "  --threads         what each thread's pages hold, too\n"
	    "  --all             every process on the library that may be read; as text, a line each\n"
	    "  -o FILE           into a file, which is replaced when it is complete; counters of\n"
	    "                    metrics never fall behind those of the file before\n"
	    "  --every SECONDS   again and again\n" },
	{ "map", command_map, "map -o FILE.svg|FILE.png|FILE.html PID", "a heap as a picture",
	    "Draws each page of a running process's heap in the order of addresses: the hue is the\n"
	    "size class, the lightness how much of the page is in use. The HTML page needs nothing\n"
	    "else, and has zoom and details.\n" },
	{ "top", command_top, "top [-d SECONDS] PID", "a heap while it changes",
	    "Shows a heap's size classes with the rates of malloc and free and what they grew by.\n"
	    "Of a process that ends the last figures stay. Key h tells the keys, q ends.\n\n"
	    "  -d SECONDS   between two looks, 1 without\n" },
	{ "record", command_record, "record [-o FILE] [--stacks] [--] PROGRAM [ARGUMENT ...]",
	    "every operation of a program in a file",
	    "Runs a program on the library and writes each of its operations, and those of what it\n"
	    "starts, to a file that trace and replay read. Ends when the last of these processes has\n"
	    "ended, as the program does.\n\n"
	    "  -o FILE    malloc.trace without\n"
	    "  --stacks   with the stack of each allocation\n" },
	{ "trace", command_trace,
	    "trace [--list | --print | --json | --html | --perfetto] [-o FILE]\n"
	    "       [--process N | --pid PID] [--from SECONDS] [--to SECONDS] [--limit N] FILE",
	    "what is in a trace",
	    "Prints what a recorded process did: operations, sizes, lifetimes, what was allocated\n"
	    "over time, and if stacks were recorded by whom.\n\n"
	    "  --list       the processes of the trace; without choice, the largest is told of\n"
	    "  --print      a line for each operation\n"
	    "  --json       for programs\n"
	    "  --html       a page with plots that needs nothing else\n"
	    "  --perfetto   events for ui.perfetto.dev and Chrome's trace viewer\n"
	    "  -o FILE      into a file\n"
	    "  --process N, --pid PID    which process\n"
	    "  --from, --to, --limit    seconds since the start, and operations at most, of --print\n"
	    "               and --perfetto\n" },
	{ "replay", command_replay,
	    "replay [--with [NAME=]FILE[,VARIABLE=VALUE ...]] ... [--rounds N] [--touch[=write]]\n"
	    "       [--intervals N] [--process N | --pid PID] [--json] FILE",
	    "a trace again, on any allocator",
	    "Runs a recorded process's operations again, with its threads, on each allocator in turn,\n"
	    "and prints CPU time, memory, page faults and how many pages were touched.\n\n"
	    "  --with FILE      a library to preload, or \"system\"; without, that and phkmalloc\n"
	    "  --rounds N       5 without; figures are medians\n"
	    "  --touch          write what is allocated and read what is freed; =write: only write\n"
	    "  --intervals N    parts to count touched pages in, 50 without, 0 for none\n"
	    "  --process N, --pid PID    which process of the trace; without, the largest\n"
	    "  --json           for programs, with every round\n" },
	{ "profile", command_profile,
	    "profile [OPTION ...] PID | FILE | -- PROGRAM [ARGUMENT ...]",
	    "who allocates, by stacks",
	    "Samples the allocations of a running process, of which nothing was asked before, or of a\n"
	    "program from its start to its end, or reads what a process left in a file\n"
	    "(MALLOC_PROFILE_FILE, see malloc.conf(5)). Without a file to write, the stacks with most\n"
	    "memory in use are printed.\n\n"
	    "  --seconds N     of a process: so long, 10 without; since its start if option B is on\n"
	    "  --rate BYTES    a sample for so many bytes on average, 1m without; all: everything\n"
	    "  --pprof FILE    for pprof, Parca, Pyroscope\n"
	    "  --folded FILE   a line for each stack, for flamegraph.pl and speedscope\n"
	    "  --html FILE     a flame graph as a page that needs nothing else\n"
	    "  --allocated     all that was allocated, not what is in use\n"
	    "  --top N         so many stacks, 20 without\n"
	    "  --full          all of each stack\n" },
	{ "leaks", command_leaks,
	    "leaks [OPTION ...] PID | FILE | -- PROGRAM [ARGUMENT ...]",
	    "what is in use, by stacks",
	    "Prints what a process allocated while it was looked at and still has in use, or what a\n"
	    "program has in use at its end, grouped by stack, largest first. Of a program every\n"
	    "allocation is counted, of a process one for each MiB.\n\n"
	    "  --seconds N     of a process: so long, 10 without; since its start if option B is on\n"
	    "  --rate BYTES    a sample for so many bytes on average; all: everything\n"
	    "  --top N         so many stacks, 20 without\n"
	    "  --full          all of each stack\n" },
	{ "core", command_core, "core COREFILE stat [--json | --openmetrics] [--threads] | map -o FILE",
	    "the same of a core file",
	    "What stat and map say of a process, of what a core file kept of one. The files that the\n"
	    "process had mapped have to be where they were.\n" },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const char statuses[] =
    "Exit status: 0 done, 2 usage, 3 no such process, 4 not permitted, 5 not a process on\n"
    "phkmalloc, 6 another version of it, 7 the process ended while it was read, 8 a file cannot\n"
    "be read or written, 1 anything else.\n";

static void
print_help(FILE *f)
{
	fputs("usage: phkmalloc COMMAND ...\n\n", f);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(f, "  %-7s %s\n", commands[i].name, commands[i].about);
	fprintf(f, "\n\"phkmalloc COMMAND --help\" tells more, as phkmalloc(1) does, and --version "
	    "which this is.\n%s",
	    statuses);
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

void
usage(const char *name)
{
	fflush(stdout);
	fprintf(stderr, "usage: phkmalloc %s\n", find_command(name)->usage);
	exit(STATUS_USAGE);
}

static bool
is_word(const char *argument, const char *word)
{
	return strcmp(argument, word) == 0 || (strncmp(argument, "--", 2) == 0 &&
	    strcmp(argument + 2, word) == 0);
}

/* What follows "--", or the name of a program that is run, is another program's. */
static bool
wants_help(const struct command *c, int argc, char **argv)
{
	bool runs = strstr(c->usage, "PROGRAM") != NULL;

	for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return true;
		if (runs && argv[i][0] != '-')
			break;
	}
	return false;
}

int
main(int argc, char **argv)
{
	const struct command *c;
	bool help;

	setlocale(LC_CTYPE, "");
	if (argc < 2) {
		print_help(stderr);
		return STATUS_USAGE;
	}
	if (is_word(argv[1], "version")) {
		printf("phkmalloc %s, reads heaps described in version %u\n", PHKMALLOC_VERSION,
		    PHKMALLOC_DESCRIPTOR_VERSION);
		return STATUS_OK;
	}
	help = is_word(argv[1], "help");
	if (help && argc < 3) {
		print_help(stdout);
		return STATUS_OK;
	}
	c = find_command(argv[help ? 2 : 1]);
	if (c == NULL)
		fail(STATUS_USAGE, "no command \"%s\"; \"phkmalloc --help\" lists them",
		    argv[help ? 2 : 1]);
	if (help || wants_help(c, argc, argv)) {
		printf("usage: phkmalloc %s\n\n%s", c->usage, c->help);
		return STATUS_OK;
	}
	return c->run(argc - 1, argv + 1);
}
