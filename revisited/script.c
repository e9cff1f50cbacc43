/*
 * script: makes a script for the player of the largest process of a trace (phkmalloc record).
 * All threads are put in one order, the one in which they allocated and freed. What the process
 * had from before the trace, as a child of fork has, is not in it.
 *
 * usage: script TRACE SCRIPT
 */
#include "script.h"

#include "../tools/trace_order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OS_PAGE 4096u

static FILE *out;
static struct script_head head = { .magic = SCRIPT_MAGIC };
static uint32_t *unused;	/* slots that are free again */
static size_t nunused, room;
static uint64_t live;

static void
die(const char *what)
{
	fprintf(stderr, "script: %s\n", what);
	exit(2);
}

static uint32_t
slot_new(void)
{
	return nunused > 0 ? unused[--nunused] : (uint32_t)head.nslots++;
}

static void
slot_done(uint32_t slot)
{
	if (nunused == room) {
		room = room * 2 + 1024;
		unused = realloc(unused, room * sizeof(*unused));
		if (unused == NULL)
			die("no memory");
	}
	unused[nunused++] = slot;
}

static void
put(enum script_op op, uint32_t slot, uint64_t nbytes, uint8_t log2_alignment)
{
	struct script_step step = { .slot = slot, .op = (uint8_t)op,
	    .log2_alignment = log2_alignment, .nbytes = nbytes };

	if (fwrite(&step, sizeof(step), 1, out) != 1)
		die("cannot write");
	head.nsteps++;
	if (live > head.peak_live)
		head.peak_live = live;
}

static void
put_step(const struct trace_step *step)
{
	struct trace_object *object = step->object;

	if (object == NULL)
		return;
	if (step->kind == STEP_ALLOC) {
		bool aligned = object->op == TRACE_ALIGNED && object->log2_alignment > 4;

		object->tag = (uint64_t)slot_new() + 1;
		live += object->size;
		head.allocations++;
		put(object->op == TRACE_CALLOC ? SCRIPT_CALLOC :
		    aligned ? SCRIPT_ALIGNED : SCRIPT_MALLOC, (uint32_t)object->tag - 1,
		    object->size, object->log2_alignment);
	} else if (object->tag != 0 && step->kind == STEP_RESIZE) {
		live += object->size - step->old_size;
		put(SCRIPT_RESIZE, (uint32_t)object->tag - 1, object->size, 0);
	} else if (object->tag != 0 && step->kind == STEP_FREE) {
		live -= object->size;
		put(SCRIPT_FREE, (uint32_t)object->tag - 1, 0, 0);
		slot_done((uint32_t)object->tag - 1);
	}
}

int
main(int argc, char **argv)
{
	struct trace_file file;
	struct trace_processes all;
	struct trace_order order;
	struct trace_step step;

	if (argc != 3)
		die("usage: script TRACE SCRIPT");
	if (!trace_file_map(&file, argv[1]))
		die(file.problem);
	if (!trace_list_processes(&file, &all) || all.count == 0 ||
	    !trace_order_start(&order, &file, all.numbers[0]))
		die("no process in the trace");
	out = fopen(argv[2], "wb");
	if (out == NULL || fwrite(&head, sizeof(head), 1, out) != 1)
		die("cannot write");
	while (trace_order_next(&order, &step))
		put_step(&step);
	head.peak_pages = (head.peak_live + OS_PAGE - 1) / OS_PAGE;
	if (fseek(out, 0, SEEK_SET) != 0 || fwrite(&head, sizeof(head), 1, out) != 1 ||
	    fclose(out) != 0)
		die("cannot write");
	printf("command=%s\nthreads=%zu\nsteps=%llu\nallocations=%llu\npeak_live=%llu\n"
	    "peak_pages=%llu\nunknown=%llu\nmissing=%llu\n", order.command, order.thread_count,
	    (unsigned long long)head.nsteps, (unsigned long long)head.allocations,
	    (unsigned long long)head.peak_live, (unsigned long long)head.peak_pages,
	    (unsigned long long)order.unknown, (unsigned long long)order.missing);
	return order.missing > 0 || order.damaged > 0 || order.no_memory;
}
