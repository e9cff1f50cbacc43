/* Frees by other threads, double frees across threads, pages of ended threads. */
#include "chunk/chunk.h"
#include "heap/heap.h"
#include "heap/inspect.h"
#include "page/page_alloc.h"
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define N 20000

static void *p[N];
static enum ptr_fault fault;

static void *
free_all(void *arg)
{
	for (size_t i = (size_t)arg; i < N; i += 2)
		free(p[i]);
	return NULL;
}

static void *
free_twice(void *arg)
{
	struct pginfo *pg = page_dir_find(arg);

	fault = chunk_free_slow(owner_self, pg, arg);
	if (fault == PTR_OK)
		fault = chunk_free_slow(owner_self, pg, arg);
	return NULL;
}

static void *
free_once(void *arg)
{
	fault = chunk_free_slow(owner_self, page_dir_find(arg), arg);
	return NULL;
}

static void *
allocate_all(void *arg)
{
	for (size_t i = 0; i < N; i++)
		p[i] = malloc(16 + i % 500);
	return arg;
}

/* As if another thread had freed a chunk in the moment that its owner did. */
static bool
freed_at_once(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		char *q = malloc(48);
		struct pginfo *pg = page_dir_find(q);
		size_t i = 0;

		(void)chunk_index(pg, q, &i);
		free(q);
		chunk_remote(pg)[i / 64] |= (uint64_t)1 << (i % 64);
		pg->owner |= PGINFO_PENDING;
		pg->chunk.inbox_next = NULL;
		owner_self->inbox[pg->chunk.class_no] = pg;
		chunk_drain(owner_self);
		_exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	    WTERMSIG(status) == SIGABRT;
}

static size_t
in_use(void)
{
	struct heap_figures f;

	inspect(&f);
	return f.live_nbytes;
}

int
main(void)
{
	size_t before, used;
	pthread_t t[2];
	void *q;

	allocate_all(NULL);
	for (size_t i = 0; i < N; i++)
		free(p[i]);
	before = in_use();
	allocate_all(NULL);
	for (size_t i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, free_all, (void *)i);
	for (size_t i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	promise(in_use() <= before + 4096, "chunks freed by other threads are not in use any more");
	promise(heap_check() == 0, "the heap is whole with remote frees not yet collected");
	allocate_all(NULL);
	promise(heap_check() == 0, "the heap is whole after they were collected");
	for (size_t i = 0; i < N; i++)
		free(p[i]);
	q = malloc(64);
	in_thread(free_twice, q);
	promise(fault == PTR_FREE_CHUNK, "a second free by the same other thread is found");
	q = malloc(64);
	in_thread(free_once, q);
	promise(fault == PTR_OK && chunk_free_slow(owner_self, page_dir_find(q), q) == PTR_FREE_CHUNK,
	    "a second free by the owner is found before the first is collected");
	q = malloc(64);
	free(q);
	in_thread(free_once, q);
	promise(fault == PTR_FREE_CHUNK, "a second free by another thread is found");
	heap_trim();
	used = page_layer.nused;
	in_thread(allocate_all, NULL);
	promise(heap_check() == 0, "the heap is whole when a thread has ended with chunks in use");
	for (size_t i = 0; i < N; i++)
		free(p[i]);
	heap_trim();
	promise(page_layer.nused <= used + 45, "pages of an ended thread go back when they are empty");
	promise(heap_check() == 0, "the heap is whole after that");
	promise(freed_at_once(), "two frees in one moment are found when they are collected");
	return unit_done();
}
