/*
 * A long mixed load: threads that come and go and hand allocations of 1 byte to 64 MiB to each
 * other, children forked from among them that go on with what they find, moments without memory,
 * and each second a walk of the whole heap. Contents must arrive, invariants hold, and memory must
 * stay flat: now and then the threads stand still, all that can be given back is, and what is
 * resident beyond the bytes in use is noted. What free pages are kept in between goes up and down
 * with the large allocations of the last seconds, and tells of no growth.
 *
 *   soak [SECONDS [ROUND_SECONDS]]
 *
 * One process runs all the time with the options of the environment. Beside it others run for
 * ROUND_SECONDS (30) each with options drawn at random. The seed is printed, SEED repeats it.
 * LEAK=N in the environment loses N KiB each second, which must be noticed.
 */
#include "../stress/parcel.h"

#include <sys/mman.h>
#include <sys/resource.h>

#define THREADS 3
#define PLACES 3000
#define LIVE_MAX (192 * MB) /* bytes in use at the most */
#define TURNS 4000          /* operations in the life of a thread */
#define FLAT_SECONDS 300
#define STAND_SECONDS 5     /* from one time that threads stand still to the next */
#define BEYOND_MAX 1024     /* samples kept */
#define BEYOND_SLACK 2048   /* KiB that the last third may have more than the first, and a tenth */
#define MAPPED_MAX (4 * LIVE_MAX)
#define RSS_SLACK (48 * 1024) /* KiB beside what is in use: free pages kept, metadata */

static struct parcel *_Atomic places[PLACES];
static atomic_size_t live, operations, threads;
static atomic_bool over, still;
static atomic_uint standing;
static uint64_t first_seed;

/* What a process has seen, in memory that it shares with who started it. */
struct record {
	size_t operations, threads, children, refused, checks, broken, lost, dead;
	size_t rss[2], nrss[2]; /* KiB, sums and samples in each half of the time, after a tenth */
	size_t rss_most;
	size_t live_most;
	size_t mapped_most; /* bytes */
	size_t nbeyond;
	uint32_t beyond[BEYOND_MAX]; /* KiB resident beyond what is in use */
	char options[16];
};

static size_t
any_size(uint64_t *seed)
{
	uint64_t r = random_next(seed) % 20000;

	if (r == 0)
		return 16 * MB + random_next(seed) % (48 * MB);
	return r < 20 ? parcel_size(seed, 23) : r < 200 ? parcel_size(seed, 17) : parcel_size(seed, 12);
}

static void
end(struct parcel *p)
{
	if (p == NULL)
		return;
	live -= p->n;
	parcel_end(p);
}

/* What is at a place is resized, looked at, or makes way for another. */
static void
turn(uint64_t *seed)
{
	size_t at = random_next(seed) % PLACES, n = any_size(seed);
	struct parcel *p = atomic_exchange(&places[at], NULL);

	operations++;
	if (p != NULL && random_next(seed) % 4 == 0 && live < LIVE_MAX) {
		size_t had = p->n;

		p = parcel_resize(p, n, seed);
		live += p->n - had;
	} else {
		end(p);
		p = NULL;
		if (live + n < LIVE_MAX)
			p = parcel_new(n, seed);
		live += p != NULL ? p->n : 0;
	}
	end(atomic_exchange(&places[at], p));
}

/* Between two operations a thread waits while memory is looked at. */
static void
stand(void)
{
	if (!still)
		return;
	standing++;
	while (still && !over)
		usleep(1000);
	standing--;
}

/* A thread makes its turns and leaves the rest to another of its making. */
static void *
work(void *arg)
{
	uint64_t seed = first_seed + atomic_fetch_add(&threads, 1);
	pthread_attr_t detached;
	pthread_t t;

	for (size_t i = 0; i < TURNS && !over; i++) {
		stand();
		turn(&seed);
	}
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	/* There may be no memory for one more right now. */
	while (!over && pthread_create(&t, &detached, work, arg) != 0) {
		stand();
		turn(&seed);
	}
	pthread_attr_destroy(&detached);
	return NULL;
}

