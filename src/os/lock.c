/*
 * lock.c: futex locks; see lock.h. States: 0 free, 1 held, 2 held and somebody may sleep.
 */
#include "os/lock.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS 100
/* Of <linux/futex.h>, which compilers for other C libraries do not find. */
#define WAIT_PRIVATE 128
#define WAKE_PRIVATE 129

struct lock {
	int state ALIGNED(CACHE_LINE);
};

static struct lock locks[LOCK_COUNT];
uint32_t lock_nwaits[LOCK_COUNT];
static __thread uint16_t held_mask __attribute__((tls_model("initial-exec")));

ALWAYS_INLINE void
cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static NOINLINE void
lock_take_slow(enum lock_rank rank)
{
	int *state = &locks[rank].state, saved = errno;

	__atomic_fetch_add(&lock_nwaits[rank], 1, __ATOMIC_RELAXED);
	for (int i = 0; i < SPINS; i++) {
		int free_state = 0;

		if (load_relaxed(state) == 0 &&
		    __atomic_compare_exchange_n(state, &free_state, 1, false, __ATOMIC_ACQUIRE,
		    __ATOMIC_RELAXED))
			return;
		cpu_relax();
	}
	while (__atomic_exchange_n(state, 2, __ATOMIC_ACQUIRE) != 0)
		(void)syscall(SYS_futex, state, WAIT_PRIVATE, 2, NULL, NULL, 0);
	errno = saved;
}

void
lock_take(enum lock_rank rank)
{
	int *state = &locks[rank].state;
	int free_state = 0;

	/* Waiting for itself a thread would wait for ever. */
	if (UNLIKELY((held_mask >> rank) != 0))
		lock_recursive();
	held_mask = (uint16_t)(held_mask | 1U << rank);
	/* A signal handler from here on finds it so. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (UNLIKELY(!__atomic_compare_exchange_n(state, &free_state, 1, false, __ATOMIC_ACQUIRE,
	    __ATOMIC_RELAXED)))
		lock_take_slow(rank);
}

void
lock_drop(enum lock_rank rank)
{
	int *state = &locks[rank].state;

	if (UNLIKELY(__atomic_exchange_n(state, 0, __ATOMIC_RELEASE) == 2)) {
		int saved = errno;

		(void)syscall(SYS_futex, state, WAKE_PRIVATE, 1, NULL, NULL, 0);
		errno = saved;
	}
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	held_mask = (uint16_t)(held_mask & ~(1U << rank));
}

void
lock_take_all(void)
{
	for (unsigned r = 0; r < LOCK_COUNT; r++)
		lock_take((enum lock_rank)r);
}

void
lock_drop_all(void)
{
	for (unsigned r = LOCK_COUNT; r-- > 0;)
		lock_drop((enum lock_rank)r);
}

void
lock_reset_all(void)
{
	for (unsigned r = 0; r < LOCK_COUNT; r++)
		store_relaxed(&locks[r].state, 0);
	held_mask = 0;
}
