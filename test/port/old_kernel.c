/*
 * old_kernel.c: mremap and madvise as old kernels have them: without MREMAP_DONTUNMAP (5.7) and
 * without guards (6.13).
 *
 * Linked into the library and its tests, for a port of its own, and for those that QEMU runs: QEMU
 * lets both pass without knowing what they mean. It takes the memory that was moved away from for
 * unmapped, and says that there is a guard where there is none.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DONTUNMAP 4
#define GUARD_INSTALL 102

__attribute__((visibility("hidden"))) void *
mremap(void *from, size_t old_nbytes, size_t new_nbytes, int flags, ...)
{
	va_list ap;
	void *to;

	if ((flags & DONTUNMAP) != 0) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	va_start(ap, flags);
	to = (flags & MREMAP_FIXED) != 0 ? va_arg(ap, void *) : NULL;
	va_end(ap);
	return (void *)syscall(SYS_mremap, from, old_nbytes, new_nbytes, flags, to);
}

/* Weak: a test may have another. */
__attribute__((weak, visibility("hidden"))) int
madvise(void *base, size_t nbytes, int advice)
{
	if (advice >= GUARD_INSTALL) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_madvise, base, nbytes, advice);
}
