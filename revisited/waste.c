/*
 * waste: memory taken for memory asked. Fills TOTAL bytes with objects of MIN to MAX bytes, all
 * written; frees nine tenths of them at random; does little for REST milliseconds, in which memory
 * may be given back; calls malloc_trim, of those that have one; then fills up again with objects
 * twice as large. After each it prints the bytes asked for that are live, the bytes of anonymous
 * memory that came since the start, and of writable address space in all.
 *
 * usage: waste MIN MAX uniform|log TOTAL REST|full
 *
 * full: ends when it has filled them.
 *
 * log: every doubling between MIN and MAX has as many objects as the next, as real programs about
 * have it. The tables are the program's own and are not counted.
 */
#include "common.h"

struct object {
	void *p;
	size_t nbytes;
};

static size_t memory0, own_nbytes;

static void
report(const char *phase, size_t live)
{
	say(1, "%s_live=%zu\n%s_memory=%zu\n%s_space=%zu\n", phase, live,
	    phase, anonymous_nbytes() - memory0, phase, writable_nbytes() - own_nbytes);
}

/* A program that has little to do: some calls, a hundred times a second. */
static void
rest(size_t milliseconds)
{
	const struct timespec pace = { 0, 10000000 };

	for (size_t i = 0; i < milliseconds; i += 10) {
		for (size_t j = 0; j < 10; j++)
			free(object_new(100));
		nanosleep(&pace, NULL);
	}
}

/* The one of the allocator that is measured, if it has one: not libc's of a heap unused. */
static void
trim(void)
{
	int (*fn)(size_t) = NULL;
	void *(*take)(size_t) = malloc;
	Dl_info theirs, ours;

	*(void **)&fn = dlsym(RTLD_DEFAULT, "malloc_trim");
	if (fn != NULL && dladdr(*(void **)&fn, &theirs) != 0 &&
	    dladdr(*(void **)&take, &ours) != 0 && theirs.dli_fbase == ours.dli_fbase)
		fn(0);
}

static size_t
size_of_next(uint64_t *rng, size_t min, size_t max, bool is_log)
{
	if (is_log) {
		size_t low = min, doublings = 0;

		while (min << (doublings + 1) <= max)
			doublings++;
		low <<= rng_between(rng, 0, doublings - (doublings > 0));
		return rng_between(rng, low, low * 2 < max ? low * 2 - 1 : max);
	}
	return rng_between(rng, min, max);
}

int
main(int argc, char **argv)
{
	size_t min = argument(argc, argv, 1), max = argument(argc, argv, 2);
	size_t total = argument(argc, argv, 4), live = 0, n = 0, kept = 0;
	bool is_log = strcmp(argv[3], "log") == 0;
	size_t places = total / min + total / 10 / min + 16;
	uint64_t rng = 1996;

	tell_library();
	struct object *o = locked_new(places * sizeof(*o));
	memory0 = anonymous_nbytes();
	own_nbytes = places * sizeof(*o);

	for (; live < total; n++) {
		o[n].nbytes = size_of_next(&rng, min, max, is_log);
		o[n].p = object_new(o[n].nbytes);
		live += o[n].nbytes;
	}
	report("full", live);
	if (argc > 5 && strcmp(argv[5], "full") == 0)
		return 0;

	for (size_t i = n - 1; i > 0; i--) {
		size_t j = rng_between(&rng, 0, i);
		struct object t = o[i];

		o[i] = o[j];
		o[j] = t;
	}
	for (kept = n / 10; n > kept; n--) {
		free(o[n - 1].p);
		live -= o[n - 1].nbytes;
	}
	report("tenth", live);
	rest(argument(argc, argv, 5));
	report("rest", live);
	trim();
	report("trim", live);

	for (; live < total; n++) {
		o[n].nbytes = 2 * size_of_next(&rng, min, max, is_log);
		o[n].p = object_new(o[n].nbytes);
		live += o[n].nbytes;
	}
	report("again", live);
	return 0;
}
