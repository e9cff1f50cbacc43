/*
 * check.c: the walk behind phkmalloc_check(): page layer, then chunks.
 */
#include "base/fmt.h"
#include "chunk/chunk.h"
#include "heap/careful.h"
#include "heap/heap.h"
#include "os/env.h"
#include "page/page_alloc.h"

static void
complain(const char *what, const void *where)
{
	struct fmt f;

	f.len = 0;
	fmt_add(&f, "%s in phkmalloc_check(): %s %p\n", env_program(), what, (uintptr_t)where);
	env_write(f.text, f.len);
}

size_t
heap_check(void)
{
	return page_check(complain) + chunk_check(complain) + careful_check(complain);
}
