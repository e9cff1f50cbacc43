/* Owners and threads: reuse, adoption, destructors that allocate, fork. */
#include "chunk/owner.h"
#include "heap/heap.h"
#include "heap/inspect.h"
#include "unit.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_key_t key;
static void *late;

static void
destructor(void *value)
{
	static __thread int rounds;

	free(value);
	/* Comes back until glibc calls no more, so the last rounds are past the owner's end. */
	if (rounds++ < 4)
		pthread_setspecific(key, memset(malloc(200), 1, 200));
	late = malloc(1000);
	free(late);
}

static void *
brief(void *arg)
{
	pthread_setspecific(key, malloc(100));
	free(malloc(3000));
	return arg;
}

static void *
leave_behind(void *arg)
{
	void **p = arg;

	for (size_t i = 0; i < 1000; i++)
		p[i] = malloc(64);
	return NULL;
}

static unsigned
owners(void)
{
	struct heap_figures f;

	inspect(&f);
	return f.owners;
}

static void
run(void *(*work)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, work, arg) != 0)
		abort();
	pthread_join(t, NULL);
}

int
main(void)
{
	void *p[1000];
	unsigned before;
	struct pginfo *pg;
	int status = -1;
	pid_t child;

	pthread_key_create(&key, destructor);
	run(brief, NULL);
	before = owners();
	for (int i = 0; i < 10000; i++)
		run(brief, NULL);
	promise(owners() == before, "10,000 threads one after another share what one leaves behind");
	promise(heap_check() == 0, "the heap is whole after destructors that allocate");
	run(leave_behind, p);
	pg = page_dir_find(p[0]);
	promise(owner_of_word(pg->owner) != owner_self, "chunks in use stay with an ended thread");
	free(p[0]);
	promise(owner_of_word(pg->owner) == owner_self, "who frees into its page makes it his own");
	for (int i = 1; i < 1000; i++)
		free(p[i]);
	promise(heap_check() == 0, "the heap is whole after adoption");
	child = fork();
	if (child == 0) {
		for (int i = 0; i < 1000; i++)
			free(malloc((size_t)i * 50));
		_exit(heap_check() != 0);
	}
	promise(child > 0 && waitpid(child, &status, 0) == child && status == 0,
	    "a forked child allocates and its heap is whole");
	return unit_done();
}
