/*
 * unwind.c: walks the stack; see unwind.h. State: what is known at start of the library and the
 * first thread, and of each thread how far down its stack is known to be readable.
 */
#include "os/unwind.h"

#include "os/cfi.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* Frames of the library itself and of what the program's are cut off at, so that a walk ends. */
#define WALK_MAX 256U
/* A stack is learnt to be the thread's own when so little of it is in use. */
#define LEARN_NBYTES ((uintptr_t)256 << 10)
#define PAGE_MASK ((uintptr_t)4095) /* of the smallest OS page there is */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NO_SANITIZE __attribute__((no_sanitize_address, no_sanitize_thread))
#else
#define NO_SANITIZE
#endif

extern __attribute__((weak)) void *__libc_stack_end;

/* The own stack is readable from here to its end; 0 before anything is known. */
static __thread uintptr_t stack_low __attribute__((tls_model("initial-exec")));
static bool ready;
static pthread_t first_thread;
static uintptr_t own_start, own_end; /* of the library; both 0 when it is part of the program */

struct walk {
	uintptr_t pc;
	uintptr_t sp;
	uintptr_t fp;
	uintptr_t end;    /* of the stack, or of what of it is known to be readable */
	bool own;         /* end is the end */
};

/* The kernel says without a signal: it reads the set first, and then finds `how` to be wrong. */
static bool
is_readable(uintptr_t address)
{
	int saved = errno;
	bool readable = syscall(SYS_rt_sigprocmask, ~0, address & ~(uintptr_t)7, NULL, 8) == 0 ||
	    errno != EFAULT;

	errno = saved;
	return readable;
}

/* Where the thread's own stack ends: the C library keeps the thread's state above it. */
static uintptr_t
stack_end(void)
{
	pthread_t self = pthread_self();

	if (self != first_thread)
		return (uintptr_t)self;
	return &__libc_stack_end != NULL ? (uintptr_t)__libc_stack_end : 0;
}

/* Finds out what may be read from w->sp on, which is in use and so readable itself. */
static void
bounds(struct walk *w)
{
	uintptr_t end = stack_end(), sp = w->sp, low = stack_low;

	if (low == 0)
		low = end & ~PAGE_MASK;
	w->own = sp >= low && sp < end;
	if (!w->own && sp < low && low - sp <= LEARN_NBYTES) {
		uintptr_t at = sp & ~PAGE_MASK;

		while (at < low && is_readable(at))
			at += PAGE_MASK + 1;
		w->own = at >= low;
		if (w->own)
			stack_low = sp & ~PAGE_MASK;
	}
	w->end = w->own ? end : (sp | PAGE_MASK) + 1;
}

/* Whether the word at an address of this stack can be read. */
static bool
can_read(struct walk *w, uintptr_t address)
{
	if (address < w->sp || address % sizeof(uintptr_t) != 0)
		return false;
	if (address < w->end)
		return true;
	/* Of a stack whose end is not known, page by page, and not far. */
	while (!w->own && address - w->end < LEARN_NBYTES && is_readable(w->end)) {
		w->end += PAGE_MASK + 1;
		if (address < w->end)
			return true;
	}
	return false;
}

NO_SANITIZE static uintptr_t
word_at(uintptr_t address)
{
	return *(const uintptr_t *)address;
}

/* Goes on to the caller, whose stack pointer is cfa and whose frame pointer is stored at `fp`. */
static bool
step_to(struct walk *w, uintptr_t cfa, bool fp_saved, uintptr_t fp)
{
	if (cfa <= w->sp || !can_read(w, cfa - sizeof(uintptr_t)) ||
	    (fp_saved && !can_read(w, fp)))
		return false;
	w->pc = word_at(cfa - sizeof(uintptr_t));
	if (fp_saved)
		w->fp = word_at(fp);
	w->sp = cfa;
	return true;
}

/*
 * A frame pointer, if it is one, points to the caller's and to the return address behind it, or on
 * RISC-V right behind both. Elsewhere than on x86 it may be equal to the stack pointer.
 */
