/*
 * Every kind of wrong pointer, given to every function that takes one, and from everywhere: other
 * threads, the ends of threads, signal handlers, children. Each is found without any option, and
 * with option a the heap is whole after it and goes on. Each case has a process of its own.
 */
#include "everywhere.h"
#include "kinds.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- functions ------------------------------------------------------------------------------ */

/* With option a: what a function that found a wrong pointer returns. */
static bool
refused(const void *result)
{
	return result == NULL && errno == EINVAL;
}

static bool by_free(void *p, size_t n) { (void)n; free(p); return true; }
static bool by_cfree(void *p, size_t n) { (void)n; cfree(p); return true; }
static bool by_free_sized(void *p, size_t n) { free_sized(p, n); return true; }
static bool by_free_aligned(void *p, size_t n) { free_aligned_sized(p, 1, n); return true; }
static bool by_freezero(void *p, size_t n) { freezero(p, n); return true; }
static bool by_realloc(void *p, size_t n) { return refused(realloc(p, n + 5)); }
static bool by_realloc_grow(void *p, size_t n) { return refused(realloc(p, 3 * n + 100)); }
static bool by_realloc_zero(void *p, size_t n) { (void)n; return realloc(p, 0) == NULL; }
static bool by_reallocarray(void *p, size_t n) { return refused(reallocarray(p, n, 2)); }
static bool by_reallocf(void *p, size_t n) { return refused(reallocf(p, 2 * n)); }
static bool by_recallocarray(void *p, size_t n) { return refused(recallocarray(p, 0, n, 1)); }
static bool by_usable(void *p, size_t n) { (void)n; return malloc_usable_size(p) == 0; }
static bool by_delete(void *p, size_t n) { (void)n; _ZdlPv(p); return true; }
static bool by_delete_array(void *p, size_t n) { (void)n; _ZdaPv(p); return true; }
static bool by_delete_sized(void *p, size_t n) { _ZdlPvm(p, n); return true; }
static bool by_delete_at(void *p, size_t n) { (void)n; _ZdlPvSt11align_val_t(p, 1); return true; }
static bool by_delete_both(void *p, size_t n) { _ZdaPvmSt11align_val_t(p, n, 1); return true; }

static const struct how {
	const char *func;
	bool (*call)(void *p, size_t n); /* with option a: whether it returned what it should */
} hows[] = {
	{"free", by_free},
	{"realloc", by_realloc},
	{"realloc", by_realloc_grow},
	{"aligned operator delete[]", by_delete_both},
	{"realloc", by_realloc_zero},
	{"cfree", by_cfree},
	{"free_sized", by_free_sized},
	{"free_aligned_sized", by_free_aligned},
	{"freezero", by_freezero},
	{"reallocarray", by_reallocarray},
	{"reallocf", by_reallocf},
	{"recallocarray", by_recallocarray},
	{"malloc_usable_size", by_usable},
	{"operator delete", by_delete},
	{"operator delete[]", by_delete_array},
	{"operator delete", by_delete_sized},
	{"aligned operator delete", by_delete_at},
};
#define HOW_BRIEF 4

/* --- places --------------------------------------------------------------------------------- */

static struct {
	const struct how *how;
	void *p;
	size_t n;
	bool returned; /* as it should */
} call;

/* Says which pointer the message must name, and makes the mistake. */
static void
mistake(void)
{
	char line[80];
	int len = snprintf(line, sizeof(line), "CALL %d 0x%lx\n", (int)getpid(),
	    (unsigned long)(uintptr_t)call.p);

	if (write(STDERR_FILENO, line, (size_t)len) != len)
		_exit(126);
	errno = 0;
	call.returned = call.how->call(opaque(call.p), call.n);
}

static void in_main(void) { mistake(); }

/*
 * Threads are started before the pointer is made: what they and libc allocate for them must not be
 * where it points to.
 */
static pthread_t thread;
static pthread_barrier_t ready;
static pthread_key_t key;
static int rounds; /* of destructors until the mistake is made; 0: in none */

static void
at_thread_end(void *left)
{
	if (--rounds == 0)
		mistake();
	else
		pthread_setspecific(key, left);
}

static void *
thread_main(void *allocates)
{
	if (allocates != NULL)
		free(malloc(100));
	if (rounds != 0)
		pthread_setspecific(key, &key);
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&ready);
	if (rounds == 0)
		mistake();
	return NULL;
}

