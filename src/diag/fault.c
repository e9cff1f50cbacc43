/*
 * fault.c: messages about wrong pointers; see fault.h. No state.
 */
#include "diag/fault.h"

#include "base/fmt.h"
#include "os/env.h"

#include <stdlib.h>
#include <unistd.h>

static const char *const texts[PTR_FAULT_COUNT] = {
	[PTR_OK] = "no fault",
	[PTR_TOO_LOW] = "junk pointer, too low to make sense",
	[PTR_TOO_HIGH] = "junk pointer, too high to make sense",
	[PTR_WRONG_PAGE] = "pointer to wrong page",
	[PTR_MODIFIED_PAGE] = "modified (page-) pointer",
	[PTR_MODIFIED_CHUNK] = "modified (chunk-) pointer",
	[PTR_FREE_CHUNK] = "chunk is already free",
	[PTR_FREE_PAGE] = "page is already free",
	[PTR_WRONG_SIZE] = "wrong size",
	[PTR_NEVER_CALLED] = "malloc() has never been called",
};

const char *
fault_text(enum ptr_fault fault)
{
	return texts[fault];
}

static void
prefix(struct fmt *f, const char *func)
{
	f->len = 0;
	fmt_add(f, "%s(%u) in %s(): error: ", env_program(), (unsigned)getpid(), func);
}

void
fault_report(const char *func, enum ptr_fault fault, const void *p, const struct place *place,
    size_t freed_size)
{
	struct fmt f;

	prefix(&f, func);
	fmt_add(&f, "%s %p", fault_text(fault), (uintptr_t)p);
	switch (place->kind) {
	case PLACE_UNKNOWN:
		break;
	case PLACE_CHUNK:
		fmt_add(&f, " (chunk of %z bytes, ", place->nbytes);
		break;
	case PLACE_LARGE:
		fmt_add(&f, " (allocation of %z pages, ", place->npages);
		break;
	case PLACE_FREE_RUN:
		fmt_add(&f, " (free run of %z pages, ", place->npages);
		break;
	}
	if (place->kind != PLACE_UNKNOWN) {
		fmt_add(&f, "%p-%p", place->start, place->end);
		if (fault == PTR_WRONG_SIZE)
			fmt_add(&f, ", freed with size %z", freed_size);
		fmt_char(&f, ')');
	}
	fmt_char(&f, '\n');
	env_write(f.text, f.len);
	abort();
}

void
fault_fatal(const char *func, const char *text)
{
	struct fmt f;

	prefix(&f, func);
	fmt_add(&f, "%s\n", text);
	env_write(f.text, f.len);
	abort();
}

void
assert_failed(const char *file, unsigned line, const char *what)
{
	struct fmt f;

	f.len = 0;
	fmt_add(&f, "%s(%u) in phkmalloc: internal error: %s:%u: %s\n", env_program(),
	    (unsigned)getpid(), file, line, what);
	env_write(f.text, f.len);
	abort();
}
