/*
 * Random operations against a simple model: what is in use is a table of pointers, sizes and
 * patterns, and the heap must agree with it at every step. Nothing may overlap, move without
 * being told, lose a byte or its alignment, or be counted wrong; every invariant of the
 * allocator's bookkeeping is walked at each step of small heaps, at every kth of larger ones.
 *
 *   random [OPERATIONS [SEED]]     the seed also from the environment; it is printed
 *
 * The model lies outside the heap. All is done by the main thread but for what a second thread is
 * told to do, while the main thread waits.
 */
#include "phkmalloc.h"
#include "tap.h"

#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CELLS_MAX 4000U
#define KB ((size_t)1024)
#define MB (KB * KB)

/* One allocation in use. */
struct cell {
	unsigned char *p; /* NULL: none */
	size_t n;         /* asked for */
	size_t alignment;
	uint64_t key;     /* of its pattern */
};

/* One run. */
struct plan {
	const char *options;  /* MALLOC_OPTIONS */
	unsigned cells;       /* allocations in use at the most */
	size_t largest;       /* size of allocation */
	unsigned share;       /* percent of the operations to do */
	unsigned every;       /* steps from one walk of the heap to the next */
};

static const struct plan plans[] = {
	{NULL, 20, 300, 8, 1},
	{NULL, 100, 40 * KB, 8, 1},
	{NULL, 30, 2 * MB, 8, 1},
	{NULL, 1500, 600, 100, 50},
	{NULL, 4000, 40 * KB, 100, 200},
	{NULL, 300, 4 * MB, 30, 50},
	{NULL, 8, 100 * MB, 2, 1},
	{"C", 1000, 40 * KB, 30, 100},
	{"JJ", 1000, 40 * KB, 30, 100},
	{"F", 1000, 40 * KB, 30, 100},
	{"PG", 300, 200 * KB, 20, 100},
	{"S", 1000, 100 * KB, 20, 100},
	{"R", 500, 100 * KB, 20, 100},
	{"H", 1000, 100 * KB, 30, 100},
	{"Z", 500, 100 * KB, 20, 100},
	{"W20", 500, 40 * KB, 20, 100},
	{"T", 500, 40 * KB, 20, 100},
	{"B1", 500, 100 * KB, 20, 100},
	{"B5000", 1000, 300 * KB, 30, 100},
	{"<<<", 1000, 300 * KB, 30, 100},
	{">>>", 1000, 300 * KB, 30, 100},
};

static struct cell *cells;
static const struct plan *plan;
static uint64_t state;    /* of the random numbers */
static size_t operations = 100000, step, base_nbytes;
static const char *doing = "nothing";

/* A uniform number below n. */
static size_t
below(size_t n)
{
	return (size_t)(random_next(&state) % n);
}

__attribute__((noreturn)) static void
broken(const char *what, const struct cell *c)
{
	fprintf(stderr, "step %zu, %s: %s; %p of %zu bytes aligned to %zu\n", step, doing, what,
	    (void *)c->p, c->n, c->alignment);
	_exit(1);
}

static void
demand(bool kept, const char *what, const struct cell *c)
{
	if (!kept)
		broken(what, c);
}

/* --- patterns ------------------------------------------------------------------------------ */

static unsigned char
byte_of(uint64_t key, size_t i)
{
	return (unsigned char)((key + i * 0x9e3779b9U + (i >> 8) * 7) >> 5);
}

/* Which byte comes behind byte i: all of small ones, of large ones the ends and some between. */
static size_t
next_byte(size_t i, size_t n)
{
	if (n <= 8 * KB || i < 200 || i + 200 >= n)
		return i + 1;
	i += 509;
	return i + 200 < n ? i : n - 200;
}

static void
paint(struct cell *c, size_t from)
{
	for (size_t i = from; i < c->n; i = next_byte(i, c->n))
		c->p[i] = byte_of(c->key, i);
}

