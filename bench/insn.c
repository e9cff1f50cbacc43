/*
 * insn: the subject of the instruction counts. It runs one case of the fast paths
 * again and again under callgrind, which collects only between open_gate() and
 * shut_gate(). With a third argument the functions called are empty ones: what is
 * counted then is what the gates and the call itself cost, to be taken off.
 *
 * usage: insn [case count [empty]]		without arguments: the cases and their shapes
 *
 * Callgrind runs one thread at a time; the barrier orders the remote cases.
 */
#include "common.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define GATE CALLGRIND_TOGGLE_COLLECT
#else
#define GATE bench_die("built without valgrind's header: install valgrind, then rebuild")
#endif

enum { LIVE = 512, RING = 32, WARM = 3000, REMOTE_WARM = 64 };

/* C++'s operators new and delete, the last with the size of the object. */
void *_Znwm(size_t);
void _ZdlPv(void *);
void _ZdlPvm(void *, size_t);

enum shape { ALLOC, ALLOC2, FREE, FREE2, RESIZE };

struct test {
	const char *name;
	enum shape shape;
	int remote;
	size_t size, other;	/* `other`: calloc's count, the alignment, the new size */
	void *(*alloc2)(size_t, size_t);
	int operators;		/* in place of malloc and free */
};

static const char *const shape_name[] = { "alloc", "alloc2", "free", "free2", "resize" };

static const struct test tests[] = {
	{ "malloc 16", ALLOC, 0, 16, 0, NULL, 0 },
	{ "malloc 64", ALLOC, 0, 64, 0, NULL, 0 },
	{ "malloc 512", ALLOC, 0, 512, 0, NULL, 0 },
	{ "malloc 4000", ALLOC, 0, 4000, 0, NULL, 0 },
	{ "malloc 100000", ALLOC, 0, 100000, 0, NULL, 0 },
	{ "free 16", FREE, 0, 16, 0, NULL, 0 },
	{ "free 64", FREE, 0, 64, 0, NULL, 0 },
	{ "free 512", FREE, 0, 512, 0, NULL, 0 },
	{ "free 4000", FREE, 0, 4000, 0, NULL, 0 },
	{ "free 100000", FREE, 0, 100000, 0, NULL, 0 },
	{ "calloc 64", ALLOC2, 0, 64, 1, calloc, 0 },
	{ "aligned_alloc 192 at 64", ALLOC2, 0, 192, 64, aligned_alloc, 0 },
	{ "realloc 60 to 62", RESIZE, 0, 60, 62, NULL, 0 },
	{ "realloc 64 to 128", RESIZE, 0, 64, 128, NULL, 0 },
	{ "new 64", ALLOC, 0, 64, 0, NULL, 1 },
	{ "delete 64", FREE, 0, 64, 0, NULL, 1 },
	{ "delete 64, with its size", FREE2, 0, 64, 0, NULL, 1 },
	{ "free 64, remote", FREE, 1, 64, 0, NULL, 0 },
	{ "malloc 64, after remote", ALLOC, 1, 64, 0, NULL, 0 },
};

static void *no_alloc(size_t n) { (void)n; return NULL; }
static void *no_alloc2(size_t n, size_t m) { (void)n; (void)m; return NULL; }
static void no_free(void *p) { (void)p; }
static void no_free2(void *p, size_t n) { (void)p; (void)n; }
static void *no_resize(void *p, size_t n) { (void)n; return p; }

/* The gated calls; volatile, so that the compiler knows nothing of what they do. */
static void *(*volatile gate_alloc)(size_t) = malloc;
static void *(*volatile gate_alloc2)(size_t, size_t);
static void (*volatile gate_free)(void *) = free;
static void (*volatile gate_free2)(void *, size_t) = _ZdlPvm;
static void *(*volatile gate_resize)(void *, size_t) = realloc;

static pthread_barrier_t barrier;
static void **given;
static size_t gives;
static const struct test *test;

