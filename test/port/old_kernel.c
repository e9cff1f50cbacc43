/*
 * old_kernel.c: mremap as kernels before 5.7 have it, without MREMAP_DONTUNMAP.
 *
 * QEMU passes that flag on without knowing what it means, and then takes the memory that was moved
 * away from for unmapped: it does not purge it any more. Linked into the library for tests that
 * QEMU runs; the library then copies, as it does on such a kernel.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DONTUNMAP 4

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