static void
start_thread(void *allocates, int which)
{
	rounds = which;
	pthread_key_create(&key, at_thread_end);
	pthread_barrier_init(&ready, NULL, 2);
	if (pthread_create(&thread, NULL, thread_main, allocates) != 0)
		abort();
	pthread_barrier_wait(&ready);
}

static void start_new(void) { start_thread(NULL, 0); }
static void start_used(void) { start_thread(&call, 0); }
static void start_first(void) { start_thread(&call, 1); }
/* When the thread is past its end for the library. */
static void start_last(void) { start_thread(&call, 4); }

static void
in_thread_started(void)
{
	pthread_barrier_wait(&ready);
	pthread_join(thread, NULL);
}

static volatile sig_atomic_t handled;

static void
on_signal(int signo)
{
	(void)signo;
	mistake();
	handled = 1;
}

static void
in_handler(void)
{
	signal(SIGUSR1, on_signal);
	raise(SIGUSR1);
}

/* While malloc and free are busy. */
static void
in_handler_interrupting(void)
{
	struct itimerval soon = {{0, 0}, {0, 300}};

	signal(SIGALRM, on_signal);
	setitimer(ITIMER_REAL, &soon, NULL);
	while (!handled) {
		void *p[20];

		for (size_t i = 0; i < 20; i++)
			p[i] = malloc(i * 97 % 3000);
		for (size_t i = 0; i < 20; i++)
			free(p[i]);
	}
}

static void
in_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		mistake();
		_exit(call.returned && is_whole() ? 0 : 3);
	}
	while (waitpid(pid, &status, 0) < 0)
		;
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	call.returned = status == 0;
}

static void
at_exit(void)
{
	mistake();
	_exit(call.returned && is_whole() ? 0 : 3);
}

static void
in_atexit(void)
{
	atexit(at_exit);
	exit(4);
}

static const struct place {
	const char *name;
	void (*prepare)(void); /* before the pointer is made */
	void (*run)(void);
	bool busy; /* allocates meanwhile, so that what was free may not be */
} places[] = {
	{"the main thread", NULL, in_main, false},
	{"a thread that never allocated", start_new, in_thread_started, false},
	{"another thread", start_used, in_thread_started, false},
	{"the first destructor of a thread", start_first, in_thread_started, false},
	{"the last destructor of a thread", start_last, in_thread_started, false},
	{"a signal handler", NULL, in_handler, false},
	{"a signal handler that interrupts malloc", NULL, in_handler_interrupting, true},
	{"a child", NULL, in_child, false},
	{"an exit handler", NULL, in_atexit, false},
};

/* --- cases ---------------------------------------------------------------------------------- */

static const struct kind *kind;
static bool plain = true; /* options */
static const struct place *place;

static int
run(void *goes_on)
{
	/* The heap is there, with chunks of each size, before the mistake is made. */
	(void)is_whole();
	if (place->prepare != NULL)
		place->prepare();
	call.p = kind->make(call.n);
	place->run();
	if (goes_on == NULL)
		return 2;
	if (!call.returned)
		return 4;
	return is_whole() ? 0 : 3;
}

/* Whether the first message is this one: of process, function, fault and pointer. */
static bool
said(const struct ended *e, bool goes_on)
{
	const char *got = strchr(e->text, '\n');
	char want[300], texts[200], *at = texts, *text;
	unsigned long p;
	int pid;

	if (got == NULL || sscanf(e->text, "CALL %d 0x%lx", &pid, &p) != 2)
		return false;
	/* With other options pointers lie elsewhere, and something else is wrong with them. */
	snprintf(texts, sizeof(texts), "%s", plain ? kind->texts :
	    FREE_TEXT "|" MODIFIED "|" WRONG_PAGE "|" JUNK_TEXT);
	while ((text = strsep(&at, "|")) != NULL) {
		snprintf(want, sizeof(want), "everywhere(%d) in %s(): %s: %s 0x%lx", pid, call.how->func,
		    goes_on ? "warning" : "error", text, p);
		if (strncmp(got + 1, want, strlen(want)) == 0)
			return true;
	}
	return false;
}

/* One kind by one function in one place at one size; says how it failed. */
static bool
holds(bool goes_on, size_t n)
{
	struct ended e;

	call.n = n;
	child_run(&e, run, goes_on ? &call : NULL);
	if (said(&e, goes_on) && (goes_on ? e.status == 0 : died_of(&e, SIGABRT)))
		return true;
	printf("# %s, %zu bytes, %s() in %s: status %#x\n# %s\n", kind->name, n, call.how->func,
	    place->name, (unsigned)e.status, e.text);
	return false;
}

