/*
 * trace_file.c: a file that grows by blocks; see trace_file.h. Its head is mapped for as long as
 * the process lives and is shared by all processes that write to the file: `end` is where the next
 * block goes, taken by an atomic add.
 */
#include "watch/trace_file.h"

#include "base/fmt.h"
#include "diag/fault.h"
#include "os/counter.h"
#include "os/env.h"
#include "os/file.h"
#include "os/vm.h"

#include <errno.h>
#include <string.h>

/* Blocks that the collector may be behind before the program waits for it. */
#define BEHIND_MAX 1024U
#define WAIT_MS 1U
#define WAITS_PER_LOOK 100U

uint32_t trace_on;
uint32_t trace_tick_ns;
static struct file file;
static struct trace_head *head;

static COLD void
stop(int error)
{
	struct fmt f;

	if (__atomic_exchange_n(&trace_on, 0, __ATOMIC_RELAXED) == 0)
		return;
	if (head != NULL && head->packed == 0)
		store_relaxed(&head->stopped, error);
	f.len = 0;
	fmt_add(&f, "%s: %s%c", file.path, file_problem(error), 0);
	fault_say("malloc", "cannot write trace", f.text);
}

static void
name_file(char *path, size_t nbytes)
{
	struct fmt f;

	if (env_get("MALLOC_TRACE_FILE", path, nbytes) && path[0] != '\0')
		return;
	f.len = 0;
	fmt_add(&f, "malloc.trace.%u%c", (unsigned)env_process(), 0);
	memcpy(path, f.text, f.len);
}

void
trace_file_open(void)
{
	char path[FILE_PATH_MAX];
	struct trace_head start = {
		.magic = TRACE_MAGIC,
		.version = TRACE_VERSION,
		.block_nbytes = TRACE_BLOCK_NBYTES,
		.tick_ns = counter_good() ? TRACE_COUNTER : TRACE_TICK_NS,
		.wall_ns = env_wall_ns(),
		.clock_ns = env_clock_ns(),
		.end = TRACE_BLOCK_NBYTES,
	};
	int error;

	/* Whoever starts a set-uid program chooses the folder that it would write to. */
	if (env_secure())
		return;
	name_file(path, sizeof(path));
	start.ticks = trace_ticks(start.tick_ns);
	error = file_open(&file, path, &start, sizeof(start), offsetof(struct trace_head, tick_ns));
	if (error == 0) {
		head = vm_map_file(NULL, file.fd, 0, vm_pagesize, true);
		if (head == NULL)
			error = ENOMEM;
		else if (head->packed != 0)
			error = EINVAL;
		else
			trace_tick_ns = head->tick_ns;
	}
	store_release(&trace_on, 1);
	if (error != 0)
		stop(error);
}

/* While a collector lives and is far behind, the program waits for it. */
static void
wait_for_collector(void)
{
	for (unsigned i = 1; load_relaxed(&head->collector) != 0 &&
	    load_acquire(&head->closed) == 0 &&
	    load_relaxed(&head->full) - load_relaxed(&head->collected) > BEHIND_MAX; i++) {
		if (i % WAITS_PER_LOOK == 0 && !env_process_lives(load_relaxed(&head->collector)))
			return;
		env_sleep_ms(WAIT_MS);
	}
}

struct trace_block *
trace_file_next(void *where, bool populate)
{
	struct trace_block *b;
	uint64_t offset;
	int error;

	if (load_acquire(&trace_on) == 0)
		return NULL;
	if (load_acquire(&head->closed) != 0) {
		store_relaxed(&trace_on, 0);
		return NULL;
	}
	wait_for_collector();
	offset = __atomic_fetch_add(&head->end, TRACE_BLOCK_NBYTES, __ATOMIC_RELAXED);
	error = file_descriptor(&file) < 0 ? EBADF :
	    file_extend(&file, offset, TRACE_BLOCK_NBYTES);
	b = error != 0 ? NULL :
	    vm_map_file(where, file.fd, offset, TRACE_BLOCK_NBYTES, false);
	if (b == NULL) {
		stop(error != 0 ? error : ENOMEM);
		return NULL;
	}
	if (populate)
		vm_populate(b, TRACE_BLOCK_NBYTES);
	return b;
}

void
trace_file_done(void)
{
	__atomic_add_fetch(&head->full, 1, __ATOMIC_RELEASE);
}

uint32_t
trace_file_process(void)
{
	return __atomic_add_fetch(&head->processes, 1, __ATOMIC_RELAXED);
}

bool
trace_file_collected(void)
{
	return load_relaxed(&head->collector) != 0;
}
