/*
 * next.c: see next.h. The addresses are in a page of their own that is sealed once they are there,
 * so that nothing which can be written to is called.
 */
#include "os/next.h"

#include "os/vm.h"

#include <dlfcn.h>

/* Weak: a static program has no dynamic linker, and no other allocator either. */
extern __attribute__((weak)) void *dlsym(void *handle, const char *name);

static union {
	struct {
		void (*free)(void *p);
		void *(*realloc)(void *p, size_t n);
		size_t (*usable)(void *p);
		bool found;
	};
	char page[SEAL_NBYTES];
} next ALIGNED(SEAL_NBYTES);

bool
next_init(bool hard)
{
	if (dlsym == NULL)
		return false;
	*(void **)&next.free = dlsym(RTLD_NEXT, "free");
	*(void **)&next.realloc = dlsym(RTLD_NEXT, "realloc");
	*(void **)&next.usable = dlsym(RTLD_NEXT, "malloc_usable_size");
	/* cppcheck-suppress overlappingWriteUnion */
	next.found = next.free != NULL && next.realloc != NULL && next.usable != NULL;
	if (vm_pagesize <= SEAL_NBYTES)
		(void)vm_seal(&next, SEAL_NBYTES, hard);
	return next.found;
}

bool
next_is(void)
{
	return next.found;
}

void
next_free(void *p)
{
	next.free(p);
}

void *
next_realloc(void *p, size_t n)
{
	return next.realloc(p, n);
}

size_t
next_usable(void *p)
{
	return next.usable(p);
}
