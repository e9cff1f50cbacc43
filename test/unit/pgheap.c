/* The heap of pages against a set: the root is the lowest, any page can be removed. */
#include "chunk/pgheap.h"
#include "unit.h"

#define N 300

static struct pginfo pages[N];
static bool in[N], seen[N];

static void
visit(struct pginfo *pg, void *arg)
{
	size_t *twice = arg;

	*twice += seen[pg - pages];
	seen[pg - pages] = true;
}

int
main(void)
{
	struct pginfo *root = NULL;
	int lowest = 1, walked = 1;

	for (int step = 0; step < 30000; step++) {
		size_t at = unit_random() % N, first = 0, twice = 0, count = 0, n;

		if (step % 3 == 0 && root != NULL)
			at = (size_t)(root - pages);
		if (in[at])
			pgheap_remove(&root, &pages[at]);
		else
			pgheap_insert(&root, &pages[at]);
		in[at] = !in[at];
		while (first < N && !in[first])
			first++;
		lowest &= root == (first == N ? NULL : &pages[first]);
		if (step % 50 != 0)
			continue;
		for (size_t i = 0; i < N; i++)
			seen[i] = false;
		n = pgheap_walk(root, visit, &twice);
		for (size_t i = 0; i < N; i++) {
			count += in[i];
			walked &= in[i] == seen[i];
		}
		walked &= twice == 0 && n == count;
	}
	promise(lowest, "the root is the lowest page after any insertion and removal");
	promise(walked, "a walk visits each page once");
	return unit_done();
}