/* Whether the first n bytes are as painted when the cell had the size `painted`. */
static bool
painted_whole(const unsigned char *p, uint64_t key, size_t painted, size_t n)
{
	for (size_t i = 0; i < painted && i < n; i = next_byte(i, painted))
		if (p[i] != byte_of(key, i))
			return false;
	return true;
}

static void
examine(const struct cell *c)
{
	demand(painted_whole(c->p, c->key, c->n, c->n), "contents have changed", c);
}

/* --- the model ----------------------------------------------------------------------------- */

static struct cell *
any_cell(void)
{
	return &cells[below(plan->cells)];
}

/* Sizes are uniform in their logarithm, and often at a border of something. */
static size_t
any_size(void)
{
	static const size_t borders[] = {1, 16, 64, 128, 256, 512, KB, 4 * KB, 8 * KB, 16 * KB,
	    28 * KB, 32 * KB, 64 * KB, 128 * KB, MB, 2 * MB};
	unsigned bits = 64U - (unsigned)__builtin_clzll(plan->largest);
	size_t n = ((size_t)1 << below(bits + 1)) - 1;

	if (below(4) == 0)
		n = borders[below(COUNT(borders))] + below(3) - 1;
	else
		n = below(n + 1);
	return n > plan->largest ? below(plan->largest) : n;
}

/* A new allocation, or one that moved, is entered and must stand apart from all others. */
static void
enter(struct cell *c, void *p, size_t n, size_t alignment)
{
	uintptr_t from = (uintptr_t)p, to = from + (n == 0 ? 1 : n);

	c->p = p;
	c->n = n;
	c->alignment = alignment;
	demand(p != NULL, "no memory", c);
	demand(from % alignment == 0, "not aligned", c);
	demand(malloc_usable_size(p) >= n, "not as long as asked for", c);
	demand(phkmalloc_owns(p) == 1, "not owned", c);
	for (const struct cell *other = cells; other < cells + plan->cells; other++)
		if (other != c && other->p != NULL)
			demand((uintptr_t)other->p >= to || (uintptr_t)other->p + other->n <= from,
			    "overlaps another", c);
	c->key = random_next(&state);
	paint(c, 0);
}

static size_t
least_alignment(size_t n)
{
	return n < 16 && plan->options != NULL && strchr(plan->options, 'W') != NULL ? 1 : 16;
}

/* --- the operations ------------------------------------------------------------------------ */

static void
op_malloc(struct cell *c)
{
	size_t n = any_size();

	enter(c, malloc(n), n, least_alignment(n));
}

static void
op_calloc(struct cell *c)
{
	size_t size = below(9) + 1, count = any_size() / size;
	unsigned char *p = calloc(count, size);

	for (size_t i = 0; p != NULL && i < count * size; i++)
		if (p[i] != 0)
			broken("calloc is not zero", c);
	enter(c, p, count * size, least_alignment(count * size));
}

static void
op_aligned(struct cell *c)
{
	size_t alignment = (size_t)1 << below(15), n = any_size();
	void *p = NULL;

	if (below(100) == 0)
		alignment <<= 7;
	switch (below(3)) {
	case 0:
		p = aligned_alloc(alignment, n);
		break;
	case 1:
		p = memalign(alignment, n);
		break;
	default:
		alignment = alignment < sizeof(void *) ? sizeof(void *) : alignment;
		if (posix_memalign(&p, alignment, n) != 0)
			p = NULL;
	}
	enter(c, p, n, alignment);
}

static void
op_realloc(struct cell *c)
{
	size_t n = any_size(), old = c->n;
	unsigned char *p;

	if (below(2) == 0)
		n = old + old / 8 + below(50);
	n = n == 0 ? 1 : n;
	p = below(2) == 0 ? realloc(c->p, n) : reallocarray(c->p, 1, n);
	demand(p != NULL, "realloc found no memory", c);
	demand(painted_whole(p, c->key, old, n), "realloc lost contents", c);
	enter(c, p, n, least_alignment(n));
}

