/*
 * cfi.h: how to get from a frame to its caller's, as the unwind tables of the loaded files say
 * (call frame information, .eh_frame).
 *
 * Programs are compiled without frame pointers, but their tables are always there. Reads only what
 * the dynamic linker says is mapped; allocates nothing, takes no lock, and may be called from
 * anywhere, signal handlers included. Understands the rules that compilers write for the stack
 * and frame pointers, and says so where it meets another.
 */
#ifndef PHK_CFI_H
#define PHK_CFI_H

#include "base/base.h"

/* Where the canonical frame address, the caller's stack pointer, is found. */
enum cfi_kind {
	CFI_NONE,     /* no table knows the address */
	CFI_STOP,     /* there is no caller, or a rule that is not understood */
	CFI_SP,       /* stack pointer + cfa */
	CFI_FP,       /* frame pointer + cfa */
	CFI_FP_DEREF, /* what is stored at frame pointer + cfa */
	CFI_SIGNAL,   /* a signal was handled: the registers lie at the stack pointer */
};

struct cfi {
	enum cfi_kind kind;
	bool fp_saved;  /* the caller's frame pointer was stored: */
	int32_t fp;     /* bytes from the CFA, with CFI_FP_DEREF from the frame pointer */
	int32_t cfa;    /* bytes */
};

/* The rule at a code address; remembered, so that asking again is cheap. */
struct cfi cfi_find(uintptr_t pc);

/* Where the file that contains an address is mapped; false when there is none or none tells. */
bool cfi_object(uintptr_t pc, uintptr_t *start, uintptr_t *end, const char **path);

#endif
