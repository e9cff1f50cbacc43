/*
 * trace_objects.h: what is allocated in a trace, by its address. Not thread-safe.
 */
#ifndef TOOLS_TRACE_OBJECTS_H
#define TOOLS_TRACE_OBJECTS_H

#include "trace_order.h"

/* An open-addressed table, at most half full, of objects that lie in slabs. */
struct objects {
	struct trace_object **table;
	size_t mask, count;
	struct slab *slabs;
	struct trace_object *unused; /* linked by tag */
};

bool objects_init(struct objects *o);
void objects_finish(struct objects *o);
struct trace_object *objects_find(const struct objects *o, uint64_t address);
/* A new one at an address that has none; NULL for lack of memory. */
struct trace_object *objects_add(struct objects *o, uint64_t address);
/* Takes an object out of its address; it is to be attached again or dropped. */
void objects_detach(struct objects *o, struct trace_object *object);
bool objects_attach(struct objects *o, struct trace_object *object, uint64_t address);
void objects_drop(struct objects *o, struct trace_object *object);
void objects_walk(const struct objects *o, void (*visit)(const struct trace_object *, void *),
    void *arg);

#endif
