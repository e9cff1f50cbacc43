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
 *                   4 a page and 5 a run of large_npages on the way between free and in use, 6 such
 *                   a run that is free and kept for later, or else (from 64 on) an owner's address
 *                   with flags in the low six bits (1 pending remote frees, 2 options that look at
 *                   each allocation, 4 being purged, 8 empty and kept for later)
 *     free          free_npages, free_ndirty
 *     large         large_npages, large_nbytes (asked for), large_guard
 *     chunks        bits, class_no, state (0 current, 1 available, 2 full);
 *                   bits has nwords words, 1 = free; remote words behind it are freed too;
 *                   in the word before bits, so many bytes before its end, stand two signed 16-bit
 *                   numbers: started less countdown is what was freed and is not yet in nfreed
 *   size_classes[c] size, nchunks, nwords, remote (words from bits to the remote bitmap)
 *   owner           next (list of all), thread, state (0 live, 1 parked, 2 late, 3 lost), nfreed[],
 *                   large[]: large allocations and frees,
 *                   rounding[]: two 32-bit numbers for each class, how many allocations were looked
 *                   at, some of all, and bytes of their chunks beyond those asked for
 */
#ifndef PHKMALLOC_INSPECT_H
#define PHKMALLOC_INSPECT_H

#include <stdint.h>

#define PHKMALLOC_DESCRIPTOR_MAGIC "phkmalloc heap"
#define PHKMALLOC_DESCRIPTOR_VERSION 5
/*
 * What a later version has more takes reserved words, so that the size stays: a program that names
 * the symbol has a place of its own for it, of the size it was linked with.
 */
#define PHKMALLOC_DESCRIPTOR_NBYTES 512
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
	uint64_t large_nmalloc; /* addresses of 64-bit counters: of threads without an owner */
	uint64_t large_nfree;
	uint64_t npurged;     /* pages ever given back */
	uint64_t conf_letters; /* address of the options in effect, a string */
	uint32_t page_shift;
	uint32_t arena_max;
	uint32_t arena_nbytes, arena_origin, arena_limit, arena_page_dir, arena_npages;
	uint32_t entry_nbytes, entry_bits, bits_countdown;
	uint32_t chunk_nchunks, chunk_class_no, chunk_state, bits_started;
	uint32_t free_npages, free_ndirty;
	uint32_t large_npages, large_nbytes, large_guard;
	uint32_t class_count, class_nbytes, class_size, class_nchunks, class_nwords, class_remote;
	uint32_t owner_next, owner_thread, owner_state, owner_nfreed, owner_rounding;
	uint64_t watch;       /* address of a struct phkmalloc_watch */
	uint64_t profile;     /* address of a struct phkmalloc_profile */
	uint64_t stacks;      /* address of a struct phkmalloc_stacks */
	uint64_t samples;     /* address of a struct phkmalloc_samples */
	uint64_t nused_max;   /* address: the most pages ever in use, large and of chunks, 64 bits */
	uint64_t owner_large; /* offset: two 64-bit numbers, its large allocations and frees */
	uint64_t reserved[30]; /* 0; see PHKMALLOC_DESCRIPTOR_NBYTES */
};

/* Allocations that stand before guard pages (option W): in no arena, and in no other figure. */
struct phkmalloc_samples {
	uint64_t nmalloc;
	uint64_t nfree;
	uint64_t live_nbytes; /* asked for, and in use */
};

/*
 * The one thing a tool may write: 8 bytes, to switch heap profiling on or off. guard has to be
 * written back as it was read, and session must be another than before.
 */
struct phkmalloc_watch {
	uint32_t rate;        /* mean bytes from one sample to the next; 1: everything, 0: off */
	uint16_t session;
	uint16_t guard;
};

/*
 * Samples since the process started, summed by stack, size and the rate in effect. What is in use
 * is what was allocated less what was freed. An estimate of all allocations is, with n samples of
 * s bytes on average and weights w: of chunks w * rate bytes in w * rate / s allocations (w and n
 * themselves with rate 1), of large ones n / (1 - e^(-s / rate)), whose weights are bytes.
 */
struct phkmalloc_site {
	uint32_t stack;       /* a stack's number, 0 when it could not be recorded */
	uint32_t size;        /* of a chunk, in bytes */
	uint32_t rate;
	uint32_t large;       /* 1 when these are allocations of whole pages, of about one size */
	uint64_t nalloc;      /* samples */
	uint64_t nfree;
	uint64_t alloc_weight;
	uint64_t free_weight;
	uint64_t alloc_tenths; /* sums of when they were allocated, of those freed too, */
	uint64_t free_tenths;  /* in tenths of a second from the profile's start */
};

struct phkmalloc_profile {
	uint64_t sites;       /* address of the first, which is not used; 0 before there are any */
	uint64_t start_ms;    /* of CLOCK_MONOTONIC */
	uint64_t nlost;       /* samples that there was no room for */
	uint32_t nsites;      /* those complete, with the first */
};

struct phkmalloc_stacks {
	uint64_t words;       /* address: at a stack's number its depth, then so many addresses */
	uint32_t nwords;      /* those complete, of 8 bytes */
	uint32_t nstacks;
	uint64_t nlost;
};

/*
 * A profile in a file, as the library writes it at exit: this, nsites sites, nwords words of
 * stacks, and the text of /proc/self/maps up to the end.
 */
#define PHKMALLOC_PROFILE_MAGIC "phkmalloc prof"
#define PHKMALLOC_PROFILE_VERSION 1

struct phkmalloc_profile_file {
	char magic[16];
	uint32_t version;
	int32_t pid;
	uint64_t start_ms;    /* of CLOCK_MONOTONIC */
	uint64_t end_ms;
	uint64_t time;        /* of its end, seconds since 1970 */
	uint64_t nlost;       /* samples */
	uint32_t nsites;
	uint32_t nwords;
	char library[16];     /* version */
	char program[64];
};

extern const struct phkmalloc_descriptor phkmalloc_descriptor;

#endif
