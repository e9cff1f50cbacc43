/*
 * stack.c: recorded stacks; see stack.h. The table is open-addressed and only ever grows; it is
 * protected by LOCK_STACK. Frames come from the C library's unwinder, which was made ready by
 * stack_init; a thread that is inside it records nothing.
 */
#include "diag/stack.h"

#include "os/lock.h"
#include "os/unwind.h"
#include "os/vm.h"

#include <string.h>

#define STACK_MAX ((uint32_t)1 << 16)
#define PROBES 16U

struct stack {
	uint32_t depth;
	void *frames[STACK_DEPTH];
};

static struct stack *table; /* STACK_MAX of them; 0 is not used */
static bool ready;

void
stack_init(void)
{
	size_t nbytes = round_up(STACK_MAX * sizeof(struct stack), vm_pagesize);
	void *base = vm_reserve(nbytes, vm_pagesize);
	void *frames[STACK_DEPTH];

	if (base == NULL || !vm_commit(base, nbytes))
		return;
	(void)unwind(frames, STACK_DEPTH);
	table = base;
	store_release(&ready, true);
}

uint32_t
stack_record(void)
{
	void *frames[STACK_DEPTH];
	uint64_t hash = 0;
	unsigned n;
	uint32_t found = 0;

	if (!load_acquire(&ready))
		return 0;
	n = unwind(frames, STACK_DEPTH);
	if (n == 0)
		return 0;
	for (unsigned i = 0; i < n; i++)
		hash = (hash ^ (uintptr_t)frames[i]) * 0x9e3779b97f4a7c15U;
	lock_take(LOCK_STACK);
	for (uint32_t i = 0; i < PROBES && found == 0; i++) {
		uint32_t at = ((uint32_t)(hash >> 40) + i) % (STACK_MAX - 1) + 1;
		struct stack *s = &table[at];

		if (s->depth == 0) {
			memcpy(s->frames, frames, n * sizeof(frames[0]));
			s->depth = n;
		}
		if (s->depth == n && memcmp(s->frames, frames, n * sizeof(frames[0])) == 0)
			found = at;
	}
	lock_drop(LOCK_STACK);
	return found;
}

unsigned
stack_frames(uint32_t stack, void **frames)
{
	unsigned n;

	if (stack == 0 || stack >= STACK_MAX || !load_acquire(&ready))
		return 0;
	n = table[stack].depth;
	memcpy(frames, table[stack].frames, n * sizeof(frames[0]));
	return n;
}

void
stack_print(struct fmt *f, const char *title, uint32_t stack)
{
	void *frames[STACK_DEPTH];
	unsigned n = stack_frames(stack, frames);

	if (n == 0)
		return;
	fmt_add(f, "%s\n", title);
	for (unsigned i = 0; i < n; i++) {
		const char *module;
		uintptr_t offset;

		if (unwind_module(frames[i], &module, &offset))
			fmt_add(f, "    %s+%p\n", module, offset);
	}
}
