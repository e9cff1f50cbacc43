/*
 * counter.h: the processor's own counter of time, for what needs the time too often to ask for it.
 *
 * It goes forward at a steady rate, the same for all processors, where counter_good() says so: the
 * kernel keeps its own time by it then. A reading may be moved before or after what is around it by
 * as much as the processor runs ahead, which is less than a microsecond or two.
 */
#ifndef PHK_COUNTER_H
#define PHK_COUNTER_H

#include "base/base.h"

/* Whether the kernel trusts it. Reads a file; allocates nothing, leaves errno alone. */
bool counter_good(void);

#if defined(__x86_64__)
ALWAYS_INLINE uint64_t
counter_read(void)
{
	return __builtin_ia32_rdtsc();
}
#elif defined(__aarch64__)
ALWAYS_INLINE uint64_t
counter_read(void)
{
	uint64_t v;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
	return v;
}
#else
ALWAYS_INLINE uint64_t
counter_read(void)
{
	return 0;
}
#endif

#endif
