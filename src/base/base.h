/*
 * base.h: the words every file of the library uses: attributes, assertions, relaxed access.
 *
 * Holds no state and calls nothing outside base/. ASSERT is always compiled in and stands where
 * the check is O(1) and on data that a stray write could reach; DEBUG_ASSERT is for the rest.
 */
#ifndef PHK_BASE_H
#define PHK_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((cold, noinline))
/* What each process comes to, in a file whose other functions few need: see the Makefile. */
#define USUAL __attribute__((hot))
#define NORETURN __attribute__((noreturn))
/* A fast path: where its cache lines begin must not hang on what comes before it. */
#define FAST ALIGNED(CACHE_LINE)
#define EXPORT __attribute__((visibility("default")))
/* What is the library's own anyway, so that the compiler knows it is near. */
#define HIDDEN __attribute__((visibility("hidden")))
/* Named in assembler: optimizing while linking must not take it for unused, or rename it. */
#if __has_attribute(externally_visible)
#define ASM_VISIBLE __attribute__((externally_visible))
#else
#define ASM_VISIBLE
#endif
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define CACHE_LINE 64
/* What is sealed read-only fills OS pages of its own, of the largest kind the machine has. */
#ifdef __x86_64__
#define SEAL_NBYTES 4096
#else
#define SEAL_NBYTES 65536
#endif
#define ALIGNED(n) __attribute__((aligned(n)))

/* Ends the process on a broken invariant of the library itself; never used for a user's mistake. */
NORETURN COLD void assert_failed(const char *file, unsigned line, const char *what);

#define ASSERT(x) (LIKELY(x) ? (void)0 : assert_failed(__FILE__, __LINE__, #x))

#ifndef PHK_DEBUG
#define PHK_DEBUG 0
#endif
#define DEBUG_ASSERT(x) (!PHK_DEBUG || LIKELY(x) ? (void)0 : assert_failed(__FILE__, __LINE__, #x))

/*
 * Access to a word that one thread writes and others may read at any time. The readers either
 * need no more than a hint, or check what they read again after a stronger operation.
 */
#define load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
/*
 * The same for a single word on a fast path, where the compiler may make it an operand of the
 * instruction that uses it; it does not do that with atomic loads. Used once each time.
 */
#ifdef __SANITIZE_THREAD__
#define load_once(p) load_relaxed(p)
#else
#define load_once(p) (*(p))
#endif
#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* Rounds up to a multiple of a power of two. The caller has excluded overflow. */
ALWAYS_INLINE size_t
round_up(size_t n, size_t power)
{
	return (n + power - 1) & ~(power - 1);
}

ALWAYS_INLINE bool
is_power_of_two(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

ALWAYS_INLINE unsigned
log2_floor(size_t n)
{
	return 63U - (unsigned)__builtin_clzll(n);
}

/*
 * The steps of the fast paths that compilers make more instructions of than there need be: the
 * number of the lowest bit, setting bit i % 64 of a word that is told to have been 0 or 1, and both
 * halves of a product.
 */
#if defined(__x86_64__)
ALWAYS_INLINE uint64_t
lowest_bit(uint64_t word)
{
	uint64_t i;

	__asm__("rep bsfq %1, %0" : "=r"(i) : "r"(word) : "cc");
	return i;
}

ALWAYS_INLINE bool
set_bit(uint64_t *word, uint64_t i)
{
	uint64_t w = *word;
	bool was;

	__asm__("btsq %2, %0" : "+r"(w), "=@ccc"(was) : "r"(i));
	*word = w;
	return was;
}

ALWAYS_INLINE uint64_t
multiply_high(uint64_t a, uint64_t b, uint64_t *low)
{
	uint64_t high;

	__asm__("mulq %3" : "=a"(*low), "=d"(high) : "0"(a), "r"(b) : "cc");
	return high;
}
#else
ALWAYS_INLINE uint64_t
lowest_bit(uint64_t word)
{
	return (uint64_t)(unsigned)__builtin_ctzll(word);
}

ALWAYS_INLINE bool
set_bit(uint64_t *word, uint64_t i)
{
	bool was = (*word >> (i % 64) & 1) != 0;

	*word |= (uint64_t)1 << (i % 64);
	return was;
}

ALWAYS_INLINE uint64_t
multiply_high(uint64_t a, uint64_t b, uint64_t *low)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	*low = (uint64_t)product;
	return (uint64_t)(product >> 64);
}
#endif

/* Bits that are 1. In line: the baseline x86-64 has no instruction for it, only a slow function. */
ALWAYS_INLINE unsigned
count_bits(uint64_t word)
{
	word -= word >> 1 & 0x5555555555555555U;
	word = (word & 0x3333333333333333U) + (word >> 2 & 0x3333333333333333U);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fU;
	return (unsigned)(word * 0x0101010101010101U >> 56);
}

_Static_assert(sizeof(void *) == 8, "phkmalloc is for 64-bit machines");
_Static_assert(sizeof(size_t) == 8, "phkmalloc is for 64-bit machines");

#endif
