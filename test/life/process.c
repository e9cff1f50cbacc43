/*
 * What happens in the life of a process: forks of forks among threads, vfork, exec again and again,
 * signals that interrupt malloc, ends of threads and of the process at which others still allocate,
 * libraries that come and go, threads without number.
 *
 * LONG in the environment makes more of everything: 100,000 threads, not 10,000.
 */
#include "../stress/parcel.h"

#include <dlfcn.h>
#include <spawn.h>
#include <sys/time.h>

#define TABLE 400

static struct parcel *_Atomic table[TABLE];
static atomic_bool stop;
static bool longer;
extern char **environ;

static void
swap(uint64_t *seed)
{
	size_t at = random_next(seed) % TABLE;

	parcel_end(atomic_exchange(&table[at], parcel_new(parcel_size(seed, 15), seed)));
}

static void *
busy(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!stop)
		swap(&seed);
	return NULL;
}

__attribute__((noinline)) static void
busy_start(pthread_t *t, size_t n)
{
	stop = false;
	for (size_t i = 0; i < n; i++)
		t[i] = thread_start(busy, (void *)(i + 1));
}

static void
busy_end(pthread_t *t, size_t n)
{
	stop = true;
	for (size_t i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

static int
whole(void)
{
	return parcels_broken != 0 || phkmalloc_check() != 0;
}

static int
wait_for(pid_t pid)
{
	int status = -1;

	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* A child has threads of its own, and children. */
static int
child(unsigned depth)
{
	uint64_t seed = (uint64_t)getpid();
	pthread_t t[2];
	pid_t pid = 0;

	alarm(240);
	busy_start(t, 2);
	for (size_t i = 0; i < 2000; i++)
		swap(&seed);
	if (depth > 0) {
		pid = fork();
		if (pid == 0)
			_exit(child(depth - 1));
	}
	for (size_t i = 0; i < 2000; i++)
		swap(&seed);
	busy_end(t, 2);
	/* What threads that are not here have allocated goes, and their pages with it. */
	for (size_t i = 0; i < TABLE; i++)
		parcel_end(atomic_exchange(&table[i], NULL));
	malloc_trim(0);
	return (pid != 0 && wait_for(pid) != 0) || whole();
}

static int
forks(void *arg)
{
	pthread_t t[3];

	busy_start(t, 3);
	for (int i = 0; i < (longer ? 200 : 20); i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(child(2));
		if (wait_for(pid) != 0)
			return 2;
	}
	busy_end(t, 3);
	return whole() + (arg != NULL);
}

static int
vforks(void *arg)
{
	char *const argv[] = {"process", "alive", NULL};
	pthread_t t[2];

	busy_start(t, 2);
	for (int i = 0; i < (longer ? 2000 : 60); i++) {
		pid_t pid = vfork();

		if (pid == 0) {
			execve("/proc/self/exe", argv, environ);
			_exit(127);
		}
		if (wait_for(pid) != 0)
			return 2;
		/* glibc does the same with clone in posix_spawn. */
		if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) != 0 ||
		    wait_for(pid) != 0)
			return 3;
	}
	busy_end(t, 2);
	return whole() + (arg != NULL);
}

/* A process that becomes itself again, with a heap and threads each time. */
static int
exec_again(int left)
{
	uint64_t seed = (uint64_t)left;
	char text[24];
	pthread_t t[2];

	alarm(480);
	busy_start(t, 2);
	for (int i = 0; i < 100; i++)
		swap(&seed);
	if (left == 0)
		return 0;
	snprintf(text, sizeof(text), "%d", left - 1);
	execl("/proc/self/exe", "process", "exec", text, (char *)NULL);
	return 127;
}

static int
execs(void *arg)
{
	return exec_again(longer ? 3000 : 100) + (arg != NULL);
}

/* --- signals ----------------------------------------------------------------------------- */

static void
every_100_us(void (*handler)(int))
{
	struct itimerval t = {{0, 100}, {0, 100}}; /* of CPU time: alarm() stays */
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};

	sigaction(SIGPROF, &sa, NULL);
	setitimer(ITIMER_PROF, &t, NULL);
}

static atomic_size_t interrupts;

