/*
 * fault.c: messages about wrong pointers; see fault.h. State: whether the program takes messages.
 */
#include "diag/fault.h"

#include "base/fmt.h"
#include "conf/conf.h"
#include "diag/stack.h"
#include "os/env.h"
#include "os/lock.h"

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
	[PTR_WRONG_ALIGNMENT] = "wrong alignment",
	[PTR_MISMATCHED] = "mismatched deallocation",
	[PTR_NEVER_CALLED] = "malloc() has never been called",
	[PTR_CANARY] = "canary is corrupted, written past the end of",
	[PTR_WRITTEN_FREE] = "written after it was freed",
	[PTR_USED_FREE] = "used after it was freed",
	[PTR_OVERFLOW] = "access past the end of",
	[PTR_UNDERFLOW] = "access before the start of",
};

const char *
fault_text(enum ptr_fault fault)
{
	return texts[fault];
}

/* A program may define this to get the messages instead of standard error. */
__attribute__((weak)) void malloc_message(const char *text, size_t nbytes);
static bool has_hook;

USUAL void
fault_init(void)
{
	has_hook = malloc_message != NULL && env_is_code((const void *)(uintptr_t)malloc_message);
}

static void
prefix(struct fmt *f, const char *func, bool fatal)
{
	f->len = 0;
	fmt_add(f, "%s(%u) in %s(): %s: ", env_program(), (unsigned)getpid(), func,
	    fatal ? "error" : "warning");
}

static void
emit(const struct fmt *f)
{
	if (opt.quiet)
		return;
	if (has_hook)
		malloc_message(f->text, f->len);
	else
		env_write(f->text, f->len);
}

static void
add_place(struct fmt *f, enum ptr_fault fault, const struct place *place)
{
	switch (place->kind) {
	case PLACE_UNKNOWN:
		return;
	case PLACE_CHUNK:
		fmt_add(f, " (chunk of %z bytes, ", place->nbytes);
		break;
	case PLACE_LARGE:
		fmt_add(f, " (allocation of %z pages, ", place->npages);
		break;
	case PLACE_FREE_RUN:
		fmt_add(f, " (free run of %z pages, ", place->npages);
		break;
	case PLACE_SAMPLED:
		fmt_add(f, " (sampled allocation of %z bytes, ", place->nbytes);
		break;
	}
	fmt_add(f, "%p-%p", place->start, place->end);
	if (place->kind == PLACE_CHUNK)
		fmt_add(f, ", page %p", place->page);
	if (fault == PTR_WRONG_SIZE)
		fmt_add(f, ", freed with size %z", place->freed_size);
	if (fault == PTR_MISMATCHED)
		fmt_add(f, ", allocated by %s", place->by);
	if (fault == PTR_CANARY || fault == PTR_WRITTEN_FREE)
		fmt_add(f, ", written at %p", place->written);
	if (place->thread != 0)
		fmt_add(f, ", thread %u", (unsigned)place->thread);
	fmt_char(f, ')');
}

static void
report(const char *func, bool fatal, enum ptr_fault fault, const void *p,
    const struct place *place)
{
	struct fmt f;

	prefix(&f, func, fatal);
	fmt_add(&f, "%s %p", fault_text(fault), (uintptr_t)p);
	add_place(&f, fault, place);
	fmt_char(&f, '\n');
	if (place->allocated != 0)
		stack_print(&f, "  allocated at:", place->allocated);
	if (place->freed != 0)
		stack_print(&f, "  freed at:", place->freed);
	emit(&f);
}

void
fault_report(const char *func, enum ptr_fault fault, const void *p, const struct place *place)
{
	report(func, opt.abort_on_fault, fault, p, place);
	if (opt.abort_on_fault)
		abort();
}

void
fault_warn(const char *func, enum ptr_fault fault, const void *p, const struct place *place)
{
	report(func, false, fault, p, place);
}

void
fault_note(const char *func, const char *text, const void *p)
{
	struct fmt f;

	prefix(&f, func, false);
	fmt_add(&f, "%s %p\n", text, (uintptr_t)p);
	emit(&f);
}

void
fault_say(const char *func, const char *text, const char *detail)
{
	struct fmt f;

	prefix(&f, func, false);
	fmt_add(&f, "%s%s%s\n", text, detail == NULL ? "" : " ", detail == NULL ? "" : detail);
	emit(&f);
}

void
fault_fatal(const char *func, const char *text)
{
	struct fmt f;

	prefix(&f, func, true);
	fmt_add(&f, "%s\n", text);
	emit(&f);
	abort();
}

void
lock_recursive(void)
{
	fault_fatal("malloc", "recursive call");
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
