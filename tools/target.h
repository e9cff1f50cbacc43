/*
 * target.h: the memory of what is looked at: a running process, or what a core file kept of one.
 *
 * Never stops, changes or attaches to a process: it only reads. Never trusts what it reads: an
 * address that is not there is an answer, not an error. Reading never ends this command: the first
 * thing that goes wrong stays in the target's status, and whoever cannot go on without says so.
 * One thread.
 */
#ifndef TOOLS_TARGET_H
#define TOOLS_TARGET_H

#include "base.h"

#include <sys/types.h>

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

struct span {
	uint64_t address;
	void *to;
	size_t nbytes;
	bool done; /* out: all of it was there */
};

struct target {
	/* Reads spans in their order; a process, a core file, or what a test makes up. */
	void (*read_spans)(struct target *t, struct span *spans, size_t n);
	enum status status; /* STATUS_OK, or the first thing that went wrong */
	char why[192];
	pid_t pid;
	pid_t tid;          /* a thread of it that has not ended */
	double start_time;  /* seconds since 1970; 0 when unknown */
	char program[64];
	char host[72];
	const char *core;   /* path, or NULL for a running process */
	int fd;             /* of the core file, or of the process */
	struct mapping *maps;
	size_t map_count;
	struct segment *segments; /* ordered by address */
	size_t segment_count;
};

/* Both exit with a message when they cannot. */
void target_open_pid(struct target *t, const char *pid);
void target_open_core(struct target *t, const char *path);
/* False when it cannot: status and why tell. To be closed in any case. */
bool target_try_pid(struct target *t, pid_t pid);
/* The same, with a number as the user wrote it; exits when it is none. */
void target_try_text(struct target *t, const char *text);
void target_close(struct target *t);

/* Sets status and why, unless something was wrong before. */
void target_trouble(struct target *t, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Exits with what was wrong, if anything was. */
void target_require(const struct target *t);

/* True when all of it was there. */
bool target_read(struct target *t, uint64_t address, void *to, size_t nbytes);
/* The same for many places in a few system calls. */
void target_read_spans(struct target *t, struct span *spans, size_t n);
/* False, with status and why, when the process has ended. */
bool target_is_there(struct target *t);

#endif
