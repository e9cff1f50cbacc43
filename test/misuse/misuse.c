/*
 * The table of mistakes: each is made in a process of its own, with the options given, and ends
 * with exactly the message given. Called with --table it prints the table for people to read.
 */
#include "effects.h"
#include "pointers.h"
#include "samples.h"
#include "writes.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MB ((size_t)1 << 20)

/* What becomes of a process that makes the mistake. */
enum fate {
	ABORTS,  /* with the message */
	WARNS,   /* with the message as a warning, and goes on */
	SAYS,    /* goes on; standard error contains the text */
	PASSES,  /* nothing happens: no mistake, or one that cannot be seen */
	MUTE,    /* aborts and says nothing */
};

static const size_t one[] = {100, 0};
static const size_t chunks[] = {1, 16, 24, 100, 128, 1000, 1024, 4096, 5000, 32768, 0};
static const size_t guarded[] = {1, 16, 24, 100, 128, 1000, 1024, 4096, 5000, 32752, 0};
static const size_t inside_8[] = {9, 24, 128, 1000, 32768, 0};
static const size_t inside_16[] = {24, 128, 1000, 4096, 32768, 0};
static const size_t slack[] = {48, 80, 112, 160, 384, 1536, 28672, 0};
static const size_t slack_canary[] = {32, 64, 96, 144, 368, 1520, 28656, 0};
static const size_t large[] = {32769, 65536, 100000, MB, 10 * MB, 100 * MB, 0};
static const size_t pages[] = {131072, 200000, MB, 100 * MB, 0};
static const size_t whole_pages[] = {65536, 131072, MB, 100 * MB, 0};
static const size_t all[] = {1, 16, 24, 100, 128, 1000, 1024, 4096, 5000, 32768, 32769, 65536,
    100000, MB, 10 * MB, 100 * MB, 0};
static const size_t usual[] = {1, 24, 128, 1000, 4096, 5000, 32768, 65536, 100000, MB,
    10 * MB, 0};
static const size_t ends[] = {1, 15, 16, 17, 24, 100, 127, 128, 1000, 1024, 4096, 20000, 32768,
    40000, 65520, 65536, 100000, MB, 10 * MB, 0};
static const size_t sixteens[] = {16, 48, 128, 1024, 4096, 0};
static const size_t unaligned[] = {1, 24, 100, 1000, 3999, 0};
static const size_t small[] = {16, 100, 1024, 4096, 5000, 20000, 0};
static const size_t mixed[] = {16, 100, 1000, 5000, 100000, MB, 0};
static const size_t thirds[] = {100, 1024, 4096, 5000, 20000, 0};
static size_t os_page[] = {4096, 0}; /* main makes it the machine's */
static const size_t numbers[] = {1, 8, 16, 4096, 65536, 0x123450, 0};

#define JUNK_TEXT "junk pointer, too low to make sense|junk pointer, too high to make sense"
/* Other C libraries than glibc have allocated something before main, and so has a static glibc. */
#if defined(__GLIBC__) && !defined(TEST_STATIC)
#define TOO_EARLY_TEXT "malloc() has never been called"
#else
#define TOO_EARLY_TEXT "malloc() has never been called|" JUNK_TEXT
#endif
#define FREE_TEXT "chunk is already free|page is already free"
#define GONE_TEXT FREE_TEXT "|pointer to wrong page|modified (chunk-) pointer"
#define MODIFIED "modified (chunk-) pointer|modified (page-) pointer"
#define CANARY "canary is corrupted, written past the end of"
#define WRITTEN "written after it was freed"
#define PAST "access past the end of"
#define USED "used after it was freed"

static const struct row {
	const char *name;
	const char *options; /* NULL: none */
	enum fate fate;
	const char *func;    /* or several, with | between */
	const char *text;    /* likewise */
	const size_t *sizes;
	int (*act)(size_t n);
} rows[] = {
#include "rows.def"
};

/* --- judging -------------------------------------------------------------------------------- */

/* Runs the act of a row in a new process, whose standard error is what e gets. */
static int
start(void *arg)
{
	const void *const *given = arg;
	const struct row *row = given[0];
	char no[20], size[20];

	snprintf(no, sizeof(no), "%zu", (size_t)(row - rows));
	snprintf(size, sizeof(size), "%zu", *(const size_t *)given[1]);
	/* Nobody wants to look at the cores. */
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	unsetenv("MALLOC_OPTIONS");
	if (row->options != NULL)
		setenv("MALLOC_OPTIONS", row->options, 1);
	hang_limit(20);
	execl("/proc/self/exe", "misuse", no, size, (char *)NULL);
	return 127;
}

/* Whether place is " (free run of N pages, A-B)" with p inside. */
static bool
is_free_run(const char *place, uintptr_t p)
{
	unsigned long n, from, to;
	int len = 0;

	return sscanf(place, " (free run of %lu pages, 0x%lx-0x%lx)%n", &n, &from, &to, &len) == 3 &&
	    place[len] == '\n' && from <= p && p < to && to - from == n * PAGE;
}

