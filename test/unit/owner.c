/* Owners and threads: reuse, adoption, destructors that allocate, fork. */
#include "chunk/chunk.h"
#include "heap/heap.h"
#include "heap/inspect.h"
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_key_t key;
static void *late;

/* A signal may end the wait early. */
static void
wait_for(sem_t *sem)
{
	while (sem_wait(sem) != 0)
		;
}

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

#define LOST_COUNT 20000

static void *lost_chunks[LOST_COUNT];
static sem_t lost_ready, lost_over;

/* Holds every fourth of what it allocated, and stays. */
static void *
stay(void *arg)
{
	for (size_t i = 0; i < LOST_COUNT; i++)
		lost_chunks[i] = malloc(64);
	for (size_t i = 0; i < LOST_COUNT; i++)
		if (i % 4 != 0)
			free(lost_chunks[i]);
	sem_post(&lost_ready);
	wait_for(&lost_over);
	return arg;
}

/* Pages of chunks whose thread was not copied. */
static size_t
lost_pages(void)
{
	size_t n = 0;

	for (struct pginfo *pg = arenas[0].page_dir;
	    pg < arenas[0].page_dir + (arenas[0].limit >> malloc_pageshift); pg++)
		n += owner_is(pg->owner) && owner_of_word(pg->owner)->state == OWNER_LOST;
	return n;
}

/* In a child: free chunks of a thread that is not here come back, and what is freed too. */
static int
find_lost(void **unused)
{
	size_t before = lost_pages(), again = 0;
	bool mine;

	(void)unused;
	if (before < LOST_COUNT * 64 / malloc_pagesize)
		return 2;
	free(lost_chunks[0]);
	mine = owner_of_word(page_dir_find(lost_chunks[0])->owner) == owner_self;
	for (size_t i = 0; i < LOST_COUNT / 2; i++) {
		const char *p = malloc(64);

		for (size_t k = 0; k < LOST_COUNT; k += 100)
			if (page_dir_find(p) == page_dir_find(lost_chunks[k])) {
				again++;
				break;
			}
	}
	if (!mine || again < LOST_COUNT / 2 - 2000 || heap_check() != 0)
		return 3;
	for (size_t i = 4; i < LOST_COUNT; i += 4)
		free(lost_chunks[i]);
	heap_trim();
	return lost_pages() == 0 && heap_check() == 0 ? 0 : 4;
}

/* In a child: chunks whose bit a thread set that is not here and did not come to tell the owner. */
static int
find_untold(void **untold)
{
	struct pginfo *pg[2];
	size_t i[2], found = 0;

	for (size_t k = 0; k < 2; k++) {
		pg[k] = page_dir_find(untold[k]);
		(void)chunk_index(pg[k], untold[k], &i[k]);
		chunk_remote(pg[k])[i[k] / 64] |= (uint64_t)1 << (i[k] % 64);
	}
	if (owner_of_word(pg[0]->owner) != owner_self ||
	    owner_of_word(pg[1]->owner)->state != OWNER_PARKED || heap_check() != 0)
		return 2;
	/* Until there is nothing more to be found. */
	for (size_t k = 0; k < 3 * LOST_COUNT; k++)
		(void)malloc(64);
	heap_trim();
	for (size_t k = 0; k < 2; k++)
		found += owner_is(pg[k]->owner) && (pg[k]->bits[i[k] / 64] >> (i[k] % 64) & 1) != 0 &&
		    chunk_remote(pg[k])[i[k] / 64] == 0;
	return !owner_lost && found == 2 && heap_check() == 0 ? 0 : 3;
}

struct visit {
	int cpu;
	struct owner *owner;
	sem_t here, go;
};

/* Has an owner on one processor, and gives it up when told to. */
static void *
visit(void *arg)
{
	struct visit *v = arg;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)v->cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) != 0)
		abort();
	free(malloc(64));
	v->owner = owner_self;
	sem_post(&v->here);
	wait_for(&v->go);
	return NULL;
}

/* A thread on each of two processors; the one on the first ends before the other. */
static void
near(void)
{
	struct visit v[3];
	pthread_t t[3];
	cpu_set_t may;
	int n = 0;

	if (sched_getaffinity(0, sizeof(may), &may) != 0 || CPU_COUNT(&may) < 2 ||
	    sched_setaffinity(0, sizeof(may), &may) != 0) {
		printf("# threads cannot be put on two processors here\n");
		return;
	}
	for (int cpu = 0; n < 2; cpu++)
		if (CPU_ISSET((size_t)cpu, &may))
			v[n++].cpu = cpu;
	v[2].cpu = v[0].cpu;
	for (n = 0; n < 3; n++) {
		sem_init(&v[n].here, 0, 0);
		sem_init(&v[n].go, 0, 0);
		if (n == 2)
			for (int i = 0; i < 2; i++) {
				sem_post(&v[i].go);
				pthread_join(t[i], NULL);
			}
		if (pthread_create(&t[n], NULL, visit, &v[n]) != 0)
			abort();
		wait_for(&v[n].here);
	}
	sem_post(&v[2].go);
	pthread_join(t[2], NULL);
	promise(v[0].owner != v[1].owner, "threads that live at the same time share nothing");
	promise(v[2].owner == v[0].owner, "a new one takes over what was used on its processor");
}

static unsigned
owners(void)
{
	struct heap_figures f;

	inspect(&f);
	return f.owners;
}

/* A forked child finds what it should, and exits with 0 then. */
static void
in_child(int (*find)(void **), void **arg, const char *what)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(find(arg));
	promise(child > 0 && waitpid(child, &status, 0) == child && status == 0, what);
	if (status != 0)
		printf("# status %#x\n", (unsigned)status);
}

static void
forks(void)
{
	void *ended[1000], *untold[2];
	pthread_t t;

	sem_init(&lost_ready, 0, 0);
	sem_init(&lost_over, 0, 0);
	if (pthread_create(&t, NULL, stay, NULL) != 0)
		abort();
	wait_for(&lost_ready);
	in_child(find_lost, NULL, "a forked child has the memory of threads that were not copied");
	in_thread(leave_behind, ended);
	untold[0] = malloc(5000);
	untold[1] = ended[500];
	in_child(find_untold, untold, "and what they were about to say was free");
	sem_post(&lost_over);
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
	in_thread(brief, NULL);
	before = owners();
	for (int i = 0; i < 10000; i++)
		in_thread(brief, NULL);
	promise(owners() == before, "10,000 threads one after another share what one leaves behind");
	promise(heap_check() == 0, "the heap is whole after destructors that allocate");
	in_thread(leave_behind, p);
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
	near();
	forks();
	return unit_done();
}
