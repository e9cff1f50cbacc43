/* Runs that a thread keeps for its next large allocations: how many, for whom, and until when. */
#include "chunk/kept.h"
#include "heap/heap.h"
#include "large/large.h"
#include "os/lock.h"
#include "page/page_alloc.h"
#include "unit.h"

#include <sys/wait.h>
#include <unistd.h>

#define PAGES(n)  ((n)*malloc_pagesize)
#define DECAY_US 1200000

static void *theirs;

static uintptr_t
word_of(const void *p)
{
	return load_relaxed(&page_dir_find(p)->owner);
}

/* How many pages the thread keeps. */
static size_t
kept_npages(void)
{
	size_t n = 0;

	for (unsigned i = 0; i < KEPT_MAX; i++) {
		const struct pginfo *pg = owner_self->kept[i];

		n += pg != NULL && pg->owner == MALLOC_RUN_KEPT ? pg->large.npages : 0;
	}
	return n;
}

static void
free_all(void **p, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(p[i]);
}

static void
take_all(void **p, size_t count, size_t npages)
{
	for (size_t i = 0; i < count; i++)
		p[i] = malloc(PAGES(npages));
}

static void
same_again(void)
{
	void *p = malloc(PAGES(2)), *q, *r;
	size_t used = page_layer.nused;

	free(p);
	promise(word_of(p) == MALLOC_RUN_KEPT && page_layer.nused == used,
	    "what a thread frees it keeps, without the page layer");
	q = malloc(PAGES(3));
	r = malloc(PAGES(1) + 1);
	promise(q != p && r == p, "it is used for the same length again, and for no other");
	promise(page_dir_find(r)->large.nbytes == PAGES(1) + 1, "and says what was asked for");
	free(q);
	free(r);
	q = calloc(1, PAGES(2));
	promise(q == p, "calloc takes it, too");
	((char *)q)[5] = 1;
	free(q);
	q = calloc(1, PAGES(2));
	promise(q == p && ((char *)q)[5] == 0, "and clears it");
	free(q);
}

static void
bounded(void)
{
	/* Few enough for no surplus: much free memory is the page layer's. */
	void *p[60];
	size_t used;

	(void)heap_trim();
	promise(kept_npages() == 0, "a trim gives all of it back");
	used = page_layer.nused;
	take_all(p, 30, 3);
	free_all(p, 30);
	promise(kept_npages() > 0 && kept_npages() <= KEPT_NPAGES &&
	    page_layer.nused <= used + KEPT_NPAGES, "a thread keeps no more than so many pages");
	take_all(p, 60, 1);
	free_all(p, 60);
	promise(kept_npages() <= KEPT_NPAGES, "of any lengths together");
	p[0] = malloc(PAGES(1));
	promise(page_dir_find(p[0])->large.npages == 1 && kept_npages() == KEPT_MAX - 1,
	    "and when lengths change, those of today");
	free(p[0]);
	p[0] = malloc(PAGES(KEPT_LENGTH_MAX + 1));
	free(p[0]);
	promise(word_of(p[0]) != MALLOC_RUN_KEPT, "what is longer goes back");
}

static void *
free_ours(void *p)
{
	free(malloc(1));
	free(p);
	return NULL;
}

/* Allocates and frees one, and ends. */
static void *
keep_theirs(void *arg)
{
	(void)arg;
	theirs = malloc(PAGES(3));
	free(theirs);
	return NULL;
}

static void
others(void)
{
	void *p = malloc(PAGES(4));
	int status;
	pid_t pid;

	in_thread(free_ours, p);
	promise(word_of(p) == MALLOC_RUN_KEPT && kept_npages() <= KEPT_NPAGES,
	    "the thread that frees keeps, whoever allocated");
	(void)heap_trim();
	promise(word_of(p) != MALLOC_RUN_KEPT, "another thread's trim gives that back");

	in_thread(keep_theirs, NULL);
	promise(word_of(theirs) == MALLOC_RUN_KEPT, "when the thread ends it is left for the next");
	usleep(DECAY_US);
	p = malloc(PAGES(1));
	free(p);
	promise(word_of(theirs) != MALLOC_RUN_KEPT, "what was kept for long goes back");

	in_thread(keep_theirs, NULL);
	pid = fork();
	if (pid == 0) {
		(void)heap_trim();
		_exit(word_of(theirs) == MALLOC_RUN_KEPT || page_check(unit_complain) != 0);
	}
	(void)waitpid(pid, &status, 0);
	promise(pid > 0 && status == 0, "a child gives back what threads kept that it does not have");
	(void)heap_trim();
}

/* A hint that is out of date: the run was given back, and is kept by another thread, shorter. */
static void
stale(void)
{
	void *p = malloc(PAGES(4)), *q;
	struct pginfo *pg = page_dir_find(p);

	free(p);
	promise(kept_release(owner_self) && word_of(p) != MALLOC_RUN_KEPT, "it is given back");
	q = malloc(PAGES(2));
	if (q == p)
		in_thread(free_ours, q);
	promise(q == p && pg->owner == MALLOC_RUN_KEPT && kept_take(owner_self, 4) == NULL,
	    "a run that has become shorter meanwhile is not taken for what it was");
	promise(page_check(unit_complain) == 0, "and nothing is lost");
}

struct circle {
	void *slot[16]; /* atomic */
};

/* Threads swap blocks of all lengths, and now and then one trims. */
static void *
swap(void *arg)
{
	struct circle *c = arg;
	uint64_t x = (uintptr_t)&x;

	for (int i = 0; i < 20000; i++) {
		void *p;

		x = x * 6364136223846793005U + 1442695040888963407U;
		p = malloc(PAGES(1 + (x >> 60) / 2));
		if (p == NULL)
			return c;
		*(uint64_t *)p = x;
		p = __atomic_exchange_n(&c->slot[x >> 40 & 15], p, __ATOMIC_ACQ_REL);
		free(p);
		if ((x >> 33) % 1024 == 0)
			(void)heap_trim();
	}
	return NULL;
}

static void
together(void)
{
	static struct circle c;
	pthread_t t[4];
	void *broken = NULL;

	for (int i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, swap, &c) != 0)
			abort();
	for (int i = 0; i < 4; i++) {
		void *r;

		(void)pthread_join(t[i], &r);
		broken = r != NULL ? r : broken;
	}
	for (int i = 0; i < 16; i++)
		free(c.slot[i]);
	promise(broken == NULL && page_check(unit_complain) == 0 && heap_check() == 0,
	    "threads that free each other's leave a whole heap");
	(void)heap_trim();
	promise(page_check(unit_complain) == 0, "also after a trim");
}

/* The page lock was waited for, or a thread thinks so. */
static void
crowd(void)
{
	lock_nwaits[LOCK_PAGE]++;
}

int
main(void)
{
	void *p;

	free(malloc(1));
	p = malloc(PAGES(2));
	free(p);
	promise(word_of(p) != MALLOC_RUN_KEPT, "where no threads meet nothing is kept");
	crowd();
	same_again();
	bounded();
	others();
	stale();
	together();
	return unit_done();
}