static void
op_recallocarray(struct cell *c)
{
	size_t n = any_size() + 1, old = c->n;
	unsigned char *p = recallocarray(c->p, old, n, 1);

	demand(p != NULL, "recallocarray found no memory", c);
	demand(painted_whole(p, c->key, old, n), "recallocarray lost contents", c);
	for (size_t i = old; i < n; i++)
		if (p[i] != 0)
			broken("recallocarray is not zero", c);
	enter(c, p, n, least_alignment(n));
}

static void
op_free(struct cell *c)
{
	examine(c);
	switch (below(5)) {
	case 0:
		if (c->alignment > 16)
			free_aligned_sized(c->p, c->alignment, c->n);
		else
			free_sized(c->p, c->n);
		break;
	case 1:
		freezero(c->p, c->n);
		break;
	case 2:
		demand(realloc(c->p, 0) == NULL, "realloc(p, 0) is not NULL", c);
		break;
	default:
		free(c->p);
	}
	c->p = NULL;
}

static void
op_examine(struct cell *c)
{
	size_t at = c->n == 0 ? 0 : below(c->n);

	examine(c);
	demand(phkmalloc_base(c->p + at) == c->p, "phkmalloc_base is not its start", c);
	demand(at == 0 || phkmalloc_owns(c->p + at) == 0, "its middle is owned", c);
	demand(malloc_usable_size(c->p) >= c->n, "it became shorter", c);
}

/* A child has the same heap, and may free all of it. */
static void
op_fork(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		for (struct cell *c = cells; c < cells + plan->cells; c++)
			if (c->p != NULL)
				op_free(c);
		_exit(phkmalloc_check() == 0 && phkmalloc_owns(malloc(100)) == 1 ? 0 : 1);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	demand(pid > 0 && status == 0, "a child's heap is not whole", cells);
}

/* --- the second thread --------------------------------------------------------------------- */

static struct {
	pthread_t thread;
	bool alive;
	sem_t asked, done;
	struct cell *cell; /* what to do something with; NULL: end */
} second;

/* Frees what there is, allocates where there is nothing. */
static void *
second_main(void *arg)
{
	for (;;) {
		sem_wait(&second.asked);
		if (second.cell == NULL)
			return arg;
		if (second.cell->p != NULL)
			op_free(second.cell);
		else if (below(2) == 0)
			op_malloc(second.cell);
		else
			op_calloc(second.cell);
		sem_post(&second.done);
	}
}

static void
second_end(void)
{
	second.cell = NULL;
	sem_post(&second.asked);
	pthread_join(second.thread, NULL);
	second.alive = false;
}

static void
op_elsewhere(struct cell *c)
{
	/* A thread that starts takes over what one that ended left. */
	if (second.alive && below(30) == 0)
		second_end();
	if (!second.alive && pthread_create(&second.thread, NULL, second_main, NULL) != 0)
		broken("no thread", c);
	second.alive = true;
	second.cell = c;
	sem_post(&second.asked);
	sem_wait(&second.done);
}

/* --- steps --------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	unsigned weight;
	void (*act)(struct cell *);
} fresh[] = {
	{"malloc", 40, op_malloc}, {"calloc", 15, op_calloc}, {"aligned allocation", 10, op_aligned},
	{"allocation in another thread", 15, op_elsewhere},
}, living[] = {
	{"free", 40, op_free}, {"realloc", 25, op_realloc}, {"recallocarray", 5, op_recallocarray},
	{"free in another thread", 20, op_elsewhere}, {"nothing", 10, op_examine},
};

/* What the allocator counts as in use is what the model has. */
static void
count(void)
{
	size_t sum = 0;

	if (plan->options != NULL)
		return;
	for (const struct cell *c = cells; c < cells + plan->cells; c++)
		if (c->p != NULL)
			sum += malloc_usable_size(c->p);
	if (mallinfo2().uordblks == base_nbytes + sum)
		return;
	fprintf(stderr, "step %zu, %s: %zu bytes are in use, and %zu are counted\n", step, doing, sum,
	    mallinfo2().uordblks - base_nbytes);
	_exit(1);
}