/* Whether got is the message of func about p with this text and place; up to the line's end. */
static bool
is_message(const char *got, const struct ended *e, bool warns, const char *func, const char *text,
    uintptr_t p, const char *place)
{
	char want[600];
	int len = snprintf(want, sizeof(want), "misuse(%d) in %s(): %s: %s", (int)e->pid, func,
	    warns ? "warning" : "error", text);

	if (strcmp(place, "ANY") != 0)
		len += snprintf(want + len, sizeof(want) - (size_t)len, " 0x%lx", (unsigned long)p);
	if (strncmp(got, want, (size_t)len) != 0)
		return false;
	got += len;
	if (strcmp(place, "ANY") == 0)
		return strncmp(got, " 0x", 3) == 0 && strchr(got, '\n') != NULL;
	if (strcmp(place, "RUN") == 0)
		return is_free_run(got, p);
	if (place[0] != '\0')
		snprintf(want, sizeof(want), " (%s)\n", place);
	else
		snprintf(want, sizeof(want), "\n");
	/* Stacks may follow, the end of another report may not. */
	return strncmp(got, want, strlen(want)) == 0;
}

static bool
said(const struct ended *e, const struct row *row)
{
	char place[300] = "", funcs[100], texts[300], *next_func = funcs, *next_text, *func, *text;
	const char *got = strchr(e->text, '\n');
	unsigned long p;
	int len = 0;

	if (row->fate == SAYS || strstr(row->text, "out of memory") != NULL)
		return strstr(e->text, row->text) != NULL;
	if (got == NULL || sscanf(e->text, "EXPECT 0x%lx%n", &p, &len) != 1)
		return false;
	snprintf(place, sizeof(place), "%.*s", (int)(got - e->text - len - 1), e->text + len + 1);
	snprintf(funcs, sizeof(funcs), "%s", row->func);
	while ((func = strsep(&next_func, "|")) != NULL) {
		snprintf(texts, sizeof(texts), "%s", row->text);
		next_text = texts;
		while ((text = strsep(&next_text, "|")) != NULL)
			if (is_message(got + 1, e, row->fate == WARNS, func, text, p, place))
				return true;
	}
	return false;
}

/* Whether nothing was written beside what the act itself announced. */
static bool
silent(const struct ended *e)
{
	const char *rest = strncmp(e->text, "EXPECT ", 7) == 0 ? strchr(e->text, '\n') + 1 : e->text;

	return *rest == '\0';
}

static bool
as_written(const struct row *row, const struct ended *e)
{
	switch (row->fate) {
	case ABORTS:
		return died_of(e, SIGABRT) && said(e, row);
	case WARNS:
	case SAYS:
		return e->status == 0 && said(e, row);
	case PASSES:
		return e->status == 0 && silent(e);
	case MUTE:
		return died_of(e, SIGABRT) && silent(e);
	}
	return false;
}

/* --- showing -------------------------------------------------------------------------------- */

static void
show_size(size_t n)
{
	if (n >= MB && n % MB == 0)
		printf("%zu MiB", n / MB);
	else
		printf("%zu", n);
}

static void
show_text(const char *text)
{
	for (const char *s = text == NULL ? "" : text; *s != '\0'; s++)
		if (*s == '|')
			printf(" / ");
		else if (*s != '\n')
			putchar(*s);
}

static void
show_table(void)
{
	static const char *const fates[] = {[ABORTS] = "abort", [WARNS] = "warning",
	    [SAYS] = "goes on", [PASSES] = "nothing", [MUTE] = "abort, silent"};

	printf("# Mistakes, and what finds them\n\n"
	    "Written by `test/misuse/misuse --table` from the rows that the test checks. Each row is\n"
	    "tried at every size from the smallest to the largest given, in bytes.\n\n"
	    "| Mistake | Sizes | MALLOC_OPTIONS | What happens | Function | Message |\n"
	    "|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct row *r = &rows[i];
		const size_t *last = r->sizes;

		while (last[1] != 0)
			last++;
		printf("| %s | ", r->name);
		show_size(r->sizes[0]);
		if (last != r->sizes) {
			printf(" – ");
			show_size(*last);
		}
		printf(" | %s | %s | ", r->options == NULL ? "" : r->options, fates[r->fate]);
		show_text(r->func);
		printf(" | ");
		show_text(r->text);
		printf(" |\n");
	}
}

/* Why the row cannot be tried here with n bytes, or NULL. */
static const char *
why_not(const struct row *row, size_t n, bool all_trap)
{
	if (row->sizes == os_page && n > CHUNK_MAX)
		return "what fills an OS page is more than is watched";
	if (!all_trap && n < TRAPS_NBYTES && row->options != NULL && row->text != NULL &&
	    strpbrk(row->options, "FS") != NULL && strcmp(row->text, USED) == 0)
		return SMALL_ONES_WHY;
	return NULL;
}

static void
judge(const struct row *row, size_t n)
{
	const void *given[] = {row, &n};
	struct ended e;

	child_run(&e, start, given);
	if (!ok(as_written(row, &e), "%s, %zu bytes, options \"%s\"", row->name, n,
	    row->options == NULL ? "" : row->options))
		printf("# status %#x, standard error:\n# %s\n", (unsigned)e.status, e.text);
}

int
main(int argc, char **argv)
{
	bool all_trap = small_ones_trap();

	if (argc == 2 && strcmp(argv[1], "--table") == 0) {
		show_table();
		return 0;
	}
	if (argc == 3)
		return rows[strtoul(argv[1], NULL, 10)].act(strtoul(argv[2], NULL, 10));
	os_page[0] = (size_t)sysconf(_SC_PAGESIZE);
	for (size_t i = 0; i < COUNT(rows); i++)
		for (const size_t *n = rows[i].sizes; *n != 0; n++) {
			const char *why = why_not(&rows[i], *n, all_trap);

			if (why == NULL)
				judge(&rows[i], *n);
			else
				skip(rows[i].name, why);
		}
	return tap_done();
}
