/*
 * trace_stacks.c: stacks by their numbers; see trace_stacks.h.
 */
#include "trace_stacks.h"

#include "base.h"
#include "symbol.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_SHOWN 1000

struct stack_frames {
	uint32_t stack;
	uint32_t count;
	uint64_t *frames;
};

struct stack_object {
	uint64_t start, end;
	char *name;
};

static void
add_stack(struct stacks *s, const struct trace_record *r)
{
	struct stack_frames *f;

	if (r->data_nbytes < sizeof(uint32_t))
		return;
	if (s->count == s->room) {
		s->room = 2 * s->room + 64;
		s->stacks = xgrow(s->stacks, s->room, sizeof(*s->stacks));
	}
	f = &s->stacks[s->count++];
	memcpy(&f->stack, r->data, sizeof(f->stack));
	f->count = (uint32_t)((r->data_nbytes - sizeof(f->stack)) / sizeof(uint64_t));
	f->frames = xcalloc(f->count, sizeof(*f->frames));
	memcpy(f->frames, r->data + sizeof(f->stack), f->count * sizeof(*f->frames));
	s->sorted = false;
}

static void
add_object(struct stacks *s, const struct trace_record *r)
{
	struct stack_object *o;
	size_t len;

	if (r->data_nbytes < 2 * sizeof(uint64_t))
		return;
	if (s->object_count == s->object_room) {
		s->object_room = 2 * s->object_room + 16;
		s->objects = xgrow(s->objects, s->object_room, sizeof(*s->objects));
	}
	o = &s->objects[s->object_count++];
	memcpy(&o->start, r->data, sizeof(o->start));
	memcpy(&o->end, r->data + sizeof(o->start), sizeof(o->end));
	len = r->data_nbytes - 2 * sizeof(uint64_t);
	o->name = xcalloc(len + 1, 1);
	memcpy(o->name, r->data + 2 * sizeof(uint64_t), len);
}

void
stacks_add(struct stacks *s, const struct trace_record *r)
{
	if (r->other == TRACE_STACK)
		add_stack(s, r);
	else if (r->other == TRACE_MAP)
		add_object(s, r);
}

void
stacks_free(struct stacks *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->stacks[i].frames);
	for (size_t i = 0; i < s->object_count; i++)
		free(s->objects[i].name);
	free(s->stacks);
	free(s->objects);
	symbols_close(s->symbols);
	memset(s, 0, sizeof(*s));
}

static int
by_stack(const void *a, const void *b)
{
	const struct stack_frames *x = a, *y = b;

	return (x->stack > y->stack) - (x->stack < y->stack);
}

const uint64_t *
stacks_frames(struct stacks *s, uint32_t stack, size_t *n)
{
	struct stack_frames key = { .stack = stack }, *f;

	if (!s->sorted && s->count > 0)
		qsort(s->stacks, s->count, sizeof(*s->stacks), by_stack);
	s->sorted = true;
	f = s->count == 0 ? NULL :
	    bsearch(&key, s->stacks, s->count, sizeof(*s->stacks), by_stack);
	*n = f == NULL ? 0 : f->count;
	return f == NULL ? NULL : f->frames;
}

static int
by_start(const void *a, const void *b)
{
	const struct stack_object *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* As the kernel would tell of the objects. */
static void
open_symbols(struct stacks *s)
{
	char *text = NULL;
	size_t nbytes = 0;
	uint64_t end = 0;
	FILE *f = open_memstream(&text, &nbytes);

	if (f == NULL)
		fail(STATUS_OTHER, "out of memory");
	if (s->object_count > 0)
		qsort(s->objects, s->object_count, sizeof(*s->objects), by_start);
	for (size_t i = 0; i < s->object_count; i++) {
		const struct stack_object *o = &s->objects[i];

		if (o->start >= end && o->end > o->start && strchr(o->name, '\n') == NULL) {
			fprintf(f, "%" PRIx64 "-%" PRIx64 " r-xp 00000000 08:01 %zu %s\n", o->start,
			    o->end, i + 1, o->name);
			end = o->end;
		}
	}
	fclose(f);
	s->symbols = symbols_open(text, nbytes, 0);
	free(text);
}

const char *
stacks_name(struct stacks *s, uint64_t address)
{
	static char text[NAME_MAX_SHOWN];
	const struct symbol *symbols;
	size_t n, at = 0;
	int module;

	if (s->symbols == NULL)
		open_symbols(s);
	symbols = symbols_find(s->symbols, address, &n, &module);
	text[0] = '\0';
	for (size_t i = 0; i < n && at < sizeof(text); i++) {
		const char *file = symbols[i].file;
		int len = snprintf(text + at, sizeof(text) - at, "%s%s", i == 0 ? "" : " < ",
		    symbols[i].name);

		at += len > 0 ? (size_t)len : 0;
		if (file == NULL || at >= sizeof(text))
			continue;
		file = strrchr(file, '/') != NULL ? strrchr(file, '/') + 1 : file;
		len = snprintf(text + at, sizeof(text) - at, " (%s:%d)", file, symbols[i].line);
		at += len > 0 ? (size_t)len : 0;
	}
	return text;
}
