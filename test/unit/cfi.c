/*
 * cfi.c: each form of the rules that unwinding tables can have, also those that no library of this
 * machine uses: what is understood is understood rightly, and what is not is said to be so.
 */
#include "os/cfi.h"
#include "unit.h"

#include <dlfcn.h>
#include <features.h>

#if defined(__x86_64__) && defined(__GLIBC__)
/* A function of two parts: the rules that are tested are those of the second. */
#define FUNCTION(name, rules) \
	__asm__(".pushsection .text\n.type " #name ", @function\n" #name ":\n.cfi_startproc\nnop\n" \
	    rules "\n" #name "_at:\nnop\nnop\n.cfi_endproc\n.size " #name ", .-" #name \
	    "\n.popsection\n"); \
	extern const char name##_at[]

/* Register 6 is the frame pointer, 7 the stack pointer, 16 the return address; the factor is -8. */
FUNCTION(plain, ".cfi_def_cfa_offset 24\n.cfi_offset 6, -16");
FUNCTION(frame, ".cfi_offset 6, -16\n.cfi_def_cfa 6, 16");
FUNCTION(cfa_sf, ".cfi_escape 0x12, 7, 0x7e");
FUNCTION(cfa_offset_sf, ".cfi_escape 0x13, 0x7d");
FUNCTION(offset_ext, ".cfi_escape 0x05, 6, 2");
FUNCTION(offset_ext_sf, ".cfi_escape 0x11, 6, 3");
FUNCTION(restore_ext, ".cfi_escape 0x05, 6, 2\n.cfi_escape 0x06, 6");
FUNCTION(restore, ".cfi_offset 6, -16\n.cfi_restore 6");
FUNCTION(same, ".cfi_offset 6, -16\n.cfi_same_value 6");
FUNCTION(lost, ".cfi_offset 6, -16\n.cfi_undefined 6");
FUNCTION(last, ".cfi_undefined 16");
FUNCTION(other_register, ".cfi_offset 3, -16\n.cfi_def_cfa 10, 0");
FUNCTION(in_register, ".cfi_offset 6, -16\n.cfi_register 6, 3");
FUNCTION(value, ".cfi_offset 6, -16\n.cfi_escape 0x14, 6, 1");
FUNCTION(value_sf, ".cfi_offset 6, -16\n.cfi_escape 0x15, 6, 1");
FUNCTION(value_expression, ".cfi_offset 6, -16\n.cfi_escape 0x16, 6, 2, 0x76, 0");
FUNCTION(args_size, ".cfi_escape 0x2e, 16\n.cfi_def_cfa_offset 16");
FUNCTION(realigned, ".cfi_escape 0x0f, 3, 0x76, 0x78, 0x06\n.cfi_escape 0x10, 6, 2, 0x76, 0");
FUNCTION(cfa_expression, ".cfi_escape 0x0f, 3, 0x77, 8, 0x06");
FUNCTION(cfa_not_loaded, ".cfi_escape 0x0f, 2, 0x76, 0x78");
FUNCTION(cfa_more, ".cfi_escape 0x0f, 4, 0x76, 0x78, 0x06, 0x06\n.cfi_escape 0x10, 6, 2, 0x76, 0");
FUNCTION(remembered, ".cfi_def_cfa_offset 32\n.cfi_remember_state\n.cfi_def_cfa_offset 64\n"
    ".cfi_restore_state");
FUNCTION(never_remembered, ".cfi_escape 0x0b");
FUNCTION(far_1, ".fill 100, 1, 0x90\n.cfi_def_cfa_offset 16");
FUNCTION(far_2, ".fill 1000, 1, 0x90\n.cfi_def_cfa_offset 24");
FUNCTION(far_4, ".fill 70000, 1, 0x90\n.cfi_def_cfa_offset 32");
FUNCTION(too_large, ".cfi_escape 0x0e, 0x80, 0x80, 0x80, 0x80, 0x20");
FUNCTION(later, "later_before:\nnop\nnop\n.cfi_def_cfa_offset 48");
extern const char later_before[];
FUNCTION(handled, ".cfi_signal_frame");
FUNCTION(with_handlers, ".cfi_personality 0x9b, cfi_personality\n.cfi_lsda 0x1b, cfi_lsda\n"
    ".cfi_def_cfa_offset 40");
__asm__(".pushsection .data.rel.local,\"aw\"\ncfi_personality: .quad cfi_lsda\n.popsection\n"
    ".pushsection .rodata\ncfi_lsda: .quad 0\n.popsection\n");
