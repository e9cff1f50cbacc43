/*
 * frag: a long run whose size mix changes from phase to phase while survivors of
 * every earlier phase stay; then all but a tenth are freed at random. Prints what
 * is resident then, after idling and after a trim, and what is really live.
 *
 * usage: frag [operations [megabytes-live]]
 */
#include "common.h"

static void **live;
static size_t count, bytes;

static void
drop(uint64_t *rng)
{
	size_t i = rng_below(rng, count);

	bytes -= block_size(live[i]);
	block_free(live[i]);
	live[i] = live[--count];
}

int
main(int argc, char **argv)
{
	/* the middle of each phase's sizes, none like the one before it */
	static const size_t middle[] = { 24, 100, 400, 1500, 48, 6000, 200, 32, 20000,
		64, 800, 16, 3000, 120, 40, 10000, 300, 80, 2000, 28 };
	size_t phases = sizeof(middle) / sizeof(middle[0]);
	uint64_t todo = bench_arg(argc, argv, 1, 5000000);
	size_t budget = bench_arg(argc, argv, 2, 60) << 20;
	uint64_t rng = rng_seed(12);

	live = bench_map(budget);
	for (size_t phase = 0; phase < phases; phase++) {
		for (uint64_t i = 0; i < todo / phases; i++) {
			size_t n = rng_between(&rng, middle[phase] / 2 + 4,
			    middle[phase] * 3 / 2);

			while (bytes + n > budget)
				drop(&rng);
			live[count++] = block_new(n);
			bytes += n;
		}
	}
	for (size_t keep = count / 10; count > keep; )
		drop(&rng);
	bench_print("ops", todo);
	madvise(live + (count | 511) + 1, budget - ((count | 511) + 1) * sizeof(*live),
	    MADV_DONTNEED);
	bench_print_rss_after(bytes);
	return 0;
}
