/*
 * descriptor.c: the one constant that tells tools outside the process where everything lies;
 * see phkmalloc_inspect.h. Written by the compiler, so it cannot disagree with the structures.
 */
#include "chunk/chunk.h"
#include "conf/conf.h"
#include "diag/stack.h"
#include "heap/sample.h"
#include "large/large.h"
#include "page/page_alloc.h"
#include "phkmalloc.h"
#include "phkmalloc_inspect.h"
#include "watch/profile.h"

#define ADDRESS(x) ((uint64_t)(uintptr_t)&(x))

extern EXPORT const struct phkmalloc_descriptor phkmalloc_descriptor
    __attribute__((alias("phk_descriptor")));

/*
 * An ELF note that stays in stripped and static programs: name "phkmalloc", type 1, and as its
 * contents the distance from there to the descriptor.
 */
__asm__(".pushsection .note.phkmalloc,\"a\",@note\n"
    ".balign 4\n"
    ".long 10, 4, 1\n"
    ".asciz \"phkmalloc\"\n"
    ".balign 4\n"
    ".long phk_descriptor - .\n"
    ".balign 4\n"
    ".popsection\n");

/* Global, so that the note finds it whatever the compiler does, and not seen from outside. */
extern HIDDEN ASM_VISIBLE const struct phkmalloc_descriptor phk_descriptor;
const struct phkmalloc_descriptor phk_descriptor = {
	.magic = PHKMALLOC_DESCRIPTOR_MAGIC,
	.version = PHKMALLOC_DESCRIPTOR_VERSION,
	.nbytes = sizeof(struct phkmalloc_descriptor),
	.library = PHKMALLOC_VERSION,
	.arenas = ADDRESS(arenas),
	.arena_count = ADDRESS(arena_count),
	.size_classes = ADDRESS(size_classes),
	.owners = ADDRESS(owner_list),
	.large_nmalloc = ADDRESS(large_nmalloc),
	.large_nfree = ADDRESS(large_nfree),
	.npurged = ADDRESS(page_layer.npurged),
	.conf_letters = ADDRESS(conf_page.conf.letters),
	.page_shift = malloc_pageshift,
	.arena_max = ARENA_MAX,
	.arena_nbytes = sizeof(struct arena),
	.arena_origin = offsetof(struct arena, origin),
	.arena_limit = offsetof(struct arena, limit),
	.arena_page_dir = offsetof(struct arena, page_dir),
	.arena_npages = offsetof(struct arena, npages),
	.entry_nbytes = sizeof(struct pginfo),
	.entry_bits = offsetof(struct pginfo, bits),
	.bits_countdown = sizeof(struct page_counts) - offsetof(struct page_counts, countdown),
	.bits_started = sizeof(struct page_counts) - offsetof(struct page_counts, started),
	.chunk_nchunks = offsetof(struct pginfo, chunk.nchunks),
	.chunk_class_no = offsetof(struct pginfo, chunk.class_no),
	.chunk_state = offsetof(struct pginfo, chunk.state),
	.free_npages = offsetof(struct pginfo, free.npages),
	.free_ndirty = offsetof(struct pginfo, free.ndirty),
	.large_npages = offsetof(struct pginfo, large.npages),
	.large_nbytes = offsetof(struct pginfo, large.nbytes),
	.large_guard = offsetof(struct pginfo, large.guard),
	.class_count = CLASS_COUNT,
	.class_nbytes = sizeof(struct size_class),
	.class_size = offsetof(struct size_class, size),
	.class_nchunks = offsetof(struct size_class, nchunks),
	.class_nwords = offsetof(struct size_class, nwords),
	.class_remote = offsetof(struct size_class, remote),
	.owner_next = offsetof(struct owner, next),
	.owner_thread = offsetof(struct owner, thread),
	.owner_state = offsetof(struct owner, state),
	.owner_nfreed = offsetof(struct owner, nfreed),
	.owner_rounding = offsetof(struct owner, rounding),
	.watch = ADDRESS(owner_watch),
	.profile = ADDRESS(profile),
	.stacks = ADDRESS(stack_table),
	.samples = ADDRESS(sample_counts),
	.owner_large = offsetof(struct owner, large_nmalloc),
	.nused_max = ADDRESS(page_layer.nused_max),
};

_Static_assert(sizeof(struct phkmalloc_descriptor) == PHKMALLOC_DESCRIPTOR_NBYTES,
    "programs that were linked before copy as much");
_Static_assert(offsetof(struct owner, large_nfree) ==
    offsetof(struct owner, large_nmalloc) + sizeof(uint64_t), "tools read both at once");
_Static_assert(sizeof(struct phkmalloc_watch) == sizeof(owner_watch), "tools write all of it");
_Static_assert(sizeof(struct phkmalloc_stacks) == sizeof(stack_table), "tools read it as theirs");
_Static_assert(sizeof(struct phkmalloc_samples) == sizeof(sample_counts), "the same, too");
