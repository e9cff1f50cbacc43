/*
 * phkmalloc_inspect.h: where the bookkeeping of a process lies, for tools that read it from
 * outside (another process, a core dump, a debugger).
 *
 * The library has one constant, phkmalloc_descriptor, of the type below: an exported symbol, and
 * the goal of an ELF note that is loaded with the library or with a program that it is linked into,
 * stripped or not. The note's contents are a signed 32-bit distance, from where they lie to the
 * descriptor. A tool finds either, checks magic, version and nbytes, and reads the rest with
 * process_vm_readv or from a core file. All of it is plain memory that changes while the process
 * runs: a reader bounds every count and every pointer it follows.
 *
 * Addresses are those of the process. Offsets and sizes are in bytes.
 *
 *   arenas[i]       origin, limit (bytes in use from origin), page_dir, npages (reserved)
 *   page_dir[n]     one entry of entry_nbytes for the page at origin + n * 2^page_shift
 *   entry           its first word is 0 not mine, 1 free, 2 first of a large allocation, 3 follow,
 *                   4 a page and 5 a run of large_npages on the way between free and in use, or
 *                   else (from 64 on) an owner's address with flags in the low three bits (1
 *                   pending remote frees, 2 options that look at each allocation, 4 being purged)
 *     free          free_npages, free_ndirty
 *     large         large_npages, large_nbytes (asked for), large_guard
 *     chunks        bits, class_no, state (0 current, 1 available, 2 full), started, countdown;
 *                   bits has nwords words, 1 = free; remote words behind it are freed too
 *   size_classes[c] size, nchunks, nwords, remote (words from bits to the remote bitmap)
 *   owner           next (list of all), thread, state (0 live, 1 parked, 2 late, 3 lost), nfreed[]
 */
#ifndef PHKMALLOC_INSPECT_H
#define PHKMALLOC_INSPECT_H

#include <stdint.h>

#define PHKMALLOC_DESCRIPTOR_MAGIC "phkmalloc heap"
#define PHKMALLOC_DESCRIPTOR_VERSION 1
#define PHKMALLOC_NOTE_NAME "phkmalloc"
#define PHKMALLOC_NOTE_TYPE 1

struct phkmalloc_descriptor {
	char magic[16];
	uint32_t version;
	uint32_t nbytes;      /* of this structure */
	char library[16];     /* version of the library */
	uint64_t arenas;      /* address of arenas[0] */
	uint64_t arena_count; /* address of an unsigned int */
	uint64_t size_classes;
	uint64_t owners;      /* address of a pointer to the first owner */
	uint64_t large_nmalloc; /* addresses of 64-bit counters */
	uint64_t large_nfree;
	uint64_t npurged;     /* pages ever given back */
	uint64_t conf_letters; /* address of the options in effect, a string */
	uint32_t page_shift;
	uint32_t arena_max;
	uint32_t arena_nbytes, arena_origin, arena_limit, arena_page_dir, arena_npages;
	uint32_t entry_nbytes, entry_bits, entry_countdown;
	uint32_t chunk_nchunks, chunk_class_no, chunk_state, chunk_started;
	uint32_t free_npages, free_ndirty;
	uint32_t large_npages, large_nbytes, large_guard;
	uint32_t class_count, class_nbytes, class_size, class_nchunks, class_nwords, class_remote;
	uint32_t owner_next, owner_thread, owner_state, owner_nfreed;
};

extern const struct phkmalloc_descriptor phkmalloc_descriptor;

#endif