__attribute__((noinline)) static void open_gate(void) { GATE; }
__attribute__((noinline)) static void shut_gate(void) { GATE; }

static void *
gated_alloc(void)
{
	void *p;

	if (test->shape == ALLOC2) {
		open_gate();
		p = gate_alloc2(test->other, test->size);
		shut_gate();
	} else {
		open_gate();
		p = gate_alloc(test->size);
		shut_gate();
	}
	return p;
}

static void
gated_free(void *p)
{
	if (test->shape == FREE2) {
		open_gate();
		gate_free2(p, test->size);
		shut_gate();
	} else {
		open_gate();
		gate_free(p);
		shut_gate();
	}
}

static void *
gated_resize(void *p)
{
	open_gate();
	p = gate_resize(p, test->other);
	shut_gate();
	return p;
}

/* The same, not counted. */
static void *
plain_alloc(void)
{
	return test->operators ? _Znwm(test->size) : malloc(test->size);
}

static void
plain_free(void *p)
{
	if (test->operators)
		_ZdlPv(p);
	else
		free(p);
}

/*
 * The steady state: many blocks of the size live with holes between them, and a
 * ring of blocks, each freed when RING others have been allocated after it.
 */
static void
run_here(uint64_t count)
{
	static void *live[LIVE], *ring[RING];
	int allocates = test->shape == ALLOC || test->shape == ALLOC2;
	int frees = test->shape == FREE || test->shape == FREE2;

	for (size_t i = 0; i < LIVE; i++)
		live[i] = plain_alloc();
	for (size_t i = 0; i < LIVE; i += 2)
		plain_free(live[i]);
	for (uint64_t i = 0; i < WARM + count; i++) {
		void **at = &ring[i % RING];
		int collect = i >= WARM;

		if (collect && frees)
			gated_free(*at);
		else
			plain_free(*at);
		*at = collect && allocates ? gated_alloc() : plain_alloc();
		if (collect && test->shape == RESIZE)
			*at = gated_resize(*at);
		if (*at != NULL)
			*(volatile char *)*at = 1;
	}
}

/* Another thread allocates; after its blocks were freed, it allocates as many again. */
static void *
owner(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < gives; i++)
		given[i] = block_new(test->size);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (size_t i = REMOTE_WARM; i < gives; i++)
		given[i] = test->shape == ALLOC ? gated_alloc() : NULL;
	return NULL;
}

static void
run_remote(uint64_t count)
{
	pthread_t id;

	gives = count + REMOTE_WARM;
	given = bench_map(gives * sizeof(*given));
	pthread_barrier_init(&barrier, NULL, 2);
	free(block_new(test->size));
	if (pthread_create(&id, NULL, owner, NULL) != 0)
		bench_die("cannot create a thread");
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < gives; i++) {
		if (test->shape == FREE && i >= REMOTE_WARM)
			gated_free(given[i]);
		else
			free(given[i]);
	}
	pthread_barrier_wait(&barrier);
	pthread_join(id, NULL);
}

int
main(int argc, char **argv)
{
	uint64_t count = bench_arg(argc, argv, 2, 10000);

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (argc < 2)
			printf("%s\t%s\n", tests[i].name, shape_name[tests[i].shape]);
		else if (strcmp(tests[i].name, argv[1]) == 0)
			test = &tests[i];
	}
	if (test == NULL)
		return argc < 2 ? 0 : 2;
	gate_alloc2 = test->alloc2;
	if (test->operators) {
		gate_alloc = _Znwm;
		gate_free = _ZdlPv;
	}
	if (argc > 3) {
		gate_alloc = no_alloc;
		gate_alloc2 = no_alloc2;
		gate_free = no_free;
		gate_free2 = no_free2;
		gate_resize = no_resize;
	}
	if (test->remote)
		run_remote(count);
	else
		run_here(count);
	return 0;
}
