/*
 * Option U, told by a reader of its own that knows no more of the file than doc/traces.md says: a
 * program of known operations, in two threads one after the other, is recorded as what it is.
 */
#include "tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#define COUNT 2000
#define BLOCK 65536
#define KEYS 64

static char path[64];

/* --- the program that is recorded ------------------------------------------------------------ */

static void *
second(void *arg)
{
	for (int i = 0; i < COUNT; i++)
		free(opaque(malloc(77)));
	return arg;
}

/* Sizes that nobody else asks for, so that what libc allocates is not counted. */
static int
act(void *arg)
{
	void *p[10];
	pthread_t t;

	(void)arg;
	for (int i = 0; i < COUNT; i++)
		p[i % 10] = i < 10 ? malloc(1001) : realloc(p[i % 10], 1001 + (size_t)i * 100);
	for (int i = 0; i < 10; i++)
		free(p[i]);
	for (int i = 0; i < COUNT; i++)
		free(opaque(calloc(1, 333)));
	for (int i = 0; i < COUNT; i++)
		free(opaque(aligned_alloc(256, 555)));
	if (pthread_create(&t, NULL, second, NULL) != 0 || pthread_join(t, NULL) != 0)
		return 1;
	return 0;
}

static int
become_it(void *arg)
{
	(void)arg;
	setenv("MALLOC_OPTIONS", "U", 1);
	setenv("MALLOC_TRACE_FILE", path, 1);
	execl("/proc/self/exe", "recorded", "act", (char *)NULL);
	return 127;
}

/* --- the reader ------------------------------------------------------------------------------ */

struct counts {
	unsigned blocks, malloc1001, malloc77, calloc333, aligned555, at256, resized, chained;
	unsigned freed77, exits, threads;
	uint64_t last77, last1001[10];
};

static uint64_t
number(const uint8_t **at, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t) *(*at)++ << 8 * i;
	return v;
}

static uint64_t
address(const uint8_t **at, unsigned alen, uint64_t from)
{
	uint64_t v = number(at, alen == 7 ? 8 : alen);

	return from + ((v & 1) != 0 ? ~(v >> 1) : v >> 1) * 16;
}

static void
read_resized(const uint8_t **at, uint64_t size, uint64_t old, uint64_t *to, struct counts *c)
{
	unsigned x = *(*at)++, i = (unsigned)((size - 1001) / 100 % 10);

	*to = address(at, x & 7, old);
	number(at, (x >> 3 & 7) == 7 ? 8 : x >> 3 & 7);
	if (size < 1001)
		return;
	c->resized++;
	c->chained += old == c->last1001[i];
	c->last1001[i] = *to;
}

static void
read_block(const uint8_t *block, struct counts *c)
{
	static const unsigned tlens[] = { 0, 1, 2, 4 };
	const uint8_t *at = block + 64, *end = block + BLOCK;
	uint64_t last[KEYS] = { 0 }, freed = 0;

	while (at + 2 < end && *at != 0) {
		unsigned tag = (unsigned)number(&at, 2), op = tag & 7, alen = tag >> 3 & 7;
		uint64_t size = 0, p, *from = &freed;

		number(&at, tlens[tag >> 8 & 3]);
		if (op == 7) {
			c->exits += (tag >> 3 & 31) == 7;
			c->threads += (tag >> 3 & 31) == 2;
			p = number(&at, 2);
			at += p;
			continue;
		}
		if (op != 2)
			size = number(&at, 1U << (tag >> 6 & 3));
		if (op != 2 && op != 3)
			from = &last[size <= 992 ? (size + 15) / 16 : 63];
		p = *from = address(&at, alen, *from);
		if (op == 1 && size == 1001)
			c->last1001[c->malloc1001++ % 10] = p;
		if (op == 1 && size == 77)
			c->malloc77++, c->last77 = p;
		c->freed77 += op == 2 && p == c->last77 && c->malloc77 != 0;
		c->calloc333 += op == 4 && size == 333;
		c->aligned555 += op == 5 && size == 555;
		if (op == 5)
			c->at256 += *at++ == 8 && size == 555 && p % 256 == 0;
		if (op == 3) {
			read_resized(&at, size, p, &p, c);
			last[size <= 992 ? (size + 15) / 16 : 63] = p;
		}
	}
}

static bool
read_file(struct counts *c)
{
	static uint8_t block[BLOCK];
	int fd = open(path, O_RDONLY);
	bool head = fd >= 0 && read(fd, block, BLOCK) == BLOCK && memcmp(block, "PHKTRACE", 8) == 0;

	memset(c, 0, sizeof(*c));
	while (head && read(fd, block, BLOCK) == BLOCK) {
		if (memcmp(block, "PHKB", 4) == 0) {
			c->blocks++;
			read_block(block, c);
		}
	}
	close(fd);
	return head;
}

int
main(int argc, char **argv)
{
	struct counts c;

	if (argc > 1)
		return strcmp(argv[1], "act") == 0 ? act(NULL) : 127;
	snprintf(path, sizeof(path), "/tmp/recorded.%d.trace", (int)getpid());
	ok_in_child(become_it, NULL, "the program runs");
	ok(read_file(&c) && c.blocks >= 2, "there is a trace");
	unlink(path);
	ok(c.malloc1001 == 10 && c.calloc333 == COUNT && c.aligned555 == COUNT &&
	    c.at256 == COUNT, "malloc, calloc and aligned_alloc");
	ok(c.resized == COUNT - 10 && c.chained == COUNT - 10,
	    "realloc, from where each object was: %u of %u", c.chained, c.resized);
	ok(c.malloc77 == COUNT && c.freed77 == COUNT, "the second thread's, each freed at once");
	ok(c.exits == 1, "the end");
	return tap_done();
}
