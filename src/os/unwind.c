/*
 * unwind.c: stacks by the C library's unwinder; see unwind.h. State: a flag of each thread.
 */
#include "os/unwind.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>

#define RAW_MAX 32

static __thread bool inside __attribute__((tls_model("initial-exec")));

unsigned
unwind(void **frames, unsigned max)
{
	void *raw[RAW_MAX];
	int saved = errno, n;
	unsigned kept = 0;

	if (inside)
		return 0;
	inside = true;
	n = backtrace(raw, RAW_MAX);
	inside = false;
	errno = saved;
	for (int i = 1; i < n && kept < max; i++)
		frames[kept++] = raw[i];
	return kept;
}

/* Whether the address is code of this library, which is told apart only when it is a .so. */
static bool
is_ours(const Dl_info *info)
{
	Dl_info self, libc;

	return dladdr((void *)(uintptr_t)unwind, &self) != 0 &&
	    info->dli_fbase == self.dli_fbase && self.dli_sname == NULL &&
	    dladdr((void *)(uintptr_t)backtrace, &libc) != 0 && libc.dli_fbase != self.dli_fbase;
}

bool
unwind_module(void *address, const char **module, uintptr_t *offset)
{
	Dl_info info;

	if (dladdr(address, &info) == 0 || info.dli_fname == NULL || is_ours(&info))
		return false;
	*module = info.dli_fname;
	*offset = (uintptr_t)address - (uintptr_t)info.dli_fbase;
	return true;
}
