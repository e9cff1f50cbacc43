/*
 * What the benchmark programs share: a seeded random number generator, size
 * mixes, blocks that are touched and stamped, and the lines printed at the end.
 *
 * A program must do the same work under every allocator: counts and sizes come
 * from its arguments and from its seeds, never from the clock, and nothing here
 * looks at which allocator is loaded (but for bench_trim, which calls the one
 * loaded by the name it gives its own "return free memory" function).
 * No state is shared: each thread keeps its own generator.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BENCH_LINE = 64, BENCH_FILL = 256 };

static inline void
bench_die(const char *why)
{
	fprintf(stderr, "bench: %s\n", why);
	exit(1);
}

static inline uint64_t
bench_arg(int argc, char **argv, int i, uint64_t otherwise)
{
	return i < argc ? strtoull(argv[i], NULL, 10) : otherwise;
}

static inline uint64_t
rng_seed(uint64_t n)
{
	return (n + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

/* xorshift64*: a few cycles, so that the allocator is what is measured. */
static inline uint64_t
rng_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* Uniform in [0, n), n < 2^32. */
static inline size_t
rng_below(uint64_t *state, size_t n)
{
	return (size_t)(((rng_next(state) >> 32) * n) >> 32);
}

static inline size_t
rng_between(uint64_t *state, size_t low, size_t high)
{
	return low + rng_below(state, high - low + 1);
}

/*
 * Sizes from 2^low to 2^high, each doubling as likely as `2^-1` (steep) or as
 * `5/8` (flat) of the one before it, uniform inside a doubling.
 */
static inline size_t
size_in_doubling(uint64_t *state, unsigned step, unsigned low, unsigned high)
{
	unsigned shift = low + step % (high - low);

	return ((size_t)1 << shift) + rng_below(state, (size_t)1 << shift);
}

static inline size_t
size_steep(uint64_t *state, unsigned low, unsigned high)
{
	uint64_t r = rng_next(state) | UINT64_C(1) << 63;

	return size_in_doubling(state, (unsigned)__builtin_ctzll(r), low, high);
}

static inline size_t
size_flat(uint64_t *state, unsigned low, unsigned high)
{
	uint64_t a = rng_next(state);
	uint64_t b = rng_next(state);
	uint64_t r = (a & (b | (b >> 17 | b << 47))) | UINT64_C(1) << 63;

	return size_in_doubling(state, (unsigned)__builtin_ctzll(r), low, high);
}

/*
 * Write a new block as a program would: all of a small one, a word in each
 * cache line of a larger one. The first word tells its size, for block_check.
 */
static inline void
block_fill(void *p, size_t n)
{
	char *c = p;
	size_t whole = n < BENCH_FILL ? n & ~(size_t)7 : BENCH_FILL;

	for (size_t i = 8; i < whole; i += 8)
		*(volatile uint64_t *)(void *)(c + i) = i;
	for (size_t i = BENCH_FILL; i + 8 <= n; i += BENCH_LINE)
		*(volatile uint64_t *)(void *)(c + i) = i;
	*(volatile uint64_t *)p = n ^ (uintptr_t)p;
}

/* A new, filled block of n >= 8 bytes. */
static inline void *
block_new(size_t n)
{
	void *p = malloc(n);

	if (p == NULL)
		bench_die("out of memory");
	block_fill(p, n);
	return p;
}

static inline size_t
block_size(const void *p)
{
	return *(const volatile uint64_t *)p ^ (uintptr_t)p;
}

/* Free a block (or NULL) whose stamp must still be as block_fill left it. */
static inline void
block_free(void *p)
{
	if (p != NULL && block_size(p) - 1 >= (size_t)1 << 40)
		bench_die("a live block was overwritten");
	free(p);
}

/*
 * With BENCH_EXPECT set to a library, end at once if malloc is not bound to it.
 * The file is compared, not the name, since the loader may see it by another path.
 */
__attribute__((constructor)) static void
bench_check_bound(void)
{
	const char *expected = getenv("BENCH_EXPECT");
	struct stat want, got;
	Dl_info from;

	if (expected == NULL)
		return;
	if (dladdr((void *)(uintptr_t)malloc, &from) == 0)
		bench_die("cannot tell where malloc is");
	if (stat(expected, &want) == 0 && stat(from.dli_fname, &got) == 0
	    && want.st_ino == got.st_ino && want.st_dev == got.st_dev)
		return;
	fprintf(stderr, "bench: malloc is bound to %s\n", from.dli_fname);
	exit(99);
}