static void
walk(void)
{
	size_t faults = phkmalloc_check();

	if (faults != 0) {
		fprintf(stderr, "step %zu, %s: %zu invariants of the heap are broken\n", step, doing,
		    faults);
		_exit(1);
	}
	count();
}

static void
one_step(void)
{
	struct cell *c = any_cell();
	unsigned left = 80;

	for (size_t i = 0;; i++) {
		unsigned weight = c->p == NULL ? fresh[i].weight : living[i].weight;

		if (below(left) < weight || weight == left) {
			doing = c->p == NULL ? fresh[i].name : living[i].name;
			(c->p == NULL ? fresh[i].act : living[i].act)(c);
			break;
		}
		left -= weight;
	}
	if (step % 997 == 0) {
		doing = "malloc_trim";
		malloc_trim(0);
	}
	if (step % 4999 == 0) {
		doing = "fork";
		op_fork();
	}
	if (step % plan->every == 0)
		walk();
}

/* The heap grows, changes at its size, shrinks, and is empty in the end. */
static int
play(void)
{
	size_t steps = operations * plan->share / 100;

	/* What threads leave for the next one is there from the start. */
	op_elsewhere(&cells[0]);
	op_elsewhere(&cells[0]);
	second_end();
	base_nbytes = mallinfo2().uordblks;
	for (step = 1; step <= steps; step++) {
		/* Now and then nearly all goes. */
		if (step % 6000 == 0)
			for (struct cell *c = cells; c < cells + plan->cells; c++)
				if (c->p != NULL && below(20) != 0)
					op_free(c);
		one_step();
	}
	doing = "the end";
	for (struct cell *c = cells; c < cells + plan->cells; c++)
		if (c->p != NULL)
			op_free(c);
	if (second.alive)
		second_end();
	malloc_trim(0);
	walk();
	return 0;
}

/* A plan in a process of its own, since options are read at its start. */
static int
start(void *arg)
{
	char no[20], seed[30], ops[30];
	const struct plan *p = arg;

	snprintf(no, sizeof(no), "%zu", (size_t)(p - plans));
	snprintf(seed, sizeof(seed), "%#llx", (unsigned long long)state);
	snprintf(ops, sizeof(ops), "%zu", operations);
	unsetenv("MALLOC_OPTIONS");
	if (p->options != NULL)
		setenv("MALLOC_OPTIONS", p->options, 1);
	hang_limit(60);
	execl("/proc/self/exe", "random", ops, seed, no, (char *)NULL);
	return 127;
}

static void
usage(const struct plan *p, const struct ended *e)
{
	printf("# status %#x, standard error: %s", (unsigned)e->status, e->text);
	printf("# again: %srandom %zu %#llx %zu\n", p->options == NULL ? "" : "MALLOC_OPTIONS=... ",
	    operations, (unsigned long long)state, (size_t)(p - plans));
}

int
main(int argc, char **argv)
{
	cells = mmap(NULL, CELLS_MAX * sizeof(*cells), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sem_init(&second.asked, 0, 0);
	sem_init(&second.done, 0, 0);
	if (argc > 1)
		operations = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		state = strtoull(argv[2], NULL, 0);
	else
		state = random_start();
	if (argc > 3) {
		plan = &plans[strtoul(argv[3], NULL, 0) % COUNT(plans)];
		return play();
	}
	for (const struct plan *p = plans; p < plans + COUNT(plans); p++) {
		struct ended e;

		child_run(&e, start, (void *)(uintptr_t)p);
		if (!ok(e.status == 0, "%zu random operations, up to %u in use of up to %zu bytes, "
		    "options \"%s\"", operations * p->share / 100, p->cells, p->largest,
		    p->options == NULL ? "" : p->options))
			usage(p, &e);
	}
	return tap_done();
}
