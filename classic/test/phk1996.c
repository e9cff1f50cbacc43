/*
 * phk1996.c: what is particular to phkmalloc of 1996: its warnings word by word, its options,
 * its thrift with pages. Linked with libphk1996.so; prints TAP.
 *
 * Each misuse runs in a process of its own, this program started anew with the row's name and
 * the row's MALLOC_OPTIONS; what it writes to standard error and how it ends are compared.
 */
#include "../shim.h"
#include "tap.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char static_data[8192];
static char *volatile chunk;		/* of 64 bytes */
static char *volatile pages;		/* three of them */
static char *volatile kept;		/* one more, never freed */

static void
set_up(void)
{
	chunk = malloc(64);
	pages = malloc(3 * 4096);
	kept = malloc(4096);
}

/* ---- the misuses ---- */

static void free_static(void) { free(static_data + 4096); }
static void free_stack(void) { char c[64]; char *volatile p = c; free(p); }
static void free_small(void) { free((void *)(uintptr_t)(chunk != NULL ? 16 : 0)); }
static void free_page_moved(void) { free(pages + 16); }
static void free_page_second(void) { free(pages + 4096); }
static void free_page_twice(void) { free(pages); free(pages); }
static void free_chunk_moved(void) { free(chunk + 16); }
static void free_chunk_twice(void) { free(chunk); free(chunk); }
static void realloc_static(void) { (void)!realloc(static_data + 4096, 10); }
static void realloc_stack(void) { char c[64]; char *volatile p = c; (void)!realloc(p, 10); }
static void realloc_page_moved(void) { (void)!realloc(pages + 16, 10); }
static void realloc_page_second(void) { (void)!realloc(pages + 4096, 10); }
static void realloc_page_freed(void) { free(pages); (void)!realloc(pages, 10); }
static void realloc_chunk_moved(void) { (void)!realloc(chunk + 16, 10); }
static void realloc_chunk_freed(void) { free(chunk); (void)!realloc(chunk, 10); }
static void nothing(void) { free(chunk); free(pages); }

/* The start of a page of 16-byte chunks is not a chunk: the page's pginfo lies there. */
static void
free_pginfo(void)
{
	free((void *)((uintptr_t)malloc(16) & ~(uintptr_t)4095));
}

static void
out_of_memory(void)
{
	struct rlimit rl = { 1 << 20, 1 << 20 };

	setrlimit(RLIMIT_DATA, &rl);
	while (malloc(100000) != NULL)
		;
}

static void
zeroed(void)
{
	for (size_t n = 10; n < 10000; n *= 3) {
		char *p = malloc(n);

		memset(p, 'x', n);
		free(p);
		p = malloc(n);
		for (size_t i = 0; i < n; i++)
			if (p[i] != 0)
				exit(1);
	}
}

static void
junked(void)
{
	for (size_t n = 10; n < 10000; n *= 3) {
		unsigned char *p = malloc(n);

		for (size_t i = 0; i < malloc_usable_size(p); i++)
			if (p[i] != 0xd0)
				exit(1);
	}
}

static void
moves_always(void)
{
	char *p = malloc(100);
	uintptr_t old = (uintptr_t)p;

	if ((uintptr_t)realloc(p, 101) == old)
		exit(1);
}

struct row {
	const char *name, *options;
	void (*run)(void);
	const char *says;	/* all of standard error */
	int signal;		/* that ends it; else the exit status is 0 */
};

#define LOW "junk pointer (too low)\n"
#define HIGH "junk pointer (too high)\n"
#define W "Malloc warning: "
#define E "Malloc error: "