static inline double
bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void
bench_sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* Resident bytes of this process, from the kernel, without allocating. */
static inline size_t
bench_rss(void)
{
	char text[128] = "";
	unsigned long resident = 0;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0
	    || sscanf(text, "%*u %lu", &resident) != 1)
		bench_die("cannot read /proc/self/statm");
	close(fd);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static inline void
bench_print(const char *key, uint64_t value)
{
	printf("%s %" PRIu64 "\n", key, value);
	fflush(stdout);
}

/* Ask the allocator, by whichever of these names it has, to give memory back. */
static inline void
bench_trim(void)
{
	void *f;

	if ((f = dlsym(RTLD_DEFAULT, "mi_collect")) != NULL)
		((void (*)(_Bool))f)(1);
	else if ((f = dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory")) != NULL)
		((void (*)(void))f)();
	else if ((f = dlsym(RTLD_DEFAULT, "mallctl")) != NULL)	/* 4096: every arena */
		((int (*)(const char *, void *, size_t *, void *, size_t))f)
		    ("arena.4096.purge", NULL, NULL, NULL, 0);
	else if ((f = dlsym(RTLD_DEFAULT, "malloc_trim")) != NULL)
		((int (*)(size_t))f)(0);
}

/*
 * The memory figures after a peak: at once, after BENCH_IDLE seconds (2) of
 * almost nothing (one small block ten times a second, as an idle daemon's timer
 * would), and after an explicit trim. `live` is what the program still holds.
 */
static inline void
bench_print_rss_after(size_t live)
{
	const char *idle = getenv("BENCH_IDLE");
	long ticks = 10 * (idle == NULL ? 2 : strtol(idle, NULL, 10));

	bench_print("live", live);
	bench_print("rss_end", bench_rss());
	for (long i = 0; i < ticks; i++) {
		bench_sleep_ms(100);
		block_free(block_new(64));
	}
	bench_print("rss_idle", bench_rss());
	bench_trim();
	bench_print("rss_trim", bench_rss());
	bench_sleep_ms(200);		/* so that a curve of memory shows it too */
}

/* Zeroed memory that is not the allocator's, for a program's own large tables. */
static inline void *
bench_map(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		bench_die("out of memory");
	return p;
}

static inline void *
bench_table(size_t count, size_t each)
{
	void *p = calloc(count, each);

	if (p == NULL)
		bench_die("out of memory");
	return p;
}

/*
 * Start thread number i of the program, on CPU number i of those it may use, and round again. Left
 * to the scheduler, two threads that exchange blocks spend more or less of a run on one core, where
 * it takes a sixth of the CPU time.
 */
static inline pthread_t
bench_thread(size_t i, void *(*body)(void *), void *arg)
{
	cpu_set_t may, one;
	pthread_attr_t attr;
	pthread_t id;
	size_t n, cpu = 0;

	pthread_attr_init(&attr);
	CPU_ZERO(&one);
	if (sched_getaffinity(getpid(), sizeof(may), &may) == 0) {
		n = i % (size_t)CPU_COUNT(&may);
		while (n > 0 || !CPU_ISSET(cpu, &may))
			n -= CPU_ISSET(cpu++, &may) ? 1 : 0;
		CPU_SET(cpu, &one);
		pthread_attr_setaffinity_np(&attr, sizeof(one), &one);
	}
	if (pthread_create(&id, &attr, body, arg) != 0)
		bench_die("cannot create a thread");
	pthread_attr_destroy(&attr);
	return id;
}

/* Run `threads` of `body`, each given its own element of args[]; wait for all. */
static inline void
bench_threads(size_t threads, void *(*body)(void *), void *args, size_t each)
{
	pthread_t *id = bench_table(threads, sizeof(*id));

	for (size_t i = 0; i < threads; i++)
		id[i] = bench_thread(i, body, (char *)args + i * each);
	for (size_t i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
	free(id);
}

#endif
