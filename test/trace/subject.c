/*
 * A program to be recorded, that does what makes recording hard. Its first argument says what, and
 * the second how much of it.
 *
 *   threads N   four threads allocate, resize and free N times each, half of it each other's
 *   hand N      two threads allocate N times each, and two others free all of it at once
 *   many N      N threads one after the other, each of which leaves something behind
 *   fork N      N children, which free what the parent allocated, and allocate
 *   exec N      N children that become this program with "threads 1000"
 *   killed N    as threads, but SIGKILL ends it in the middle
 *   leave N     _exit with N objects, in a thread
 *   signals N   signal handlers that allocate while the program does
 *   late N      N threads whose destructors allocate and free to the very end
 *   big N       allocations of up to 64 MiB, resized
 */
#include "tap.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#define THREADS 4
#define BOXES 256

static void *boxes[BOXES]; /* what threads hand each other */
static unsigned long rounds;
static const char *self;

static void *
allocate(uint64_t *seed)
{
	uint64_t r = random_next(seed);
	size_t n = r % 100 == 0 ? r >> 16 & 0x3ffff : r >> 16 & 0x3ff;

	switch (r >> 8 & 7) {
	case 0: return calloc(1, n);
	case 1: return aligned_alloc((size_t)16 << (r >> 12 & 7), n);
	default: return malloc(n);
	}
}

static void *
churn(void *arg)
{
	uint64_t seed = (uintptr_t)arg + 1;
	void *own[64] = { NULL };

	for (unsigned long i = 0; i < rounds; i++) {
		uint64_t r = random_next(&seed);
		void **p = &own[r % 64];

		if (*p == NULL)
			*p = allocate(&seed);
		else if ((r >> 8 & 3) == 0)
			*p = realloc(*p, (r >> 16 & 0xfff) + 1);
		else if ((r >> 8 & 3) == 1)
			*p = __atomic_exchange_n(&boxes[r >> 16 & (BOXES - 1)], *p, __ATOMIC_ACQ_REL);
		else {
			free(*p);
			*p = NULL;
		}
	}
	for (int i = 0; i < 64; i++)
		free(own[i]);
	return NULL;
}

static void
threads(void)
{
	pthread_t t[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, churn, (void *)i) != 0)
			abort();
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < BOXES; i++)
		free(boxes[i]);
}

/* Half of the boxes for each pair. */
static void *
give(void *arg)
{
	void **box = boxes + (uintptr_t)arg * BOXES / 2;
	uint64_t seed = (uintptr_t)arg;

	for (unsigned long i = 0; i < rounds; i++) {
		void *p = malloc(random_next(&seed) % 200), *none = NULL;

		while (!__atomic_compare_exchange_n(&box[i % (BOXES / 2)], &none, p, false,
		    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			none = NULL;
			sched_yield();
		}
	}
	return NULL;
}

static void *
take(void *arg)
{
	void **box = boxes + (uintptr_t)arg * BOXES / 2, *p;

	for (unsigned long i = 0; i < rounds; i++) {
		while ((p = __atomic_exchange_n(&box[i % (BOXES / 2)], NULL, __ATOMIC_ACQ_REL)) == NULL)
			sched_yield();
		free(p);
	}
	return NULL;
}

static void
hand(void)
{
	pthread_t t[4];

	for (uintptr_t i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, i < 2 ? give : take, (void *)(i % 2)) != 0)
			abort();
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static void *
leave_one(void *arg)
{
	free(boxes[0]);
	boxes[0] = malloc(100);
	return arg;
}

static void
many(void)
{
	for (unsigned long i = 0; i < rounds; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, leave_one, NULL) != 0)
			abort();
		pthread_join(t, NULL);
	}
}

static void
forks(void)
{
	for (unsigned long i = 0; i < rounds; i++) {
		void *p = malloc(1000);
		pid_t child = fork();

		if (child == 0) {
			free(p);
			for (int k = 0; k < 100; k++)
				boxes[k] = malloc(32);
			_exit(0);
		}
		free(p);
		if (child < 0 || waitpid(child, NULL, 0) != child)
			abort();
	}
}

static void
execs(void)
{
	for (unsigned long i = 0; i < rounds; i++) {
		pid_t child = fork();

		if (child == 0) {
			execl(self, self, "threads", "1000", NULL);
			_exit(1);
		}
		if (child < 0 || waitpid(child, NULL, 0) != child)
			abort();
	}
}

static void *
kill_soon(void *arg)
{
	churn(arg);
	kill(getpid(), SIGKILL);
	return NULL;
}

static void
killed(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, kill_soon, NULL) != 0)
		abort();
	for (;;)
		churn((void *)1);
}

static void *
leave_all(void *arg)
{
	for (unsigned long i = 0; i < rounds; i++)
		boxes[i % BOXES] = malloc(48);
	(void)arg;
	_exit(0);
}

static void
leave(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, leave_all, NULL) == 0)
		pthread_join(t, NULL);
}

static void
on_signal(int signo)
{
	(void)signo;
	free(malloc(10));
}

/* Not while the heap itself is in the middle of something: as programs that get away with it. */
static void
signals(void)
{
	signal(SIGUSR1, on_signal);
	for (unsigned long i = 0; i < rounds; i++) {
		void *p = malloc(i % 500);

		raise(SIGUSR1);
		free(p);
	}
}

static pthread_key_t key;

static void
at_end(void *arg)
{
	free(arg);
	/* To the last of the rounds that there are. */
	pthread_setspecific(key, malloc(60));
}

static void *
die_late(void *arg)
{
	pthread_setspecific(key, malloc(60));
	return arg;
}

static void
late(void)
{
	pthread_key_create(&key, at_end);
	for (unsigned long i = 0; i < rounds; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, die_late, NULL) != 0)
			abort();
		pthread_join(t, NULL);
	}
}

static void
big(void)
{
	uint64_t seed = 1;
	char *p = malloc(1 << 20);

	for (unsigned long i = 0; i < rounds; i++) {
		p = realloc(p, random_next(&seed) % (64 << 20) + 1);
		p[0] = 1;
	}
	free(p);
	free(malloc((size_t)-1));
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*act)(void);
	} acts[] = { { "threads", threads }, { "hand", hand }, { "many", many }, { "fork", forks },
		{ "exec", execs }, { "killed", killed }, { "leave", leave }, { "signals", signals },
		{ "late", late }, { "big", big } };

	self = argv[0];
	rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
	for (size_t i = 0; argc > 1 && i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (strcmp(argv[1], acts[i].name) == 0) {
			acts[i].act();
			return 0;
		}
	}
	return 2;
}
