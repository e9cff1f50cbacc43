/*
 * trace_stack.c: which stacks and objects were told of; see trace_stack.h. Both are sets that only
 * grow, in memory that is empty again in a child of fork.
 */
#include "watch/trace_stack.h"

#include "diag/stack.h"
#include "os/cfi.h"
#include "os/env.h"
#include "os/vm.h"

#include <string.h>

#define STACK_BITS ((size_t)1 << 21) /* words that the table of stacks has room for */
#define OBJECTS_MAX 1024U

struct told {
	uint64_t stacks[STACK_BITS / 64];
	uintptr_t objects[OBJECTS_MAX]; /* where they start; 0: none */
};
static struct told *told;

void
trace_stack_init(void)
{
	size_t nbytes = round_up(sizeof(*told), vm_pagesize);
	struct told *base = vm_reserve(nbytes, vm_pagesize);

	if (base == NULL)
		return;
	if (vm_commit(base, nbytes) && vm_wipe_on_fork(base, nbytes))
		told = base;
	else
		(void)vm_unreserve(base, nbytes);
}

uint32_t
trace_stack(void)
{
	return stack_record(STACK_DEPTH);
}

bool
trace_stack_told(uint32_t stack)
{
	uint64_t bit = (uint64_t)1 << (stack % 64);
	uint64_t *word;

	if (told == NULL || stack >= STACK_BITS)
		return false;
	word = &told->stacks[stack / 64];
	return (load_relaxed(word) & bit) != 0 ||
	    (__atomic_fetch_or(word, bit, __ATOMIC_RELAXED) & bit) != 0;
}

size_t
trace_stack_put(uint32_t stack, char *at)
{
	unsigned n;
	const uint64_t *frames = stack_frames(stack, &n);

	n = n < STACK_DEPTH ? n : STACK_DEPTH;
	memcpy(at, &stack, sizeof(stack));
	memcpy(at + sizeof(stack), frames, n * sizeof(*frames));
	return sizeof(stack) + n * sizeof(*frames);
}

/* Whether the object at this address was told of; it is from now on. */
static bool
object_told(uintptr_t start)
{
	for (size_t i = 0; told != NULL && i < OBJECTS_MAX; i++) {
		uintptr_t *o = &told->objects[(start / 4096 + i) % OBJECTS_MAX], none = 0;

		if (load_relaxed(o) == start)
			return true;
		if (load_relaxed(o) == 0 && __atomic_compare_exchange_n(o, &none, start, false,
		    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return false;
	}
	return false;
}

size_t
trace_stack_put_map(uint32_t stack, unsigned i, char *at)
{
	unsigned n;
	const uint64_t *frames = stack_frames(stack, &n);
	uintptr_t start, end;
	char program[TRACE_STACK_NBYTES_MAX - 2 * sizeof(start)];
	const char *name;
	size_t len;

	if (i >= n || !cfi_object(frames[i], &start, &end, &name) || object_told(start))
		return 0;
	/* The program itself has no name there. */
	if (name == NULL || name[0] == '\0')
		name = env_link("/proc/self/exe", program, sizeof(program)) ? program : "";
	len = strlen(name);
	len = len < sizeof(program) ? len : sizeof(program);
	memcpy(at, &start, sizeof(start));
	memcpy(at + sizeof(start), &end, sizeof(end));
	memcpy(at + 2 * sizeof(start), name, len);
	return 2 * sizeof(start) + len;
}