static void
free_nothing(int signo)
{
	int saved = errno;

	errno = 4711;
	free(NULL);
	if (malloc_usable_size(NULL) != 0 || errno != 4711)
		parcels_broken++;
	errno = saved;
	interrupts += signo == SIGPROF;
}

/* What the standard allows even where malloc is interrupted. */
static int
handler_frees_nothing(void *arg)
{
	uint64_t seed = 1;
	size_t enough = longer ? 10000 : 200;
	pthread_t t[2];

	every_100_us(free_nothing);
	busy_start(t, 2);
	while (interrupts < enough) {
		for (int i = 0; i < 100; i++)
			swap(&seed);
		malloc_trim(0);
	}
	busy_end(t, 2);
	every_100_us(SIG_IGN);
	return whole() + (arg != NULL);
}

static void
allocate(int signo)
{
	free(malloc((size_t)signo * 10000));
	interrupts++;
}

/* What the standard forbids: it may do harm, but it ends, and says so where it sees it. */
static int
handler_allocates(void *arg)
{
	uint64_t seed = 1;
	time_t end = time(NULL) + 2;

	alarm(80);
	every_100_us(allocate);
	while (time(NULL) < end) {
		free(malloc(50000 + random_next(&seed) % 100000));
		malloc_trim(0);
	}
	every_100_us(SIG_IGN);
	return arg != NULL;
}

/* Large memory needs the lock of the pages each time: the handler soon comes while it is held. */
static int
recursion(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++) {
		struct ended e;

		child_run(&e, handler_allocates, NULL);
		if (died_of(&e, SIGABRT) && strstr(e.text, "malloc(): error: recursive call") != NULL)
			return 0;
		if (died_of(&e, SIGALRM))
			return 2;
	}
	return 3;
}

/* --- ends of threads and of the process --------------------------------------------------- */

static atomic_size_t count;

static void *
come_and_go(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	for (int i = 0; i < 5; i++)
		swap(&seed);
	count++;
	return NULL;
}

static int
many_threads(void *arg)
{
	size_t n = longer ? 100000 : 10000, early = 0;
	pthread_t t[8];

	for (size_t i = 0; i < n / 8; i++) {
		for (size_t k = 0; k < 8; k++)
			t[k] = thread_start(come_and_go, (void *)(i * 8 + k + 1));
		for (size_t k = 0; k < 8; k++)
			pthread_join(t[k], NULL);
		if (i == n / 80)
			early = rss_kib();
	}
	dprintf(STDERR_FILENO, "RSS %zu KiB after a tenth, %zu KiB in the end\n", early, rss_kib());
	return count != n / 8 * 8 || whole() || rss_kib() > early + early / 4 + 2048 || arg != NULL;
}

/* Registered by each thread with the C library, as C++ does for its thread_local objects. */
int __cxa_thread_atexit_impl(void (*end)(void *), void *object, void *dso);
extern void *__dso_handle;
static pthread_key_t keys[3];

static void
thread_local_end(void *p)
{
	uint64_t seed = 7;

	parcel_end(p);
	for (int i = 0; i < 20; i++)
		parcel_end(parcel_new(parcel_size(&seed, 14), &seed));
	count++;
}

/* Comes back with more, but for the last of the four rounds that there are. */
static void
key_end(void *p)
{
	static __thread unsigned calls;
	uint64_t seed = (uintptr_t)p;

	thread_local_end(p);
	for (size_t i = 0; i < COUNT(keys) && calls < 2 * COUNT(keys); i++)
		if (pthread_getspecific(keys[i]) == NULL)
			pthread_setspecific(keys[i], parcel_new(parcel_size(&seed, 14), &seed));
	calls++;
	swap(&seed);
}

static void *
with_ends(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	for (size_t i = 0; i < COUNT(keys); i++)
		pthread_setspecific(keys[i], parcel_new(200, &seed));
	__cxa_thread_atexit_impl(thread_local_end, parcel_new(100, &seed), &__dso_handle);
	return NULL;
}