/* In a child: what is at the places is whole, and the heap works. */
static int
in_child(uint64_t seed)
{
	parcels_broken = 0;
	for (size_t i = 0; i < PLACES; i += 7) {
		struct parcel *p = places[i];

		if (p != NULL && p->n < MB)
			parcel_whole(p);
	}
	for (size_t i = 0; i < 2000; i++)
		turn(&seed);
	return parcels_broken != 0 || phkmalloc_check() != 0;
}

static void
child(struct record *r, uint64_t *seed)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(60);
		_exit(in_child(random_next(seed)));
	}
	if (pid < 0)
		return;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	r->children++;
	if (status != 0) {
		r->dead++;
		fprintf(stderr, "child: status %#x\n", (unsigned)status);
	}
}

/* Bytes of addresses that can be written to, which is what the kernel charges a process. */
static size_t
mapped(void)
{
	unsigned long pages = 0;
	char text[128] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ||
	    sscanf(text, "%*u %*u %*u %*u %*u %lu", &pages) != 1)
		abort();
	close(fd);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* For a moment the kernel gives hardly any more memory. */
static void
without_memory(void)
{
	struct rlimit all, none;

	if (getrlimit(RLIMIT_DATA, &all) != 0)
		abort();
	none = all;
	none.rlim_cur = mapped() + MB;
	setrlimit(RLIMIT_DATA, &none);
	usleep(100000);
	setrlimit(RLIMIT_DATA, &all);
}

/* What is resident beyond what is in use, when nothing goes on and no free page is kept. */
static void
note_beyond(struct record *r)
{
	size_t rss, used;

	still = true;
	for (unsigned ms = 0; standing < THREADS && ms < 2000; ms++)
		usleep(1000);
	malloc_trim(0);
	rss = rss_kib();
	used = live / 1024;
	if (standing == THREADS && rss > used && r->nbeyond < BEYOND_MAX)
		r->beyond[r->nbeyond++] = (uint32_t)(rss - used);
	r->broken += phkmalloc_check();
	still = false;
}

static int
by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The median of a third of the samples, without the first tenth. */
static size_t
third(const struct record *r, unsigned k)
{
	uint32_t part[BEYOND_MAX];
	size_t skip = r->nbeyond / 10, n = (r->nbeyond - skip) / 3;

	if (n == 0)
		return 0;
	memcpy(part, r->beyond + skip + k * n, n * sizeof(part[0]));
	qsort(part, n, sizeof(part[0]), by_size);
	return part[n / 2];
}

static bool
is_flat(const struct record *r)
{
	return third(r, 2) <= third(r, 0) * 11 / 10 + BEYOND_SLACK;
}

/* The load of one process. */
static int
load(struct record *r, time_t seconds)
{
	time_t start = time(NULL), now, stood = start;
	time_t pause = seconds / BEYOND_MAX > STAND_SECONDS ? seconds / BEYOND_MAX : STAND_SECONDS;
	size_t leak = strtoul(getenv("LEAK") ?: "0", NULL, 0) * 1024, rss;
	uint64_t seed = first_seed;

	for (size_t i = 0; i < THREADS; i++)
		pthread_detach(thread_start(work, NULL));
	while ((now = time(NULL)) < start + seconds) {
		r->checks++;
		r->broken += phkmalloc_check();
		child(r, &seed);
		if (random_next(&seed) % 8 == 0)
			without_memory();
		rss = rss_kib();
		/* The first tenth is for the heap to find its size. */
		if (now - start > seconds / 10) {
			r->rss[now - start > seconds / 2] += rss;
			r->nrss[now - start > seconds / 2]++;
		}
		r->mapped_most = mapped() > r->mapped_most ? mapped() : r->mapped_most;
		r->rss_most = rss > r->rss_most ? rss : r->rss_most;
		r->live_most = live > r->live_most ? live : r->live_most;
		r->lost = parcels_broken;
		r->refused = parcels_refused;
		r->operations = operations;
		r->threads = threads;
		if (now >= stood + pause) {
			stood = now;
			note_beyond(r);
		}
		if (leak != 0)
			(void)parcel_new(leak, &seed);
		usleep(900000);
	}
	over = true;
	usleep(500000);
	for (size_t i = 0; i < PLACES; i++)
		end(atomic_exchange(&places[i], NULL));
	r->broken += phkmalloc_check();
	r->lost = parcels_broken;
	return 0;
}