static bool
step_frame(struct walk *w)
{
#if defined(__riscv)
	return w->fp > w->sp && step_to(w, w->fp, true, w->fp - 2 * sizeof(uintptr_t));
#else
	return w->fp >= w->sp && step_to(w, w->fp + 2 * sizeof(uintptr_t), true, w->fp);
#endif
}

#if defined(__x86_64__)
/* A signal handler returns to where it was interrupted, perhaps on another stack. */
static bool
step_signal(struct walk *w)
{
	const size_t gregs = w->sp + offsetof(ucontext_t, uc_mcontext.gregs);

	if (!can_read(w, gregs + REG_RIP * sizeof(greg_t)))
		return false;
	w->pc = word_at(gregs + REG_RIP * sizeof(greg_t));
	w->fp = word_at(gregs + REG_RBP * sizeof(greg_t));
	w->sp = word_at(gregs + REG_RSP * sizeof(greg_t));
	if (w->sp == 0 || !is_readable(w->sp))
		return false;
	bounds(w);
	return true;
}
#else
static bool
step_signal(struct walk *w)
{
	(void)w;
	return false;
}
#endif

/* Goes on to the caller; exact is true where pc is not a return address. */
static bool
step(struct walk *w, bool *exact)
{
	struct cfi c = cfi_find(*exact ? w->pc : w->pc - 1);
	uintptr_t at;

	*exact = false;
	switch (c.kind) {
	case CFI_NONE:
		return step_frame(w);
	case CFI_STOP:
		return false;
	case CFI_SP:
		at = w->sp + (uintptr_t)(intptr_t)c.cfa;
		return step_to(w, at, c.fp_saved, at + (uintptr_t)(intptr_t)c.fp);
	case CFI_FP:
		at = w->fp + (uintptr_t)(intptr_t)c.cfa;
		return step_to(w, at, c.fp_saved, at + (uintptr_t)(intptr_t)c.fp);
	case CFI_FP_DEREF:
		at = w->fp + (uintptr_t)(intptr_t)c.cfa;
		return can_read(w, at) && step_to(w, word_at(at), c.fp_saved,
		    w->fp + (uintptr_t)(intptr_t)c.fp);
	case CFI_SIGNAL:
		*exact = true;
		return step_signal(w);
	}
	return false;
}

USUAL void
unwind_init(void)
{
	const char *path;

	if (ready)
		return;
	first_thread = pthread_self();
	/* The program itself has no name there. */
	if (!cfi_object((uintptr_t)unwind, &own_start, &own_end, &path) || path == NULL ||
	    path[0] == '\0')
		own_end = own_start;
	ready = true;
}

NOINLINE unsigned
unwind(void **frames, unsigned max)
{
	struct walk w;
	bool exact = true, out = false;
	unsigned n = 0;

	if (!ready)
		return 0;
#if defined(__x86_64__)
	__asm__("leaq (%%rip), %0\n\tmovq %%rsp, %1\n\tmovq %%rbp, %2"
	    : "=&r"(w.pc), "=&r"(w.sp), "=&r"(w.fp));
#else
	w.fp = (uintptr_t)__builtin_frame_address(0);
	/* Not above what a frame has of its own, wherever in it the pointer points. */
	w.sp = w.fp - 2 * sizeof(uintptr_t);
	w.pc = (uintptr_t)__builtin_return_address(0);
#endif
	bounds(&w);
	for (unsigned i = 0; i < WALK_MAX && n < max && step(&w, &exact) && w.pc != 0; i++) {
		out |= w.pc - own_start >= own_end - own_start;
		if (out)
			frames[n++] = (void *)w.pc;
	}
	return n;
}

bool
unwind_module(void *address, const char **module, uintptr_t *offset)
{
	uintptr_t start, end;

	if ((uintptr_t)address - own_start < own_end - own_start ||
	    !cfi_object((uintptr_t)address, &start, &end, module) || *module == NULL)
		return false;
	if ((*module)[0] == '\0' && program_invocation_name != NULL)
		*module = program_invocation_name;
	*offset = (uintptr_t)address - start;
	return true;
}
