/*
 * target.h: the memory of what is looked at: a running process, or what a core file kept of one.
 *
 * Never stops, changes or attaches to a process: it only reads. Never trusts what it reads: an
 * address that is not there is an answer, not an error. One thread.
 */
#ifndef TOOLS_TARGET_H
#define TOOLS_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the command exits with; phkmalloc(1) lists them. */
enum status {
	STATUS_OK = 0,
	STATUS_OTHER = 1,
	STATUS_USAGE = 2,
	STATUS_NO_PROCESS = 3,
	STATUS_NOT_PERMITTED = 4,
	STATUS_NOT_PHKMALLOC = 5,
	STATUS_VERSION = 6,
	STATUS_GONE = 7, /* it ended, or became another program, while it was read */
	STATUS_FILE = 8, /* a file cannot be read, written or understood */
};

/* Prints "phkmalloc: text" and exits. */
_Noreturn void fail(enum status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Called before that, to give a terminal back; NULL for nothing. */
extern void (*fail_first)(void);
void *xcalloc(size_t n, size_t size);
void *xgrow(void *old, size_t n, size_t size);
char *xstrdup(const char *s);

/* Addresses that come from a file: where the descriptor can be. */
struct mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset; /* in the file */
	char *path;
};

/* What a core file has of the memory. */
struct segment {
	uint64_t start;
	uint64_t nbytes;
	uint64_t offset;
};

struct target {
	pid_t pid;
	char program[64];
	char host[72];
	const char *core; /* path, or NULL for a running process */
	int fd;           /* of the core file, or of the process */
	struct mapping *maps;
	size_t map_count;
	struct segment *segments; /* ordered by address */
	size_t segment_count;
};

struct span {
	uint64_t address;
	void *to;
	size_t nbytes;
	bool done; /* out */
};

/* Both exit with a message when they cannot. */
void target_open_pid(struct target *t, const char *pid);
void target_open_core(struct target *t, const char *path);
void target_close(struct target *t);

/* True when all of it was there. */
bool target_read(struct target *t, uint64_t address, void *to, size_t nbytes);
/* The same for many places in a few system calls. */
void target_read_spans(struct target *t, struct span *spans, size_t n);
/* Exits with the reason when the process cannot be read any more. */
void target_still_there(struct target *t);

#endif
