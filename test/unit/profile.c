/*
 * profile.c: what a profile says of known allocations is right, to within what its number of
 * samples allows, whatever their rhythm, sizes and threads; and what is in use is exact.
 *
 * Each part runs in a process of its own, since options are read once at start.
 */
#include "chunk/owner.h"
#include "diag/stack.h"
#include "heap/heap.h"
#include "unit.h"
#include "watch/profile.h"

#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Three functions whose allocations are told apart. */
#define ALLOCATOR(name) \
	__attribute__((noinline, aligned(64))) static void *name(size_t n) \
	{ \
		void *volatile p = malloc(n); \
		return p; \
	}
ALLOCATOR(alpha)
ALLOCATOR(beta)
ALLOCATOR(gamma_)
typedef void *allocator(size_t n);
static allocator *const allocators[3] = { alpha, beta, gamma_ };

struct sums {
	double objects, bytes, live_bytes;
	double samples, live_samples;
};

static void *keep[1000000];

static int
names(const struct phkmalloc_site *s, allocator *f)
{
	unsigned n;
	const uint64_t *frames = stack_frames(s->stack, &n);

	for (unsigned i = 0; i < n; i++)
		if (frames[i] - (uint64_t)(uintptr_t)f < 64)
			return 1;
	return 0;
}

/* The formulas of phkmalloc_inspect.h. */
static double
bytes_of(const struct phkmalloc_site *s, double n, double weight)
{
	if (n == 0)
		return 0;
	if (s->large != 0)
		return s->rate == 1 ? weight : weight / (1 - exp(-weight / n / s->rate));
	return s->rate == 1 ? weight * s->size : weight * s->rate;
}

static struct sums
sums_of(allocator *f)
{
	const struct phkmalloc_site *sites = (const void *)(uintptr_t)profile.sites;
	struct sums sum = { 0 };

	for (uint32_t i = 1; i < profile.nsites; i++) {
		const struct phkmalloc_site *s = &sites[i];
		double n = (double)s->nalloc, bytes = bytes_of(s, n, (double)s->alloc_weight);
		double live = (double)(s->nalloc - s->nfree);

		if (!names(s, f))
			continue;
		sum.samples += n;
		sum.live_samples += live;
		sum.bytes += bytes;
		sum.objects += s->large != 0 ? bytes / ((double)s->alloc_weight / n) : bytes / s->size;
		sum.live_bytes += bytes_of(s, live, (double)(s->alloc_weight - s->free_weight));
	}
	return sum;
}

/* Within six standard deviations of what n independent samples vary by. */
static int
is_near(double value, double truth, double samples)
{
	double bound = truth * 6 / sqrt(samples < 1 ? 1 : samples) + 1;

	if (fabs(value - truth) <= bound)
		return 1;
	printf("# %.0f instead of %.0f, with %.0f samples\n", value, truth, samples);
	return 0;
}

static int
expect(allocator *f, double objects, double size, double live)
{
	struct sums s = sums_of(f);

	return is_near(s.objects, objects, s.samples) & is_near(s.bytes, objects * size, s.samples) &
	    is_near(s.live_bytes, live * size, s.live_samples == 0 ? s.samples : s.live_samples);
}

/* --- what is allocated --------------------------------------------------------------------- */

/* A loop that uses one chunk again and again: only its frees tell. */
static int
one_chunk(void)
{
	for (int i = 0; i < 3000000; i++)
		for (int k = 0; k < 3; k++)
			free(allocators[k](64));
	return expect(alpha, 3e6, 64, 0) & expect(beta, 3e6, 64, 0) & expect(gamma_, 3e6, 64, 0);
}

/* A heap that is built, with some of it freed at once. */
static int
built(void)
{
	for (int i = 0; i < 800000; i++) {
		keep[i] = alpha(100);
		if (i % 2 == 0)
			free(beta(100));
		if (i % 4 == 0)
			free(keep[i]);
	}
	return expect(alpha, 8e5, 112, 6e5) & expect(beta, 4e5, 112, 0);
}

/* Small, middle and large chunks in turn; the small ones are few bytes. */
static int
mixed(void)
{
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 99999; i++)
			keep[i] = i % 3 == 0 ? alpha(16) : i % 3 == 1 ? beta(1000) : gamma_(20000);
		for (int i = 0; i < 99999; i++)
			free(keep[i]);
	}
	return expect(alpha, 333330, 16, 0) & expect(beta, 333330, 1024, 0) &
	    expect(gamma_, 333330, 20480, 0);
}

static int
large(void)
{
	for (int i = 0; i < 20000; i++) {
		free(alpha(50000));
		free(beta(1000000));
		if (i < 2000)
			keep[i] = gamma_(300000);
	}
	for (int i = 1000; i < 2000; i++)
		free(keep[i]);
	return expect(alpha, 2e4, 50000, 0) & expect(beta, 2e4, 1e6, 0) &
	    expect(gamma_, 2000, 300000, 1000);
}

static void *
short_life(void *arg)
{
	void **p = arg;

	for (int i = 0; i < 500; i++)
		p[i] = alpha(200);
	return NULL;
}