static const struct row rows[] = {
	{ "free of static data", "", free_static, W "free(): " LOW, 0 },
	{ "free of 16", "", free_small, W "free(): " LOW, 0 },
	{ "free of the stack", "", free_stack, W "free(): " HIGH, 0 },
	{ "free inside a first page", "", free_page_moved,
	    W "free(): modified page pointer.\n", 0 },
	{ "free of a second page", "", free_page_second, W "free(): freeing wrong page.\n", 0 },
	{ "free of pages twice", "", free_page_twice, W "free(): already free page.\n", 0 },
	{ "free inside a chunk", "", free_chunk_moved, W "free(): modified pointer.\n", 0 },
	{ "free of a chunk twice", "", free_chunk_twice, W "free(): already free chunk.\n", 0 },
	{ "free of a pginfo's place", "", free_pginfo, W "free(): modified pointer.\n", 0 },
	{ "realloc of static data", "", realloc_static, W "realloc(): " LOW, 0 },
	{ "realloc of the stack", "", realloc_stack, W "realloc(): " HIGH, 0 },
	{ "realloc inside a first page", "", realloc_page_moved,
	    W "realloc(): modified page pointer.\n", 0 },
	{ "realloc of a second page", "", realloc_page_second,
	    W "realloc(): wrong page pointer.\n", 0 },
	{ "realloc of freed pages", "", realloc_page_freed,
	    W "realloc(): wrong page pointer.\n", 0 },
	{ "realloc inside a chunk", "", realloc_chunk_moved,
	    W "realloc(): modified chunk pointer.\n", 0 },
	{ "realloc of a freed chunk", "", realloc_chunk_freed,
	    W "realloc(): already free chunk.\n", 0 },
	{ "A: a warning is fatal", "A", free_chunk_twice,
	    E "free(): already free chunk.\n", SIGABRT },
	{ "a: it is not", "Aa", free_chunk_twice, W "free(): already free chunk.\n", 0 },
	{ "out of memory", "", out_of_memory, "", 0 },
	{ "A: out of memory is fatal", "A", out_of_memory, E "malloc(): returns NULL\n", SIGABRT },
	{ "a letter of none", "?J", junked,
	    W "(Init): Unknown char in MALLOC_OPTIONS\n", 0 },
	{ "J fills with 0xd0", "J", junked, "", 0 },
	{ "Z fills with 0", "Z", zeroed, "", 0 },
	{ "Z and out of memory", "Z", out_of_memory, "", 0 },
	{ "R moves always", "R", moves_always, "", 0 },
	{ "d and j and r and z", "djrz", nothing, "", 0 },
};
enum { NROWS = sizeof rows / sizeof *rows };

/* Standard error of this program run with an argument, in text; the wait status. */
static int
run_anew(const char *argument, const char *options, char *text, size_t size)
{
	int fds[2], status = -1;
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(fds) != 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		setenv("MALLOC_OPTIONS", options, 1);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		execl("/proc/self/exe", "phk1996", argument, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	while (got + 1 < size && (n = read(fds[0], text + got, size - 1 - got)) > 0)
		got += (size_t)n;
	text[got] = '\0';
	close(fds[0]);
	waitpid(pid, &status, 0);
	return status;
}

static void
test_rows(void)
{
	static char text[4096];

	for (size_t i = 0; i < NROWS; i++) {
		const struct row *r = &rows[i];
		int status = run_anew(r->name, r->options, text, sizeof text);
		bool ends = r->signal != 0 ? WIFSIGNALED(status) && WTERMSIG(status) == r->signal
		    : status == 0;

		ok(ends && strcmp(text, r->says) == 0, "%s", r->name);
		if (!ends || strcmp(text, r->says) != 0)
			printf("# status %#x, said: %s\n", (unsigned)status, text);
	}
	ok(run_anew("never", "", text, sizeof text) == 0 &&
	    strcmp(text, W "free(): malloc() never got called.\n"
	    W "realloc(): malloc() never got called.\n") == 0, "free before any malloc");
}

static void
test_dump(void)
{
	static char text[65536];
	int status = run_anew("free of pages twice", "D", text, sizeof text);

	ok(status == 0 && strstr(text, " in use\n") != NULL && strstr(text, " free\n") != NULL &&
	    strstr(text, " pginfo ") != NULL && strstr(text, "\nFree: @") != NULL &&
	    strstr(text, "\nPageshift\t12\n") != NULL, "D dumps at exit");
	status = run_anew("free of the stack", "AD", text, sizeof text);
	ok(WIFSIGNALED(status) && strncmp(text, E "free(): " HIGH, strlen(E "free(): " HIGH)) == 0
	    && strstr(text, "\nBreak\t0x") != NULL, "and after a fatal error");
}

/* ---- thrift ---- */

static void
test_realloc(void)
{
	static const struct { size_t from, to; bool stays; } t[] = {
		{ 128, 127, true }, { 128, 65, true }, { 128, 64, false }, { 128, 128, false },
		{ 16, 1, true }, { 100, 129, false }, { 5000, 8192, true }, { 5000, 4096, false },
		{ 5000, 8193, false }, { 4096, 1, true }, { 2048, 2049, false },
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		void *p = malloc(t[i].from);
		uintptr_t old = (uintptr_t)p;
		bool stays = (uintptr_t)(p = realloc(p, t[i].to)) == old;

		ok(stays == t[i].stays, "realloc from %zu to %zu %s", t[i].from, t[i].to,
		    t[i].stays ? "stays" : "moves");
		free(p);
	}
}

/* To free the page between two free ones uses up a record, which must come back. */
static void
test_records(void)
{
	enum { ROUNDS = 20000 };
	char *p[4];
	size_t heap = 0;

	for (int i = 0; i < ROUNDS; i++) {
		for (int k = 0; k < 4; k++)
			p[k] = malloc(4096);
		free(p[0]);
		free(p[2]);
		free(p[1]);
		free(p[3]);
		if (i == 1)
			heap = classic_heap_nbytes();
	}
	ok(classic_heap_nbytes() == heap, "%d times three runs into one: no record is lost",
	    ROUNDS);
}

/* Takes all that can be had in pieces of a size; returns the last one. */
static void *
take_all(size_t size)
{
	void *p, *last = NULL;

	while ((p = malloc(size)) != NULL)
		last = p;
	return last;
}

/*
 * With one page free: it could be cut into chunks of 128 bytes, but then there is none for the
 * bitmap. The page must be there for others still.
 */
static int
want_of_a_bitmap(void)
{
	rlim_t limit = classic_heap_nbytes() + (4 << 20);
	struct rlimit rl = { limit, limit };
	void *page;

	setrlimit(RLIMIT_DATA, &rl);
	page = take_all(4096);
	take_all(128);
	take_all(32);
	free(page);
	if (page == NULL || malloc(128) != NULL)
		return 1;
	return malloc(4096) == page && classic_check() == 0 ? 0 : 2;
}

/* The heap could grow, but the directory cannot: the break must be where it was. */
static int
want_of_a_directory(void)
{
	struct rlimit rl = { 1 << 20, 1 << 20 };
	void *p = malloc(1 << 20);
	size_t heap;

	setrlimit(RLIMIT_AS, &rl);
	errno = 7;
	free(p);	/* lowers the break, where the first try is refused */
	if (errno != 7)
		return 3;
	take_all(4096);
	heap = classic_heap_nbytes();
	if (malloc(1 << 22) != NULL || malloc(4096) != NULL)
		return 1;
	return classic_heap_nbytes() == heap && classic_check() == 0 ? 0 : 2;
}

static void
test_want(int (*run)(void), const char *text)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run());
	waitpid(pid, &status, 0);
	ok(status == 0, "%s (status %#x)", text, (unsigned)status);
}