static int
thread_ends(void *arg)
{
	size_t before = 0, n = longer ? 20000 : 1000;
	pthread_t t[4];

	for (size_t i = 0; i < COUNT(keys); i++)
		if (pthread_key_create(&keys[i], key_end) != 0)
			return 2;
	for (size_t i = 0; i < n; i += 4) {
		for (size_t k = 0; k < 4; k++)
			t[k] = thread_start(with_ends, (void *)(i + k + 1));
		for (size_t k = 0; k < 4; k++)
			pthread_join(t[k], NULL);
		if (i == n / 2)
			before = rss_kib();
	}
	for (size_t i = 0; i < TABLE; i++)
		parcel_end(atomic_exchange(&table[i], NULL));
	dprintf(STDERR_FILENO, "RSS %zu KiB, then %zu; %zu bytes in use; %zu destructors\n", before,
	    rss_kib(), mallinfo2().uordblks, (size_t)count);
	return whole() || count < n * 10 || mallinfo2().uordblks > 200000 ||
	    rss_kib() > before + before / 4 + 4096 || arg != NULL;
}

static struct parcel *left;

__attribute__((destructor)) static void
static_end(void)
{
	uint64_t seed = 3;

	parcel_end(left);
	left = NULL;
	for (int i = 0; i < 200; i++)
		parcel_end(parcel_new(parcel_size(&seed, 18), &seed));
	if (whole())
		_exit(9);
}

static void
at_the_end(void)
{
	uint64_t seed = 4;

	left = left != NULL ? parcel_resize(left, 5000, &seed) : parcel_new(100, &seed);
	atexit(static_end);
}

/* exit while threads go on allocating. */
static int
ends(void *arg)
{
	pthread_t t[2];

	busy_start(t, 2);
	for (int i = 0; i < 50; i++)
		atexit(at_the_end);
	exit(arg != NULL);
}

/* --- libraries --------------------------------------------------------------------------- */

/* Copies of one library, each with thread-local data: the table of those has to grow. */
static int
plugins(void *arg)
{
	void *(*make)(size_t);
	void *h[40], *p[40];
	char name[300], copy[40], *slash;

	if (readlink("/proc/self/exe", name, sizeof(name) - 30) < 0)
		return 2;
	slash = strrchr(name, '/');
	for (int round = 0; round < (longer ? 100 : 4); round++) {
		for (size_t i = 0; i < COUNT(h); i++) {
			snprintf(copy, sizeof(copy), "/libplugin%zu.so", i);
			strcpy(slash, copy);
			h[i] = dlopen(name, RTLD_NOW | RTLD_LOCAL);
			if (h[i] == NULL) {
				dprintf(STDERR_FILENO, "%s\n", dlerror());
				return 3;
			}
			*(void **)&make = dlsym(h[i], "plugin_make");
			p[i] = make(100 + i);
		}
		for (size_t i = 0; i < COUNT(h); i++) {
			*(char *)p[i] = 1;
			dlclose(h[i]);
			/* Memory lives on when who allocated it is gone. */
			free(realloc(p[i], 3000));
		}
	}
	return whole() + (arg != NULL);
}

static const struct {
	int (*act)(void *);
	const char *promise;
} lives[] = {
	{forks, "children of children, with threads of their own"},
	{vforks, "vfork and posix_spawn while threads allocate"},
	{execs, "a process that executes itself again and again with threads running"},
	{handler_frees_nothing, "a signal handler may free(NULL) wherever it interrupts"},
	{recursion, "a signal handler that allocates does not wait for its own thread, and is told"},
	{many_threads, "threads come and go by thousands, and memory stays flat"},
	{thread_ends, "destructors of keys and thread-local objects allocate, and nothing is lost"},
	{ends, "atexit and static destructors allocate while threads go on"},
	{plugins, "libraries that allocate are opened and closed again and again"},
};

static int
live(void *number)
{
	if (longer)
		alarm(3600);
	return lives[(size_t)number].act(NULL);
}

int
main(int argc, char **argv)
{
	longer = getenv("LONG") != NULL && getenv("LONG")[0] != '\0';
	if (argc > 1 && strcmp(argv[1], "alive") == 0)
		return whole();
	if (argc > 2)
		return exec_again(atoi(argv[2]));
	for (size_t i = 0; i < COUNT(lives); i++)
		ok_in_child(live, (void *)i, lives[i].promise);
	return tap_done();
}