/* Threads that do little and end; what they leave is freed by another. */
static int
threads(void)
{
	pthread_t t;

	for (int i = 0; i < 1000; i++) {
		pthread_create(&t, NULL, short_life, keep + i % 2 * 500);
		pthread_join(t, NULL);
		if (i % 2 == 1)
			for (int k = 0; k < 1000; k++)
				free(keep[k]);
	}
	return expect(alpha, 5e5, 224, 0);
}

static int
everything(void)
{
	struct sums s;

	for (int i = 0; i < 30000; i++) {
		keep[i] = alpha((size_t)(i % 300));
		if (i % 3 == 0)
			keep[i] = realloc(keep[i], 5000);
		if (i % 5 == 0)
			free(keep[i]);
	}
	for (int i = 0; i < 1000; i++)
		keep[i] = gamma_(100000);
	s = sums_of(alpha);
	/* A third was moved by realloc, which freed it; of the rest a fifth was. */
	return s.samples == 30000 && s.live_samples == 16000 && sums_of(gamma_).samples == 1000 &&
	    sums_of(gamma_).live_bytes == 1e8;
}

/* Switched on while the program is in the middle of it, and off again. */
static int
switched(void)
{
	union owner_watch on = { .any = owner_watch.any };
	double before;

	for (int i = 0; i < 100000; i++)
		keep[i] = alpha(64);
	if (profile.sites != 0)
		return 0;
	on.profile_rate = 4096;
	on.session++;
	store_release(&owner_watch.any, on.any);
	/* What is on its way, one page and POKE frees at the most, is not seen. */
	for (int i = 0; i < 1000000; i++)
		free(beta(64));
	for (int i = 100000; i < 400000; i++)
		keep[i] = alpha(64);
	on.profile_rate = 0;
	store_release(&owner_watch.any, on.any);
	for (int i = 0; i < 1000000; i++)
		free(beta(64));
	before = sums_of(beta).objects;
	for (int i = 0; i < 400000; i++)
		free(keep[i]);
	return is_near(before, 1e6, 1000) && is_near(sums_of(alpha).objects, 3e5, 1000) &&
	    sums_of(alpha).live_samples == 0 && sums_of(beta).live_samples == 0;
}

/* What is in the profile is memory like any other. */
static int
ordinary(void)
{
	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)(i * 37 % 3000), alignment = (size_t)16 << i % 8;
		char *p = calloc(1, n), *q = aligned_alloc(alignment, n);

		for (size_t k = 0; k < n; k++)
			if (p[k] != 0)
				return 0;
		if ((uintptr_t)q % alignment != 0 || malloc_usable_size(q) < n)
			return 0;
		memset(q, 1, n);
		memset(p, 1, n);
		p = realloc(p, n / 2 + 1);
		if (n > 0 && (p[0] != 1 || p[n / 2] != (n / 2 < n ? 1 : p[n / 2])))
			return 0;
		free(p);
		if (i % 2 == 0)
			free(q);
	}
	return heap_check() == 0;
}

/* A child of fork has its parent's samples, and goes on by itself. */
static int
forked(void)
{
	int status;
	pid_t pid;

	for (int i = 0; i < 1000; i++)
		keep[i] = alpha(100);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 500; i++)
			free(keep[i]);
		for (int i = 0; i < 300; i++)
			keep[i] = beta(100);
		_exit(sums_of(alpha).live_samples == 500 && sums_of(beta).live_samples == 300 ? 0 : 1);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 &&
	    sums_of(alpha).live_samples == 1000 && sums_of(beta).samples == 0;
}

static const struct part {
	const char *promise;
	const char *options;
	int (*run)(void);
} parts[] = {
	{ "a loop that uses one chunk", "B", one_chunk },
	{ "the same with many samples", "B4000", one_chunk },
	{ "a heap that is built", "B4000", built },
	{ "chunks of all sizes in turn", "B100000", mixed },
	{ "the same with more samples than allocations", "B1000", mixed },
	{ "large allocations", "B", large },
	{ "large allocations, many samples", "B20000", large },
	{ "threads that do little, freed by others", "B4000", threads },
	{ "everything is counted exactly", "B1", everything },
	{ "everything, by the slow paths alone", "B1W50", ordinary },
	{ "the rate does not disturb guarded allocations", "B4000W1000", built },
	{ "switched on and off at run time", "b", switched },
	{ "zeroed, aligned and resized", "B100", ordinary },
	{ "zeroed, aligned and resized, everything", "B1", ordinary },
	{ "a child of fork", "B1", forked },
};
#define PART_COUNT (sizeof(parts) / sizeof(parts[0]))

int
main(int argc, char **argv)
{
	char number[16];
	int status;

	if (argc > 1)
		return !parts[atoi(argv[1])].run();
	for (size_t i = 0; i < PART_COUNT; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			snprintf(number, sizeof(number), "%zu", i);
			setenv("MALLOC_OPTIONS", parts[i].options, 1);
			execv("/proc/self/exe", (char *[]){ argv[0], number, NULL });
			_exit(9);
		}
		if (waitpid(pid, &status, 0) != pid)
			status = -1;
		if (status != 0)
			printf("# status %#x, options %s\n", (unsigned)status, parts[i].options);
		promise(status == 0, parts[i].promise);
	}
	return unit_done();
}