/* Fills the page in hand, so that the next chunks begin a new one. */
static void
fill(size_t size)
{
	for (int i = 0; i < 100; i++)
		(void)!malloc(size);
	while (((uintptr_t)malloc(size) & 4095) + size != 4096)
		;
}

static void
test_lowest_first(void)
{
	char *p[8];
	uintptr_t at[8];

	fill(2048);
	for (int i = 0; i < 8; i++)
		at[i] = (uintptr_t)(p[i] = malloc(2048));
	free(p[2]);
	free(p[6]);
	p[2] = malloc(2048);
	ok((uintptr_t)p[2] == at[2], "freed in two pages, the lower one is used, though first");
	free(p[2]);
	p[6] = malloc(2048);
	ok((uintptr_t)p[6] == at[2], "..and though last");
	for (int i = 0; i < 8; i++)
		if (i != 2)
			free(p[i]);
}

static void
test_break(void)
{
	enum { N = 1000 };
	static char *p[N];
	size_t before, top;

	before = classic_heap_nbytes();
	for (int i = 0; i < N; i++)
		p[i] = malloc(4096);
	top = classic_heap_nbytes();
	ok(top >= before + (N - 200) * 4096, "a thousand pages raise the break");
	for (int i = 0; i < N; i++)
		free(p[i]);
	ok(classic_heap_nbytes() <= top - (N - 100) * 4096,
	    "freed, all but a cache of a hundred go back (%zu pages)",
	    (top - classic_heap_nbytes()) / 4096);
	ok(classic_check() == 0, "the heap is whole: no stale entries above the break");
	p[0] = malloc(500 * 4096);
	for (size_t i = 0; i < 500; i++)
		p[0][i * 4096] = 1;
	free(p[0]);
	ok(classic_check() == 0, "and it can be raised again");
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "never") == 0) {
		free(static_data + 4096);
		_exit(realloc(static_data + 4096, 10) == NULL ? 0 : 1);
	}
	if (argc > 1) {
		set_up();
		for (size_t i = 0; i < NROWS; i++)
			if (strcmp(argv[1], rows[i].name) == 0)
				rows[i].run();
		return classic_check() == 0 ? 0 : 1;
	}
	test_rows();
	test_dump();
	test_realloc();
	test_lowest_first();
	test_break();
	test_records();
	test_want(want_of_a_bitmap, "a page without room for its bitmap is not lost");
	test_want(want_of_a_directory, "nor is the break raised without room in the directory");
	return tap_done();
}
