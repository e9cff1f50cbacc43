/*
 * grow: buffers that grow by realloc: many strings by small appends, vectors by
 * doubling, and one long buffer by fixed steps, all interleaved so that growth in
 * place is not always possible. Old contents are checked at the end of each life.
 *
 * usage: grow [operations]
 */
#include "common.h"

struct buffer {
	char *p;
	size_t used, room;
};

enum { STRINGS = 1000, STRING_MAX = 3000, VECTORS = 24, VECTOR_MAX = 1 << 18 };
enum { LONG_MAX_ = 64 << 20, LONG_STEP = 256 << 10 };

static uint64_t done;

static void
resize(struct buffer *b, size_t room)
{
	char *p = realloc(b->p, room);

	if (p == NULL)
		bench_die("out of memory");
	b->p = p;
	b->room = room;
	done++;
}

static void
restart(struct buffer *b, size_t first)
{
	for (size_t i = 0; i < b->used; i += 509)
		if (b->p[i] != (char)(i / 509))
			bench_die("realloc lost contents");
	free(b->p);
	*b = (struct buffer){ 0 };
	resize(b, first);
}

static void
append(struct buffer *b, size_t n)
{
	memset(b->p + b->used, 0, n);
	for (size_t i = (b->used + 508) / 509 * 509; i < b->used + n; i += 509)
		b->p[i] = (char)(i / 509);
	b->used += n;
}

int
main(int argc, char **argv)
{
	static struct buffer string[STRINGS], vector[VECTORS], lng;
	uint64_t todo = bench_arg(argc, argv, 1, 9000000);
	uint64_t rng = rng_seed(9);

	for (uint64_t i = 0; done < todo; i++) {
		struct buffer *s = &string[rng_below(&rng, STRINGS)];
		struct buffer *v = &vector[rng_below(&rng, VECTORS)];
		size_t n = rng_between(&rng, 8, 80);

		if (s->p == NULL || s->used + n > STRING_MAX)
			restart(s, n);
		else
			resize(s, s->used + n);
		append(s, n);
		if (i % 4 != 0)
			continue;
		if (v->p == NULL || v->used + n > VECTOR_MAX)
			restart(v, 128);
		else if (v->used + n > v->room)
			resize(v, v->room * 2);
		append(v, n);
		if (i % 4096 != 0)
			continue;
		if (lng.p == NULL || lng.room + LONG_STEP > LONG_MAX_)
			restart(&lng, LONG_STEP);
		else
			resize(&lng, lng.room + LONG_STEP);
		append(&lng, LONG_STEP);
	}
	bench_print("ops", done);
	return 0;
}
