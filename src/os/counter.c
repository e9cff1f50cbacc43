/*
 * counter.c: see counter.h. No state.
 */
#include "os/counter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"

/* What the kernel calls it; no name is this long where it has none. */
#if defined(__x86_64__)
static const char name[] = "tsc\n";
#elif defined(__aarch64__)
static const char name[] = "arch_sys_counter\n";
#else
static const char name[] = "there is no counter that programs may read\n";
#endif

bool
counter_good(void)
{
	char text[sizeof(name)];
	int saved = errno, fd = open(SOURCE, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (fd >= 0)
		close(fd);
	errno = saved;
	return n == (ssize_t)(sizeof(name) - 1) && memcmp(text, name, sizeof(name) - 1) == 0;
}
