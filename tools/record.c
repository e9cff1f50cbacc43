/*
 * record.c: `phkmalloc record`: any program on the library, every operation of it and of what it
 * starts in a file.
 *
 * The program writes to FILE.part, by option U. This process takes the blocks that are full out of
 * it, compresses them into FILE, and gives their room on the disk back. It takes what is left when
 * the last process that the program started has ended, however they ended. If this process is
 * killed, the program goes on and FILE.part has the rest.
 */
#include "command.h"
#include "os/counter.h"
#include "trace_read.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#define LOOK_NS 5000000 /* between two looks for full blocks */
#define LEVEL 3         /* of compression */

struct recorder {
	const char *path;        /* of the trace */
	char part[PATH_MAX];     /* of what the program writes */
	int in, out;
	struct trace_head *head; /* of the part, shared with the program */
	uint64_t next;           /* offset of the first block that is not in open yet */
	uint64_t *open;          /* offsets of blocks that are written to */
	size_t open_count, open_room;
	uint64_t full;           /* head->full when it was last looked at */
	ZSTD_CCtx *zstd;
	uint8_t *block, *frame;
	uint64_t nbytes, written; /* of blocks, and of the trace */
	bool broken;              /* the trace cannot be written */
};

static pid_t program_pid;

/* --- the trace ------------------------------------------------------------------------------- */

/* After this the program goes on without being recorded. */
static void
give_up(struct recorder *r)
{
	if (!r->broken)
		fprintf(stderr, "phkmalloc: %s: %s; the program goes on unrecorded\n", r->path,
		    strerror(errno));
	r->broken = true;
	__atomic_store_n(&r->head->closed, 1, __ATOMIC_RELEASE);
}

static void
put_frame(struct recorder *r, const void *data, size_t nbytes)
{
	size_t n = ZSTD_compress2(r->zstd, r->frame, ZSTD_compressBound(TRACE_BLOCK_NBYTES), data,
	    nbytes);
	uint64_t start = r->written;

	if (ZSTD_isError(n))
		fail(STATUS_OTHER, "%s: %s", r->path, ZSTD_getErrorName(n));
	for (size_t at = 0; at < n && !r->broken;) {
		ssize_t done = pwrite(r->out, r->frame + at, n - at, (off_t)(start + at));

		if (done > 0)
			at += (size_t)done;
		else if (done == 0 || errno != EINTR)
			give_up(r);
	}
	if (!r->broken)
		r->written += n;
	else if (ftruncate(r->out, (off_t)start) != 0)
		r->written = start;
}

/* How much of a block that nobody finished is in use. */
static uint32_t
used(const uint8_t *block)
{
	struct trace_decoder d;
	struct trace_record record;
	const uint8_t *end = block + sizeof(struct trace_block);

	if (!trace_decoder_start(&d, block, TRACE_BLOCK_NBYTES))
		return 0;
	while (trace_decode(&d, &record))
		end = d.at;
	return (uint32_t)(end - block);
}

/* Moves a block to the trace if it is finished, or at the end. True when that is all of it. */
static bool
collect_block(struct recorder *r, uint64_t offset, bool at_end)
{
	struct trace_block b;

	if (pread(r->in, &b, sizeof(b), (off_t)offset) != (ssize_t)sizeof(b))
		return at_end;
	if (!at_end && (b.magic != TRACE_BLOCK_MAGIC ||
	    __atomic_load_n(&b.nbytes, __ATOMIC_ACQUIRE) == 0))
		return false;
	if (b.magic != TRACE_BLOCK_MAGIC)
		return true;
	if (pread(r->in, r->block, TRACE_BLOCK_NBYTES, (off_t)offset) != TRACE_BLOCK_NBYTES)
		return true;
	if (b.nbytes == 0 || b.nbytes > TRACE_BLOCK_NBYTES)
		b.nbytes = used(r->block);
	if (b.nbytes < sizeof(b))
		return true;
	memcpy(r->block, &b, sizeof(b));
	r->nbytes += b.nbytes;
	put_frame(r, r->block, b.nbytes);
	(void)fallocate(r->in, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
	    TRACE_BLOCK_NBYTES);
	__atomic_add_fetch(&r->head->collected, 1, __ATOMIC_RELEASE);
	return true;
}

static void
collect(struct recorder *r, bool at_end)
{
	uint64_t full = __atomic_load_n(&r->head->full, __ATOMIC_ACQUIRE);
	uint64_t end = __atomic_load_n(&r->head->end, __ATOMIC_ACQUIRE);
	size_t kept = 0;

	if (full == r->full && !at_end)
		return;
	r->full = full;
	for (; r->next < end; r->next += TRACE_BLOCK_NBYTES) {
		if (r->open_count == r->open_room) {
			r->open_room = 2 * r->open_room + 64;
			r->open = xgrow(r->open, r->open_room, sizeof(*r->open));
		}
		r->open[r->open_count++] = r->next;
	}
	for (size_t i = 0; i < r->open_count; i++)
		if (!collect_block(r, r->open[i], at_end))
			r->open[kept++] = r->open[i];
	r->open_count = kept;
}

