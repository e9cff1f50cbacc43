/*
 * vm.h: the only place that asks the kernel for address space or gives it back.
 *
 * Every function returns false or NULL when the kernel says no, leaves errno as it was, and never
 * ends the process. Addresses and sizes are multiples of the OS page. Thread-safe; no state but
 * the OS page size and the fault injection counter.
 */
#ifndef PHK_VM_H
#define PHK_VM_H

#include "base/base.h"

/* The kernel's page size in bytes, read at start. */
extern size_t vm_pagesize;

/*
 * Fault injection for tests: when not 0, the call that counts it down to 0 fails, and with
 * vm_fail_all every later one too. vm_calls counts all calls.
 */
extern unsigned long vm_fail_countdown;
extern bool vm_fail_all;
extern unsigned long vm_calls;

void vm_init(void);

/* Address space that cannot be touched and is charged to nobody; aligned to a power of two. */
void *vm_reserve(size_t nbytes, size_t alignment);
/* Gives a reservation, or part of one, up for good. */
bool vm_unreserve(void *base, size_t nbytes);
/* Makes part of a reservation readable and writable. Its bytes are zero. */
bool vm_commit(void *base, size_t nbytes);
/* Takes part of a reservation back to untouchable, and its memory and charge with it. */
bool vm_decommit(void *base, size_t nbytes);
/*
 * Gives the memory back to the kernel; the range stays usable and reads as zero. With vm_lazy
 * the kernel takes it only when it needs it, and until then the range reads as before.
 */
bool vm_purge(void *base, size_t nbytes);
extern bool vm_lazy;
/* OS pages of the range that are backed by memory; all when the kernel does not tell. */
size_t vm_resident(void *base, size_t nbytes);
/* Moves the pages of one committed range to another; the old range reads as zero after it. */
bool vm_move(void *from, void *to, size_t nbytes);
/* Replaces what is mapped in a committed range by new zero pages. */
bool vm_renew(void *base, size_t nbytes);
/* Makes a committed range trap at each access, and usable again; its bytes are zero then. */
bool vm_guard(void *base, size_t nbytes);
bool vm_unguard(void *base, size_t nbytes);
/* Whether each guard is two mappings more, of which a process has 65,530: before Linux 6.13. */
extern bool vm_guard_splits;
/* Leaves a range out of core dumps, or puts it back. */
bool vm_conceal(void *base, size_t nbytes, bool on);
/*
 * Makes huge pages of a range, which is as large as these and aligned, and in which some page is
 * backed by memory; the others come in as zero. False when the kernel does not: before Linux 6.1.
 */
bool vm_collapse(void *base, size_t nbytes);
/* How large they are where OS pages have 4 KiB. */
#define VM_HUGE_NBYTES ((size_t)2 << 20)
/* Brings the pages in now in one step instead of a fault each; only ever a hint. */
void vm_populate(void *base, size_t nbytes);
/*
 * Makes a range read-only for good; with hard the kernel (Linux from 6.10 on) is asked to allow no
 * change of that by anybody, as long as the process lives.
 */
bool vm_seal(void *base, size_t nbytes, bool hard);

/*
 * Maps part of a file, shared, in place of what is mapped at `where`, or anywhere when that is
 * NULL. Children of fork do not have it unless they are to share it.
 */
void *vm_map_file(void *where, int fd, uint64_t offset, size_t nbytes, bool children);
/* Makes a committed range zero in children of fork. */
bool vm_wipe_on_fork(void *base, size_t nbytes);

/* The limit on address space in bytes, or SIZE_MAX when there is none. */
size_t vm_limit(void);

#endif
