/*
 * stack.c: recorded stacks; see stack.h.
 *
 *   buckets   | 0 | 17 | 0 | 1 | ...            a stack's number, at its hash or a little after
 *   words     | - | 3 frame frame frame | ... | 2 frame frame | ...
 *                 ^1                            ^17
 *
 * Both only ever grow. A number is put into its bucket when its words are complete, so looking
 * takes no lock; adding takes LOCK_STACK.
 */
#include "diag/stack.h"

#include "os/lock.h"
#include "os/unwind.h"
#include "os/vm.h"

#include <string.h>

#define BUCKET_BITS 16U
#define BUCKET_COUNT ((size_t)1 << BUCKET_BITS)
#define WORD_MAX ((size_t)1 << 21)
#define COMMIT_NBYTES ((size_t)256 << 10)
#define PROBES 32U
/* Frames of one message: more than is recorded for one are for tools. */
#define PRINT_MAX STACK_DEPTH

struct stack_table stack_table;

static uint32_t *buckets;
static size_t committed; /* bytes of words */
static bool ready;

/* Room for n more words. LOCK_STACK held. */
static bool
grow(size_t n)
{
	size_t need = (stack_table.nwords + n) * sizeof(uint64_t);

	while (committed < need) {
		if (committed + COMMIT_NBYTES > WORD_MAX * sizeof(uint64_t) ||
		    !vm_commit((char *)stack_table.words + committed, COMMIT_NBYTES))
			return false;
		committed += COMMIT_NBYTES;
	}
	return true;
}

bool
stack_init(void)
{
	size_t nbuckets = round_up(BUCKET_COUNT * sizeof(*buckets), COMMIT_NBYTES);
	char *base;

	lock_take(LOCK_STACK);
	if (!ready) {
		unwind_init();
		base = vm_reserve(nbuckets + WORD_MAX * sizeof(uint64_t), COMMIT_NBYTES);
		if (base != NULL && vm_commit(base, nbuckets)) {
			buckets = (uint32_t *)base;
			stack_table.words = (uint64_t *)(base + nbuckets);
			stack_table.nwords = 1;
			/* Pairs with the acquires of ready by who has no lock. */
			store_release(&ready, true);
		} else if (base != NULL) {
			(void)vm_unreserve(base, nbuckets + WORD_MAX * sizeof(uint64_t));
		}
	}
	lock_drop(LOCK_STACK);
	return ready;
}

/* The bucket of a stack, or the empty one where it belongs; NULL when all are others'. */
static uint32_t *
find(void *const *frames, unsigned n)
{
	uint64_t hash = n;

	for (unsigned i = 0; i < n; i++)
		hash = (hash ^ (uintptr_t)frames[i]) * 0x9e3779b97f4a7c15U;
	for (unsigned i = 0; i < PROBES; i++) {
		uint32_t *b = &buckets[((hash >> (64 - BUCKET_BITS)) + i) % BUCKET_COUNT];
		/* Acquire: pairs with the release in add. */
		uint32_t stack = load_acquire(b);
		const uint64_t *s = &stack_table.words[stack];

		if (stack == 0 || (s[0] == n && memcmp(s + 1, frames, n * sizeof(*s)) == 0))
			return b;
	}
	return NULL;
}

static uint32_t
add(void *const *frames, unsigned n)
{
	uint32_t *b, stack = 0;

	lock_take(LOCK_STACK);
	b = find(frames, n);
	if (b != NULL && *b != 0) {
		stack = *b;
	} else if (b != NULL && grow(n + 1)) {
		stack = stack_table.nwords;
		stack_table.words[stack] = n;
		memcpy(&stack_table.words[stack + 1], frames, n * sizeof(uint64_t));
		/* Pairs with the acquires of nwords: what is below it has been written. */
		store_release(&stack_table.nwords, stack + n + 1);
		stack_table.nstacks++;
		store_release(b, stack);
	} else {
		stack_table.nlost++;
	}
	lock_drop(LOCK_STACK);
	return stack;
}

uint32_t
stack_record(unsigned depth)
{
	void *frames[STACK_DEPTH_MAX];
	uint32_t *b, stack;
	unsigned n;

	if (!load_acquire(&ready))
		return 0;
	n = unwind(frames, depth);
	if (n == 0)
		return 0;
	b = find(frames, n);
	stack = b == NULL ? 0 : load_acquire(b);
	return stack != 0 ? stack : add(frames, n);
}

const uint64_t *
stack_frames(uint32_t stack, unsigned *n)
{
	*n = 0;
	if (stack == 0 || !load_acquire(&ready) || stack >= load_acquire(&stack_table.nwords))
		return NULL;
	*n = (unsigned)stack_table.words[stack];
	return &stack_table.words[stack + 1];
}

void
stack_print(struct fmt *f, const char *title, uint32_t stack)
{
	unsigned n;
	const uint64_t *frames = stack_frames(stack, &n);

	if (n == 0)
		return;
	fmt_add(f, "%s\n", title);
	for (unsigned i = 0; i < n && i < PRINT_MAX; i++) {
		const char *module;
		uintptr_t offset;

		if (unwind_module((void *)(uintptr_t)frames[i], &module, &offset))
			fmt_add(f, "    %s+%p\n", module, offset);
	}
}