/* Every function in the main thread, and free from everywhere; all sizes by free there. */
static void
try_all(bool goes_on, const char *options)
{
	bool brief = !plain;

	for (size_t k = 0; k < COUNT(kinds); k++) {
		size_t tried = 0, failed = 0;

		kind = &kinds[k];
		if (brief && kind->plain)
			continue;
		for (size_t h = 0; h < (brief ? HOW_BRIEF : COUNT(hows)); h++)
			for (size_t w = 0; w < (h == 0 && !brief ? COUNT(places) : 1); w++)
				for (size_t i = 0; kind->sizes[i] != 0; i++) {
					call.how = &hows[h];
					place = &places[w];
					/* What was free may be used meanwhile. */
					if (place->busy && kind->freed)
						continue;
					if ((h > 0 || w > 0) && i % (brief ? 5 : 3) != 0)
						continue;
					tried++;
					failed += !holds(goes_on, kind->sizes[i]);
				}
		ok(failed == 0 && tried != 0, "%s: %s in %zu cases, options \"%s\"", kind->name,
		    goes_on ? "said, refused, and the heap is whole" : "ends the process", tried, options);
	}
}

/* Before anything was allocated, before the constructors of any library. */
static void
before_all(int argc, char **argv, char **envp)
{
	(void)envp;
	if (argc != 3 || strcmp(argv[1], "early") != 0)
		return;
	call.how = &hows[atoi(argv[2])];
	call.p = &call;
	call.n = 10;
	mistake();
	_exit(call.returned ? 0 : 3);
}
__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **, char **) =
    before_all;

#define NOT_EARLY 77 /* main was reached */

static int
start_early(void *how)
{
	char no[20];

	snprintf(no, sizeof(no), "%d", (int)((const struct how *)how - hows));
	execl("/proc/self/exe", "everywhere", "early", no, (char *)NULL);
	return 127;
}

static void
try_early(bool goes_on)
{
	static const struct kind early = {"before the first allocation",
	    "malloc() has never been called|" JUNK_TEXT, NULL, NULL, false, true};
	size_t failed = 0;

	plain = true;
	kind = &early;
	for (size_t h = 0; h < COUNT(hows); h++) {
		struct ended e;

		call.how = &hows[h];
		child_run(&e, start_early, (void *)(uintptr_t)&hows[h]);
		if (WIFEXITED(e.status) && WEXITSTATUS(e.status) == NOT_EARLY) {
			skip("a static variable before the constructors of libraries",
			    "this C library has no such place");
			return;
		}
		if (said(&e, goes_on) && (goes_on ? e.status == 0 : died_of(&e, SIGABRT)))
			continue;
		failed++;
		printf("# %s(): status %#x\n# %s\n", hows[h].func, (unsigned)e.status, e.text);
	}
	ok(failed == 0, "a static variable before the constructors of libraries: %s",
	    goes_on ? "said" : "ends the process");
}

/* Promises made with these options. */
static unsigned
count(const char *options)
{
	bool brief = strlen(options) > 1;
	unsigned n = !brief;

	for (size_t k = 0; k < COUNT(kinds); k++)
		n += !(brief && kinds[k].plain);
	return n;
}

int
main(int argc, char **argv)
{
	static const char *const options[] = {"", "a", "aS", "aCT", "aJJ", "aF", "aW1", "aB1"};
	char from[20];

	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	if (argc == 3 && strcmp(argv[1], "early") == 0)
		return NOT_EARLY;
	if (argc == 3) {
		tap_count = (unsigned)atoi(argv[2]);
		plain = strlen(argv[1]) < 2;
		if (plain)
			try_early(argv[1][0] == 'a');
		try_all(argv[1][0] == 'a', argv[1]);
		return tap_failed != 0;
	}
	/* Options are read at the start of a process. */
	for (size_t i = 0; i < COUNT(options); i++) {
		int status = -1;
		pid_t pid;

		setenv("MALLOC_OPTIONS", options[i], 1);
		snprintf(from, sizeof(from), "%u", tap_count);
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			execl("/proc/self/exe", "everywhere", options[i], from, (char *)NULL);
			_exit(127);
		}
		waitpid(pid, &status, 0);
		tap_count += count(options[i]);
		tap_failed += status != 0;
	}
	return tap_done();
}
