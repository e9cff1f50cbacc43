/*
 * Every kernel call of the allocator fails in turn, from the very first of the process on: once,
 * and with all later ones. A script that uses every function of the interface and two threads must
 * get NULL with ENOMEM or what it asked for, lose no contents, leave the heap whole, and find it
 * working when the kernel says yes again.
 *
 * The program runs itself once for each call: FAIL_AT and FAIL_ALL tell what is to fail, and are
 * looked at before any constructor, so that the start of the heap is covered too.
 */
#include "fault/script.h"
#include "heap/heap.h"
#include "heap/inspect.h"
#include "os/vm.h"
#include "page/page_alloc.h"
#include "tap.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>

/* More than any option set makes calls for. */
#define CALLS_MAX 3000
#define BYTES_LEFT_MAX 8192

enum {
	LOST = 1,         /* contents or errno, see script.h */
	BROKEN = 2,       /* heap_check() while calls failed */
	DEAD = 4,         /* a request failed after the kernel said yes again */
	LEAKED = 8,       /* memory in use after all was freed */
	NOT_REACHED = 64, /* fewer calls than FAIL_AT: there is no more to try */
};

static unsigned long fail_at;

static const char *
find(char **envp, const char *name)
{
	size_t len = strlen(name);

	for (; *envp != NULL; envp++)
		if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=')
			return *envp + len + 1;
	return NULL;
}

/* Before the constructors of all libraries, libc's too, so getenv knows nothing yet. */
static void
arm(int argc, char **argv, char **envp)
{
	const char *at = find(envp, "FAIL_AT");

	(void)argc;
	(void)argv;
	if (at == NULL)
		return;
	fail_at = strtoul(at, NULL, 10);
	vm_fail_countdown = fail_at;
	vm_fail_all = find(envp, "FAIL_ALL") != NULL;
}
__attribute__((section(".preinit_array"), used)) static void
(*arm_first)(int, char **, char **) = arm;

static void
in_thread(void *(*work)(void *), void *arg)
{
	pthread_t t;

	/* Threads need memory too: then the work is done here. */
	if (pthread_create(&t, NULL, work, arg) == 0)
		pthread_join(t, NULL);
	else
		(void)work(arg);
}

/* A chunk of every class, and pages enough for the heap to grow. */
static bool
works_again(void)
{
	bool all = true;

	for (size_t n = 1; n <= (size_t)1 << 20 && all; n += n / 4 + 1) {
		char *p = malloc(n);

		all = p != NULL;
		if (all)
			p[0] = p[n - 1] = 1;
		free(p);
	}
	return all;
}

/* Whether more is in use than libc keeps for itself, or pages are in use that nobody has. */
static bool
leaked(void)
{
	struct heap_figures f;

	malloc_trim(0);
	inspect(&f);
	if (f.live_nbytes <= BYTES_LEFT_MAX)
		return false;
	fprintf(stderr, "left: %zu bytes, %zu of them large\n", f.live_nbytes, f.large_nbytes);
	return true;
}

static int
run(void)
{
	unsigned long calls;
	int wrong = 0;

	hang_limit(20);
	script_run(1);
	in_thread(script_thread, (void *)2);
	in_thread(script_free_some, NULL);
	script_run(3);
	calls = vm_calls;
	vm_fail_countdown = 0;
	vm_fail_all = false;
	wrong |= heap_check() != 0 ? BROKEN : 0;
	script_free_all();
	wrong |= works_again() ? 0 : DEAD;
	/* The thread's owner is parked by now; a new thread takes it over. */
	in_thread(script_thread, (void *)4);
	script_free_all();
	wrong |= script_lost() ? LOST : 0;
	wrong |= leaked() ? LEAKED : 0;
	wrong |= heap_check() != 0 ? BROKEN : 0;
	return wrong | (calls < fail_at ? NOT_REACHED : 0);
}

struct turn {
	const char *options;
	unsigned long at;
	bool all;
};

static int
start(void *arg)
{
	const struct turn *t = arg;
	char at[24], trace[40];

	snprintf(at, sizeof(at), "%lu", t->at);
	setenv("FAIL_AT", at, 1);
	if (t->all)
		setenv("FAIL_ALL", "1", 1);
	if (t->options[0] != '\0')
		setenv("MALLOC_OPTIONS", t->options, 1);
	snprintf(trace, sizeof(trace), "/tmp/fault.%d.trace", (int)getppid());
	setenv("MALLOC_TRACE_FILE", trace, 1);
	unlink(trace);
	execl("/proc/self/exe", "fault", "turn", (char *)NULL);
	return 127;
}

/*
 * Fails call 1, 2, 3 .. until there is none left to fail. Returns how many calls there were, or
 * 0 when something went wrong.
 */
static unsigned long
every_call(const char *options, bool all)
{
	struct turn t = {.options = options, .all = all};
	struct ended e;

	for (t.at = 1; t.at < CALLS_MAX; t.at++) {
		child_run(&e, start, &t);
		if (!WIFEXITED(e.status) || (WEXITSTATUS(e.status) & ~NOT_REACHED) != 0) {
			printf("# FAIL_AT=%lu%s MALLOC_OPTIONS='%s' fault turn: status %#x\n# %s\n", t.at,
			    all ? " FAIL_ALL=1" : "", options, (unsigned)e.status, e.text);
			return 0;
		}
		if (e.status != 0)
			return t.at - 1;
	}
	printf("# more than %d calls\n", CALLS_MAX);
	return 0;
}

/* Each set makes kernel calls that no other does: guards, slots of samples, lazy purging. */
static const struct {
	const char *options;
	const char *what;
	unsigned long calls_min; /* fewer would mean that the script does not do what it should */
} sets[] = {
	{"", "without options", 40},
	{"S", "with the secure set", 100},
	{"TW3", "with stacks and samples", 60},
	{"B1", "with everything in the profile", 40},
	{"H>>", "with lazy purging and a large cache", 30},
	{"F<<<<", "with freed memory held back and no cache", 40},
	{"UU", "while everything is recorded", 40},
};

int
main(int argc, char **argv)
{
	struct rlimit none = {0, 0};
	char trace[40];

	setrlimit(RLIMIT_CORE, &none);
	/* A turn must never come to start turns of its own. */
	if (argc > 1)
		return strcmp(argv[1], "turn") == 0 && fail_at != 0 ? run() : 127;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		unsigned long one = every_call(sets[i].options, false);
		unsigned long from = every_call(sets[i].options, true);

		ok(one >= sets[i].calls_min, "any one of %lu kernel calls may fail %s", one,
		    sets[i].what);
		ok(from != 0, "all may fail from any one on %s", sets[i].what);
	}
	snprintf(trace, sizeof(trace), "/tmp/fault.%d.trace", (int)getpid());
	unlink(trace);
	return tap_done();
}
