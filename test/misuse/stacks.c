/*
 * Messages with stacks: where memory was allocated and where it was freed, as file and offset, for
 * chunks and large allocations (T), also of another thread, and sampled ones (W). Two functions do
 * it, and the first line of each stack has to lie in them.
 */
#include "misuse.h"

#include <link.h>

static size_t wanted;

__attribute__((noinline)) static void *
allocates(void *unused)
{
	void *p = malloc(wanted);

	(void)unused;
	return opaque(p);
}

__attribute__((noinline)) static void *
frees(void *p)
{
	free(p);
	return opaque(NULL);
}

/* The program itself comes first. */
static int
first_object(struct dl_phdr_info *object, size_t nbytes, void *address)
{
	(void)nbytes;
	*(uintptr_t *)address = object->dlpi_addr;
	return 1;
}

static uintptr_t
load_address(void)
{
	uintptr_t address = 0;

	dl_iterate_phdr(first_object, &address);
	return address;
}

/* Whether the first line behind a title is a place in fn, which is shorter than 300 bytes. */
static bool
is_in(const char *text, const char *title, void *(*fn)(void *))
{
	const char *line = strstr(text, title), *plus;
	uintptr_t from = (uintptr_t)fn - load_address(), at;

	if (line == NULL || strncmp(line + strlen(title), "\n    ", 5) != 0)
		return false;
	line += strlen(title) + 1;
	plus = memchr(line, '+', strcspn(line, "\n"));
	if (plus == NULL || strncmp(plus - strlen("stacks"), "stacks", strlen("stacks")) != 0)
		return false;
	at = strtoul(plus + 1, NULL, 16);
	return at > from && at < from + 300;
}

enum mistake { TWICE, INSIDE, READ };
struct how {
	const char *options;
	size_t nbytes;
	enum mistake mistake;
	bool thread; /* freed by another */
	const char *text;
};

static int
start(void *arg)
{
	const struct how *h = arg;
	char number[20], size[20], thread[2] = {h->thread ? '1' : '0', 0};

	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	setenv("MALLOC_OPTIONS", h->options, 1);
	snprintf(number, sizeof(number), "%d", (int)h->mistake);
	snprintf(size, sizeof(size), "%zu", h->nbytes);
	execl("/proc/self/exe", "stacks", number, size, thread, (char *)NULL);
	return 127;
}

/* With W one that is watched: most of them are, once the thread counts. */
static char *
wanted_one(void)
{
	bool watched = getenv("MALLOC_OPTIONS")[0] == 'W';
	char *p = allocates(NULL);

	for (int i = 0; watched && i < 1000 && malloc_usable_size(p) != wanted; i++)
		p = allocates(NULL);
	return p;
}

static int
act(enum mistake mistake, bool thread)
{
	char *p = wanted_one(), *q = allocates(NULL);

	if (mistake == INSIDE) {
		free(opaque(p + 1));
		return 3;
	}
	if (thread)
		in_thread(frees, p);
	else
		frees(p);
	if (mistake == READ)
		return *(volatile char *)opaque(p);
	free(opaque(p));
	return q == NULL;
}

static void
told(const struct how *h)
{
	struct ended e;
	bool both = h->mistake != INSIDE;

	child_run(&e, start, (void *)(uintptr_t)h);
	if (!ok(died_of(&e, SIGABRT) && strstr(e.text, h->text) != NULL &&
	    is_in(e.text, "\n  allocated at:", allocates) &&
	    both == is_in(e.text, "\n  freed at:", frees),
	    "%s, %zu bytes%s, options %s: where it was allocated%s", h->text, h->nbytes,
	    h->thread ? " of another thread" : "", h->options, both ? " and freed" : ""))
		printf("# status %#x\n# %s\n", (unsigned)e.status, e.text);
}

int
main(int argc, char **argv)
{
	static const struct how hows[] = {
		{"T", 100, TWICE, false, "chunk is already free"},
		{"T", 100, TWICE, true, "chunk is already free"},
		{"FT", 100, TWICE, false, "chunk is already free"},
		{"ST", 5000, TWICE, true, "chunk is already free"},
		{"T", 100, INSIDE, false, "modified (chunk-) pointer"},
		{"T", 200000, INSIDE, false, "modified (page-) pointer"},
		{"FT", 200000, TWICE, false, "page is already free"},
		{"FT", 200000, READ, false, "used after it was freed"},
		{"ST", 200000, READ, false, "used after it was freed"},
		{"W1", 100, TWICE, false, "chunk is already free"},
		{"W1", 100, INSIDE, false, "modified (chunk-) pointer"},
		{"W1", 100, READ, false, "used after it was freed"},
		{"W1", 100, READ, true, "used after it was freed"},
	};

	if (argc == 4) {
		wanted = strtoul(argv[2], NULL, 10);
		return act((enum mistake)atoi(argv[1]), argv[3][0] == '1');
	}
	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)
		if (hows[i].mistake == READ && hows[i].nbytes > CHUNK_MAX && !small_ones_trap())
			skip(hows[i].text, SMALL_ONES_WHY);
		else
			told(&hows[i]);
	return tap_done();
}
