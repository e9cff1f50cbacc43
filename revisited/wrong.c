/*
 * wrong: what becomes of a program that gives free or realloc a pointer that is wrong? Makes one
 * such mistake, then lives on: allocates and frees at random and looks whether any two objects
 * overlap. Ends with status 0 when it saw nothing, 9 when objects overlapped. What the allocator
 * says goes to standard error. Without an argument it lists the mistakes.
 *
 * usage: wrong [NUMBER]
 */
#include "common.h"

#include <pthread.h>

#define LIVES 2000
#define SLOTS 200

static char static_data[8192] __attribute__((aligned(4096)));
static unsigned char *slot[SLOTS];
static size_t slot_nbytes[SLOTS];

/* One among others of its kind, a chunk or whole pages. */
static char *
one_of(size_t nbytes)
{
	char *p[8];

	for (int i = 0; i < 8; i++)
		p[i] = object_new(nbytes);
	return p[4];
}

static void *
free_it(void *p)
{
	free(p);
	return NULL;
}

static void
in_thread(void *p)
{
	pthread_t t;

	if (pthread_create(&t, NULL, free_it, p) != 0)
		die("pthread_create");
	pthread_join(t, NULL);
}

static void
twice(size_t nbytes)
{
	char *p = one_of(nbytes);

	free(p);
	free(p);
}

static void
twice_later(size_t nbytes)
{
	char *p = one_of(nbytes), *q = one_of(nbytes), *r = one_of(nbytes);

	free(p);
	free(q);
	free(r);
	free(p);
}

static void chunk_twice(void) { twice(100); }
static void chunk_twice_later(void) { twice_later(100); }
static void pages_twice(void) { twice(300000); }
static void pages_twice_later(void) { twice_later(300000); }
static void chunk_plus_1(void) { free(one_of(100) + 1); }
static void chunk_plus_16(void) { free(one_of(100) + 16); }
static void pages_plus_16(void) { free(one_of(300000) + 16); }
static void pages_plus_4096(void) { free(one_of(300000) + 4096); }
static void none(void) { free(one_of(100)); free(one_of(300000)); }
static void stack(void) { char a[256], *volatile p = a; object_new(100); free(p + 64); }
static void data(void) { object_new(100); free(static_data + 64); }
static void data_first(void) { free(static_data + 4096); }
static void literal(void) { object_new(100); free((char *)(uintptr_t) "a text of the program"); }
static void realloc_freed(void) { char *p = one_of(100); free(p); (void)!realloc(p, 3000); }
static void realloc_plus_16(void) { (void)!realloc(one_of(100) + 16, 3000); }
static void two_threads(void) { char *p = one_of(100); in_thread(p); in_thread(p); }
static void here_and_there(void) { char *p = one_of(100); free(p); in_thread(p); }

static const struct {
	const char *name;
	void (*make)(void);
} mistakes[] = {
	{ "none", none },
	{ "chunk freed twice", chunk_twice },
	{ "chunk freed twice, others between", chunk_twice_later },
	{ "pages freed twice", pages_twice },
	{ "pages freed twice, others between", pages_twice_later },
	{ "chunk freed by two threads", two_threads },
	{ "chunk freed here, then by a thread", here_and_there },
	{ "chunk freed 1 byte on", chunk_plus_1 },
	{ "chunk freed 16 bytes on", chunk_plus_16 },
	{ "pages freed 16 bytes on", pages_plus_16 },
	{ "pages freed a page on", pages_plus_4096 },
	{ "free of the stack", stack },
	{ "free of static data", data },
	{ "free of static data, before any malloc", data_first },
	{ "free of a literal", literal },
	{ "realloc of a freed chunk", realloc_freed },
	{ "realloc of a chunk 16 bytes on", realloc_plus_16 },
};

/* Every byte of an object is its slot's number until it is freed. */
static void
live_on(void)
{
	uint64_t rng = 96;

	for (size_t i = 0; i < LIVES; i++) {
		size_t s = rng_between(&rng, 0, SLOTS - 1);

		for (size_t j = 0; j < slot_nbytes[s]; j++)
			if (slot[s][j] != (unsigned char)s)
				_exit(9);
		free(slot[s]);
		slot_nbytes[s] = rng_between(&rng, 0, 15) ? rng_between(&rng, 1, 200) :
		    rng_between(&rng, 250000, 310000);
		slot[s] = malloc(slot_nbytes[s]);
		if (slot[s] == NULL)
			die("malloc: no memory");
		memset(slot[s], (int)s, slot_nbytes[s]);
	}
}

int
main(int argc, char **argv)
{
	size_t n = sizeof(mistakes) / sizeof(mistakes[0]);

	if (argc < 2) {
		for (size_t i = 0; i < n; i++)
			say(1, "%s\n", mistakes[i].name);
		return 0;
	}
	tell_library();
	mistakes[argument(argc, argv, 1) % n].make();
	live_on();
	_exit(0);
}