__asm__(".pushsection .text\nno_rules_at:\nnop\nnop\n.popsection\n");
extern const char no_rules_at[];

static const struct {
	const char *at, *name;
	struct cfi is;
} rules[] = {
	{plain_at, "an offset from the stack pointer", {CFI_SP, true, -16, 24}},
	{frame_at, "an offset from the frame pointer", {CFI_FP, true, -16, 16}},
	{cfa_sf_at, "an offset in units of the tables", {CFI_SP, false, 0, 16}},
	{cfa_offset_sf_at, "the same without a register", {CFI_SP, false, 0, 24}},
	{offset_ext_at, "a register's place, the longer form", {CFI_SP, true, -16, 8}},
	{offset_ext_sf_at, "a register's place, the signed form", {CFI_SP, true, -24, 8}},
	{restore_ext_at, "as at first, the longer form", {CFI_SP, false, 0, 8}},
	{restore_at, "as at first", {CFI_SP, false, 0, 8}},
	{same_at, "a register that is not changed", {CFI_SP, false, 0, 8}},
	{lost_at, "a frame pointer that is lost", {CFI_SP, false, 0, 8}},
	{last_at, "a function that nobody called", {CFI_STOP, false, 0, 0}},
	{other_register_at, "an offset from another register", {CFI_STOP, false, 0, 0}},
	{in_register_at, "a frame pointer in another register", {CFI_SP, false, 0, 8}},
	{value_at, "a frame pointer that is computed", {CFI_SP, false, 0, 8}},
	{value_sf_at, "the same, signed", {CFI_SP, false, 0, 8}},
	{value_expression_at, "the same by an expression", {CFI_SP, false, 0, 8}},
	{args_size_at, "what is of no interest", {CFI_SP, false, 0, 16}},
	{realigned_at, "a stack that was aligned anew", {CFI_FP_DEREF, true, 0, -8}},
	{cfa_expression_at, "an expression of the stack pointer", {CFI_STOP, false, 0, 0}},
	{cfa_not_loaded_at, "an expression of another kind", {CFI_STOP, false, 0, 0}},
	{cfa_more_at, "an expression that goes on", {CFI_STOP, false, 0, 0}},
	{remembered_at, "rules that were kept for later", {CFI_SP, false, 0, 32}},
	{never_remembered_at, "rules that were never kept", {CFI_STOP, false, 0, 0}},
	{far_1_at, "a step of one byte", {CFI_SP, false, 0, 16}},
	{far_2_at, "a step of two bytes", {CFI_SP, false, 0, 24}},
	{far_4_at, "a step of four bytes", {CFI_SP, false, 0, 32}},
	{too_large_at, "an offset that is no offset", {CFI_STOP, false, 0, 0}},
	{later_before, "rules of a later part do not hold before it", {CFI_SP, false, 0, 8}},
	{later_at, "and hold in it", {CFI_SP, false, 0, 48}},
	{handled_at, "a signal's frame", {CFI_SIGNAL, false, 0, 0}},
	{with_handlers_at, "a function with exceptions to handle", {CFI_SP, false, 0, 40}},
	{no_rules_at, "code without rules", {CFI_NONE, false, 0, 0}},
};

static bool
is(const struct cfi *a, const struct cfi *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == CFI_NONE || a->kind == CFI_STOP || a->kind == CFI_SIGNAL)
		return true;
	return a->cfa == b->cfa && a->fp_saved == b->fp_saved && (!a->fp_saved || a->fp == b->fp);
}

int
main(void)
{
	if (dlsym(RTLD_DEFAULT, "_dl_find_object") == NULL) {
		printf("1..0 # SKIP the C library does not tell where tables are\n");
		return 0;
	}
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		/* Behind a call, as return addresses are; asked again it is remembered. */
		uintptr_t pc = (uintptr_t)rules[i].at;
		struct cfi first = cfi_find(pc), again = cfi_find(pc);

		promise(is(&first, &rules[i].is) && is(&again, &rules[i].is), rules[i].name);
		if (!is(&first, &rules[i].is))
			printf("# kind %d, cfa %d, frame pointer %d at %d\n", (int)first.kind, first.cfa,
			    first.fp_saved, first.fp);
	}
	return unit_done();
}
#else
int
main(void)
{
	printf("1..0 # SKIP stacks are not walked by tables here\n");
	return 0;
}
#endif
