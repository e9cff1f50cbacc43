/*
 * Every kernel call fails once, and every one from some on: requests fail with ENOMEM, nothing
 * that was allocated is lost, the heap is whole, and works again when the kernel does.
 */
#include "chunk/owner.h"
#include "heap/heap.h"
#include "os/vm.h"
#include "phkmalloc.h"
#include "unit.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT 400

static void *kept[KEPT];
static size_t size[KEPT];
static int lost;

static void
keep(size_t i, void *p, size_t n)
{
	if (p == NULL) {
		lost |= errno != ENOMEM;
		return;
	}
	free(kept[i]);
	kept[i] = memset(p, (int)i | 1, n);
	size[i] = n;
}

static int
whole(size_t i)
{
	unsigned char *p = kept[i];

	return p == NULL || size[i] == 0 ||
	    (p[0] == (unsigned char)(i | 1) && p[size[i] - 1] == (unsigned char)(i | 1));
}

static void
resize(size_t i, size_t n)
{
	void *p;

	if (kept[i] == NULL)
		return;
	errno = 0;
	p = realloc(kept[i], n);
	if (p == NULL) {
		lost |= errno != ENOMEM || !whole(i);
		return;
	}
	kept[i] = memset(p, (int)i | 1, n);
	size[i] = n;
}

/* Uses every kind of request; sizes from a byte to some MiB. */
static void *
script(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	unit_seed = seed;
	for (int step = 0; step < 600; step++) {
		size_t i = unit_random() % KEPT;
		size_t n = 1 + unit_random() % ((size_t)1 << (4 + unit_random() % 18));

		errno = 0;
		switch (unit_random() % 8) {
		case 0: keep(i, calloc(1, n), n); break;
		case 1: keep(i, aligned_alloc(4096, n), n); break;
		case 2: keep(i, memalign(1 << 17, n), n); break;
		case 3: resize(i, n); break;
		case 4: free(kept[i]); kept[i] = NULL; break;
		case 5: keep(i, malloc_conceal(n), n); break;
		default: keep(i, malloc(n), n); break;
		}
		if (step % 200 == 199)
			malloc_trim(0);
	}
	return NULL;
}

/* In a child: fails calls from the nth on; its exit status tells what went wrong. */
static int
run(unsigned long nth, bool all)
{
	pthread_t t;
	int wrong = 0;
	unsigned long calls;

	vm_calls = 0;
	vm_fail_all = all;
	vm_fail_countdown = nth;
	script((void *)7);
	if (pthread_create(&t, NULL, script, (void *)8) == 0)
		pthread_join(t, NULL);
	calls = vm_calls;
	vm_fail_countdown = 0;
	vm_fail_all = false;
	wrong |= lost;
	wrong |= heap_check() != 0 ? 2 : 0;
	for (size_t i = 0; i < KEPT; i++)
		wrong |= whole(i) ? 0 : 4;
	for (size_t i = 0; i < KEPT; i++) {
		free(kept[i]);
		kept[i] = NULL;
	}
	for (size_t i = 0; i < KEPT; i++)
		wrong |= (kept[i] = malloc(100 * i)) == NULL ? 8 : 0;
	for (size_t i = 0; i < KEPT; i++)
		free(kept[i]);
	wrong |= heap_check() != 0 ? 16 : 0;
	/* 64: fewer calls than nth, so nothing was injected. */
	return wrong | (calls < nth ? 64 : 0);
}

static int
every_call(bool all)
{
	for (unsigned long nth = 1; nth < 5000; nth++) {
		int status;
		pid_t child = fork();

		if (child == 0) {
			alarm(20);
			_exit(run(nth, all));
		}
		if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		    (WEXITSTATUS(status) & ~64) != 0) {
			printf("# call %lu: status %x\n", nth, status);
			return 0;
		}
		if ((WEXITSTATUS(status) & 64) != 0) {
			printf("# %lu calls\n", nth - 1);
			return nth > 5;
		}
	}
	printf("# no end\n");
	return 0;
}

int
main(void)
{
	promise(every_call(false), "any one kernel call may fail");
	promise(every_call(true), "all kernel calls may fail from any one on");
	return unit_done();
}