/* --- the program ----------------------------------------------------------------------------- */

static uint64_t
clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
start_trace(struct recorder *r)
{
	struct trace_head head = { .magic = TRACE_MAGIC, .version = TRACE_VERSION,
		.block_nbytes = TRACE_BLOCK_NBYTES, .end = TRACE_BLOCK_NBYTES,
		.collector = getpid() };
	char folder[PATH_MAX];

	if (getcwd(folder, sizeof(folder)) == NULL || snprintf(r->part, sizeof(r->part),
	    "%s%s%s.part", r->path[0] == '/' ? "" : folder, r->path[0] == '/' ? "" : "/", r->path) >=
	    (int)sizeof(r->part))
		fail(STATUS_FILE, "%s: the name is too long", r->path);
	head.tick_ns = counter_good() ? TRACE_COUNTER : TRACE_TICK_NS;
	head.wall_ns = clock_ns(CLOCK_REALTIME);
	head.clock_ns = clock_ns(CLOCK_MONOTONIC);
	head.ticks = head.tick_ns == TRACE_COUNTER ? counter_read() >> TRACE_COUNTER_SHIFT :
	    head.clock_ns / TRACE_TICK_NS;
	r->out = open(r->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (r->out < 0)
		fail(STATUS_FILE, "%s: %s", r->path, strerror(errno));
	(void)unlink(r->part);
	r->in = open(r->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (r->in < 0 || write(r->in, &head, sizeof(head)) != (ssize_t)sizeof(head))
		fail(STATUS_FILE, "%s: %s", r->part, strerror(errno));
	r->head = mmap(NULL, sizeof(head), PROT_READ | PROT_WRITE, MAP_SHARED, r->in, 0);
	if (r->head == MAP_FAILED)
		fail(STATUS_FILE, "%s: %s", r->part, strerror(errno));
	r->next = r->full = 0;
	r->next = TRACE_BLOCK_NBYTES;
	r->zstd = ZSTD_createCCtx();
	r->block = xcalloc(1, TRACE_BLOCK_NBYTES);
	r->frame = xcalloc(1, ZSTD_compressBound(TRACE_BLOCK_NBYTES));
	if (r->zstd == NULL)
		fail(STATUS_OTHER, "out of memory");
	ZSTD_CCtx_setParameter(r->zstd, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(r->zstd, ZSTD_c_checksumFlag, 1);
	head.packed = 1;
	head.collector = 0;
	head.end = 0;
	put_frame(r, &head, sizeof(head));
}

static void
forward(int signo)
{
	if (program_pid > 0)
		kill(program_pid, signo);
}

static void
start_program(char **program)
{
	struct sigaction sa = { .sa_handler = forward };

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	program_pid = fork();
	if (program_pid < 0)
		fail(STATUS_OTHER, "%s: %s", program[0], strerror(errno));
	if (program_pid == 0) {
		execvp(program[0], program);
		fprintf(stderr, "phkmalloc: %s: %s\n", program[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	/* The terminal's go to the program itself. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

/* Until the program, and all that it started, have ended; returns the program's status. */
static int
follow(struct recorder *r)
{
	int status = 0;

	for (;;) {
		int one;
		pid_t pid = waitpid(-1, &one, WNOHANG);

		if (pid == program_pid)
			status = one;
		if (pid < 0 && errno == ECHILD)
			break;
		collect(r, false);
		if (pid == 0)
			nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
	}
	__atomic_store_n(&r->head->closed, 1, __ATOMIC_RELEASE);
	collect(r, true);
	return status;
}

int
command_record(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "stacks", no_argument, NULL, 's' },
		{ 0 },
	};
	struct recorder r = { .path = "malloc.trace" };
	bool stacks = false;
	int c, status;

	while ((c = getopt_long(argc, argv, "+o:", longs, NULL)) != -1) {
		if (c == 'o')
			r.path = optarg;
		else if (c == 's')
			stacks = true;
		else
			usage("record");
	}
	if (optind == argc)
		usage("record");
	need_program(argv[optind]);
	preload(NULL);
	start_trace(&r);
	prepend("MALLOC_OPTIONS", stacks ? "UU" : "U", "");
	if (setenv("MALLOC_TRACE_FILE", r.part, 1) != 0)
		fail(STATUS_OTHER, "out of memory");
	start_program(argv + optind);
	status = follow(&r);
	/* It has said so itself. */
	if (__atomic_load_n(&r.head->stopped, __ATOMIC_RELAXED) != 0)
		r.broken = true;
	(void)unlink(r.part);
	if (close(r.out) != 0)
		give_up(&r);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "phkmalloc: %s: %s, of %u processes, in %s\n", r.path,
		    show_bytes(r.nbytes), r.head->processes, show_bytes(r.written));
	if (r.head->processes == 0 && !r.broken)
		fprintf(stderr, "phkmalloc: %s: nothing was recorded: is the program static or "
		    "set-uid?\n", r.path);
	return r.broken && status == 0 ? STATUS_FILE : end_like(status);
}
