/* The tree of free runs against an array of lengths: insert, remove, first fit, neighbours. */
#include "page/pgfree.h"
#include "unit.h"

#include <string.h>

#define N 512

static struct pginfo entries[N];
static uint32_t model[N]; /* length of the run that starts here, 0 when none does */

static struct pginfo *
model_first_fit(size_t npages)
{
	for (size_t i = 0; i < N; i++)
		if (model[i] >= npages)
			return &entries[i];
	return NULL;
}

static struct pginfo *
model_near(size_t at, int step)
{
	for (long i = (long)at + step; i >= 0 && i < N; i += step)
		if (model[i] != 0)
			return &entries[i];
	return NULL;
}

/* Whether of n runs that fit each is chosen at times, and none much more than half of the times. */
static int
chosen_fairly(size_t n)
{
	struct pgfree_tree tree = {NULL};
	size_t times[8] = {0};

	memset(entries, 0, sizeof(entries));
	for (size_t i = 0; i < n; i++) {
		entries[i * 7].free.npages = 5;
		pgfree_insert(&tree, &entries[i * 7]);
	}
	for (int i = 0; i < 4096; i++)
		times[(size_t)(pgfree_random_fit(&tree, 5, unit_random()) - entries) / 7]++;
	for (size_t i = 0; i < n; i++)
		if (times[i] == 0 || times[i] > 4096 * 5 / 8)
			return 0;
	return 1;
}

int
main(void)
{
	struct pgfree_tree tree = {NULL};
	int fair = 1, fits = 1, near = 1, random_fits = 1;

	printf("# seed %llu\n", (unsigned long long)unit_seed);
	for (int step = 0; step < 20000; step++) {
		size_t at = unit_random() % N, want = 1 + unit_random() % 70;

		if (model[at] == 0) {
			memset(&entries[at], 0, sizeof(entries[at]));
			entries[at].free.npages = model[at] = (uint32_t)(1 + unit_random() % 64);
			pgfree_insert(&tree, &entries[at]);
		} else {
			pgfree_remove(&tree, &entries[at]);
			model[at] = 0;
		}
		struct pginfo *any = pgfree_random_fit(&tree, want, unit_random());

		fits &= pgfree_first_fit(&tree, want) == model_first_fit(want);
		random_fits &= (any == NULL) == (model_first_fit(want) == NULL) &&
		    (any == NULL || any->free.npages >= want);
		near &= pgfree_before(&tree, &entries[at]) == model_near(at, -1);
		near &= pgfree_after(&tree, &entries[at]) == model_near(at, 1);
	}
	for (size_t n = 2; n <= 8; n++)
		fair &= chosen_fairly(n);
	promise(fair, "of the runs that fit a random choice takes none most of the time");
	promise(fits, "first fit finds the lowest run that is long enough");
	promise(random_fits, "a random fit is long enough, and found when there is one");
	promise(near, "the nearest runs below and above are found");
	return unit_done();
}
