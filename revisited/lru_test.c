/*
 * lru_test: is what the Valgrind tool of that name counts right? Uses pages at random, gives some
 * back and moves some; then does the same in thought, for each size of memory on its own and
 * without any list, and prints what the tool must have printed.
 *
 * usage: lru_test SEED SIZE...
 */
#include "common.h"

#include <sys/syscall.h>
#include <ucontext.h>

#define OWN ((uintptr_t)0x40000000000)
#define STACK_NBYTES ((size_t)1 << 20)
#define NPAGES 64
#define NDEEDS 30000

enum deed_kind { USE, GIVE_BACK, MAP_NEW, MOVE };

struct deed {
	enum deed_kind kind;
	unsigned page, npages, to;
};

/* All that is touched while the tool counts, the stack included. */
struct own {
	volatile char tool[OS_PAGE];
	char stack[STACK_NBYTES];
	volatile char *arena;
	struct deed deeds[NDEEDS];
};

/* Without libc, whose tables would be pages that are used. */
static inline long
kernel(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = 0;
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c),
	    "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return result;
}

static void
work(void)
{
	struct own *own = (struct own *)OWN;

	own->tool[0] = 1;
	for (size_t i = 0; i < NDEEDS; i++) {
		const struct deed *d = &own->deeds[i];
		long at = (long)own->arena + (long)d->page * OS_PAGE;
		long to = (long)own->arena + (long)d->to * OS_PAGE, n = (long)d->npages * OS_PAGE;

		if (d->kind == USE)
			own->arena[(size_t)d->page * OS_PAGE] = 1;
		else if (d->kind == GIVE_BACK)
			kernel(SYS_madvise, at, n, MADV_DONTNEED, 0, 0);
		else if (d->kind == MAP_NEW)
			kernel(SYS_mmap, at, n, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
		else
			kernel(SYS_mremap, at, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		/* What moved away leaves nothing behind: it is mapped again. */
		if (d->kind == MOVE)
			kernel(SYS_mmap, at, n, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
	}
	own->tool[0] = 0;
}

/* One memory: a page is nowhere (0), on disk (1) or in it (2). */
struct memory {
	size_t size, resident;
	unsigned char state[NPAGES];
	size_t used[NPAGES];	/* when last */
};

static void
make_room(struct memory *m)
{
	size_t oldest = NPAGES;

	if (m->resident++ < m->size)
		return;
	m->resident--;
	for (size_t p = 0; p < NPAGES; p++)
		if (m->state[p] == 2 && (oldest == NPAGES || m->used[p] < m->used[oldest]))
			oldest = p;
	m->state[oldest] = 1;
}

static void
forget(struct memory *m, size_t page)
{
	m->resident -= m->state[page] == 2;
	m->state[page] = 0;
}

static size_t
faults_of(const struct own *own, size_t size)
{
	struct memory m = { .size = size };
	size_t nfaults = 0;

	for (size_t i = 0; i < NDEEDS; i++) {
		const struct deed *d = &own->deeds[i];

		if (d->kind == USE) {
			nfaults += m.state[d->page] == 1;
			if (m.state[d->page] != 2)
				make_room(&m);
			m.state[d->page] = 2;
			m.used[d->page] = i;
			continue;
		}
		for (size_t p = 0; p < d->npages; p++) {
			if (d->kind == MOVE) {
				forget(&m, d->to + p);
				m.state[d->to + p] = m.state[d->page + p];
				m.used[d->to + p] = m.used[d->page + p];
				m.state[d->page + p] = 0;
			} else {
				forget(&m, d->page + p);
			}
		}
	}
	return nfaults;
}

static void
think_up(struct own *own, uint64_t *rng)
{
	for (size_t i = 0; i < NDEEDS; i++) {
		struct deed *d = &own->deeds[i];
		size_t what = rng_between(rng, 0, 199);

		d->kind = what < 5 ? GIVE_BACK : what < 7 ? MAP_NEW : what < 9 ? MOVE : USE;
		/* Half of the pages are used far more than the others. */
		d->page = (unsigned)rng_between(rng, 0, what % 4 ? NPAGES / 4 : NPAGES - 1);
		d->npages = (unsigned)rng_between(rng, 1, 6);
		if (d->kind == MOVE) {
			d->page %= NPAGES / 2 - 6;
			d->to = NPAGES / 2 + (unsigned)rng_between(rng, 0, NPAGES / 2 - 6);
		} else if (d->page + d->npages > NPAGES) {
			d->npages = NPAGES - d->page;
		}
	}
}

int
main(int argc, char **argv)
{
	struct own *own = mmap((void *)OWN, sizeof(*own), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	uint64_t rng = 7 + argument(argc, argv, 1);
	ucontext_t here, there;

	if (own == MAP_FAILED)
		die("no memory");
	own->arena = mmap(NULL, NPAGES * OS_PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	think_up(own, &rng);
	getcontext(&there);
	there.uc_stack = (stack_t){ .ss_sp = own->stack, .ss_size = sizeof(own->stack) };
	there.uc_link = &here;
	makecontext(&there, work, 0);
	swapcontext(&here, &there);
	for (int i = 2; i < argc; i++)
		say(1, "faults=%zu %zu\n", argument(argc, argv, i),
		    faults_of(own, argument(argc, argv, i)));
	return 0;
}