/* Starts a process whose record is descriptor 3. */
static pid_t
start(const char *options, time_t seconds, uint64_t seed, int fd)
{
	char s[24], text[24];
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	snprintf(s, sizeof(s), "%ld", (long)seconds);
	snprintf(text, sizeof(text), "%#llx", (unsigned long long)seed);
	if (options != NULL)
		setenv("MALLOC_OPTIONS", options, 1);
	setenv("SEED", text, 1);
	dup2(fd, 3);
	execl("/proc/self/exe", "soak", "load", s, (char *)NULL);
	_exit(127);
}

static size_t
rss_mean(const struct record *r, unsigned half)
{
	return r->nrss[half] == 0 ? 0 : r->rss[half] / r->nrss[half];
}

static void
judge(const struct record *r, int status)
{
	bool whole = status == 0 && r->broken == 0 && r->lost == 0 && r->dead == 0 && r->checks > 0;

	ok(whole, "options \"%s\": %zu operations, %zu threads, %zu children, %zu requests refused, "
	    "%zu walks of the heap", r->options, r->operations, r->threads, r->children, r->refused,
	    r->checks);
	if (!whole)
		printf("# status %#x, %zu invariants broken, %zu contents lost, %zu children dead\n",
		    (unsigned)status, r->broken, r->lost, r->dead);
	printf("# at most %zu MiB in use; RSS at most %zu MiB, on average %zu MiB in the first half, "
	    "%zu MiB in the second\n", r->live_most / MB, r->rss_most / 1024, rss_mean(r, 0) / 1024,
	    rss_mean(r, 1) / 1024);
	printf("# beyond what is in use, all given back that can be: %zu, %zu, %zu KiB in the thirds, "
	    "%zu samples; at most %zu MiB mapped\n", third(r, 0), third(r, 1), third(r, 2), r->nbeyond,
	    r->mapped_most / MB);
	fflush(stdout);
}

/* Two records in a file without name: of the process that stays, and of the one of the round. */
static int
soak(time_t seconds, time_t round)
{
	/* Not D, N, X, A: they say more, or less, and change nothing. */
	static const char letters[] = "CEFGHJPRTZS><";
	time_t stop = time(NULL) + seconds;
	int fd[2] = {memfd_create("record", 0), memfd_create("record", 0)}, status;
	uint64_t seed = random_start();
	struct record r;
	pid_t long_one;

	memset(&r, 0, sizeof(r));
	snprintf(r.options, sizeof(r.options), "%.15s", getenv("MALLOC_OPTIONS") ?: "");
	pwrite(fd[0], &r, sizeof(r), 0);
	long_one = start(NULL, seconds, seed, fd[0]);
	while (time(NULL) + round <= stop) {
		memset(&r, 0, sizeof(r));
		for (size_t i = 0; i < random_next(&seed) % 4; i++)
			r.options[i] = letters[random_next(&seed) % (sizeof(letters) - 1)];
		pwrite(fd[1], &r, sizeof(r), 0);
		waitpid(start(r.options, round - 2, random_next(&seed), fd[1]), &status, 0);
		pread(fd[1], &r, sizeof(r), 0);
		judge(&r, status);
	}
	waitpid(long_one, &status, 0);
	pread(fd[0], &r, sizeof(r), 0);
	judge(&r, status);
	ok(r.rss_most <= LIVE_MAX / 1024 + LIVE_MAX / 2048 + RSS_SLACK, "memory is bounded");
	ok(r.mapped_most <= MAPPED_MAX, "and what is mapped for it");
	if (seconds >= FLAT_SECONDS)
		ok(r.nbeyond >= 30 && is_flat(&r), "memory is flat");
	return tap_done();
}

int
main(int argc, char **argv)
{
	struct record r;

	if (argc > 2 && strcmp(argv[1], "load") == 0) {
		if (pread(3, &r, sizeof(r), 0) != (ssize_t)sizeof(r))
			return 127;
		first_seed = strtoull(getenv("SEED"), NULL, 0);
		load(&r, atol(argv[2]));
		return pwrite(3, &r, sizeof(r), 0) != (ssize_t)sizeof(r);
	}
	return soak(argc > 1 ? atol(argv[1]) : 12, argc > 2 ? atol(argv[2]) : argc > 1 ? 30 : 6);
}
