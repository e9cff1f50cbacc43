/*
 * trace_objects.c: a hash table with linear probing; see trace_objects.h.
 */
#include "trace_objects.h"

#include <stdlib.h>
#include <string.h>

#define SLAB_OBJECTS 1024
#define ROOM_AT_START 1024U

struct slab {
	struct slab *next;
	struct trace_object objects[SLAB_OBJECTS];
};

static size_t
place_of(const struct objects *o, uint64_t address)
{
	uint64_t h = address * 0x9e3779b97f4a7c15U;

	return (size_t)(h ^ h >> 32) & o->mask;
}

bool
objects_init(struct objects *o)
{
	memset(o, 0, sizeof(*o));
	o->mask = ROOM_AT_START - 1;
	o->table = calloc(ROOM_AT_START, sizeof(struct trace_object *));
	return o->table != NULL;
}

void
objects_finish(struct objects *o)
{
	while (o->slabs != NULL) {
		struct slab *next = o->slabs->next;

		free(o->slabs);
		o->slabs = next;
	}
	free(o->table);
	o->table = NULL;
}

struct trace_object *
objects_find(const struct objects *o, uint64_t address)
{
	for (size_t i = place_of(o, address); o->table[i] != NULL; i = (i + 1) & o->mask)
		if (o->table[i]->address == address)
			return o->table[i];
	return NULL;
}

static void
insert(struct objects *o, struct trace_object *object)
{
	size_t i = place_of(o, object->address);

	while (o->table[i] != NULL)
		i = (i + 1) & o->mask;
	o->table[i] = object;
}

static bool
grow(struct objects *o)
{
	struct trace_object **old = o->table;
	size_t n = o->mask + 1;

	o->table = calloc(2 * n, sizeof(struct trace_object *));
	if (o->table == NULL) {
		o->table = old;
		return false;
	}
	o->mask = 2 * n - 1;
	for (size_t i = 0; i < n; i++)
		if (old[i] != NULL)
			insert(o, old[i]);
	free(old);
	return true;
}

bool
objects_attach(struct objects *o, struct trace_object *object, uint64_t address)
{
	if (2 * o->count > o->mask && !grow(o))
		return false;
	object->address = address;
	insert(o, object);
	o->count++;
	return true;
}

struct trace_object *
objects_add(struct objects *o, uint64_t address)
{
	struct trace_object *object = o->unused;

	if (object == NULL) {
		struct slab *slab = malloc(sizeof(*slab));

		if (slab == NULL)
			return NULL;
		slab->next = o->slabs;
		o->slabs = slab;
		for (size_t i = 0; i < SLAB_OBJECTS; i++)
			objects_drop(o, &slab->objects[i]);
		object = o->unused;
	}
	o->unused = (struct trace_object *)(uintptr_t)object->tag;
	if (objects_attach(o, object, address))
		return object;
	objects_drop(o, object);
	return NULL;
}

void
objects_detach(struct objects *o, struct trace_object *object)
{
	size_t hole = place_of(o, object->address), i;

	while (o->table[hole] != object)
		hole = (hole + 1) & o->mask;
	o->count--;
	/* Those behind it that would not be found past a hole move up. */
	for (i = (hole + 1) & o->mask; o->table[i] != NULL; i = (i + 1) & o->mask) {
		size_t home = place_of(o, o->table[i]->address);

		if (((i - home) & o->mask) >= ((i - hole) & o->mask)) {
			o->table[hole] = o->table[i];
			hole = i;
		}
	}
	o->table[hole] = NULL;
}

void
objects_drop(struct objects *o, struct trace_object *object)
{
	object->tag = (uint64_t)(uintptr_t)o->unused;
	o->unused = object;
}

void
objects_walk(const struct objects *o, void (*visit)(const struct trace_object *, void *),
    void *arg)
{
	for (size_t i = 0; i <= o->mask; i++)
		if (o->table[i] != NULL)
			visit(o->table[i], arg);
}
