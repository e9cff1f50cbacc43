/* Guards and free pages that trap, also where each trap is a mapping of its own. */
#include "heap/heap.h"
#include "os/vm.h"
#include "page/guard.h"
#include "page/page_alloc.h"
#include "unit.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#define MANY 12000

static sigjmp_buf back;

static void
on_signal(int signo)
{
	siglongjmp(back, signo);
}

static bool
traps(const char *p)
{
	if (sigsetjmp(back, 1) != 0)
		return true;
	*(volatile char *)(uintptr_t)p = 1;
	return false;
}

static unsigned
mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned n = 0;

	for (int c; (c = getc(f)) != EOF;)
		n += c == '\n';
	fclose(f);
	return n;
}

static bool
works(void)
{
	struct pginfo *a, *b;
	bool zero, right;
	char *p, *q;

	a = pages_take(3, 1, &zero);
	b = pages_take(1, 1, &zero);
	p = page_address(a);
	q = page_address(b);
	memset(p, 1, 3 * malloc_pagesize);
	memset(q, 1, malloc_pagesize);
	right = traps(p + 3 * malloc_pagesize) && traps(q + malloc_pagesize);
	pages_give(b, 1);
	right &= traps(q) == !vm_guard_splits;
	pages_give(a, 3);
	a = pages_take(4, 1, &zero);
	right &= zero == !vm_guard_splits && !traps(page_address(a));
	pages_give(a, 4);
	return right && page_check(unit_complain) == 0;
}

static bool over;

/* Also of the kind that pages of chunks are. */
static void *
take_and_give(void *arg)
{
	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		bool zero;
		void *meta;
		struct pginfo *a = pages_take(3, 1, &zero);
		struct pginfo *b = page_take_for_chunks(256, false, &meta);

		if (a != NULL)
			pages_give(a, 3);
		if (b != NULL)
			page_give_for_chunks(b, meta, 256);
	}
	return arg;
}

/* A walk beside them, which sees each step that has a lock of its own. */
static bool
walks(void)
{
	pthread_t t;
	size_t broken = 0;

	if (pthread_create(&t, NULL, take_and_give, NULL) != 0)
		abort();
	for (int i = 0; i < 3000; i++)
		broken += page_check(unit_complain);
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	return broken == 0;
}

int
main(void)
{
	static struct pginfo *many[MANY];
	struct pginfo *large;
	unsigned before, most = 0;
	bool zero;

	malloc_init();
	page_guards = page_traps = true;
	signal(SIGSEGV, on_signal);
	signal(SIGBUS, on_signal);
	promise(works(), "a guard traps, and so do pages given back, until they are taken again");
	vm_guard_splits = true;
	promise(works(), "likewise for guards where each is a mapping");
	large = pages_take(20, 1, &zero);
	pages_give(large, 20);
	promise(traps(page_address(large)), "a large run that is free traps there too");
	before = mappings();
	for (int i = 0; i < MANY; i++)
		many[i] = pages_take(1, 1, &zero);
	most = mappings();
	promise(most - before < 20000, "guards leave most mappings of a process to others");
	for (int i = 0; i < MANY; i += 2)
		pages_give(many[i], 1);
	promise(mappings() - before < 40000, "and so do free pages");
	for (int i = 1; i < MANY; i += 2)
		pages_give(many[i], 1);
	promise(page_check(unit_complain) == 0, "all are given back");
	promise(works(), "and guards can be had again");
	vm_guard_splits = false;
	promise(walks(), "a run and its guard are whole to who walks the heap, also when they go");
	return unit_done();
}
