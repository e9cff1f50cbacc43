/*
 * play: does what a real program did, with any malloc: a script made of its trace. What is
 * allocated is written, all of it, and so is what a realloc adds; what is freed is not looked at,
 * or its first byte is.
 *
 * usage: play SCRIPT INTERVALS kernel|lru [look]
 *
 * kernel: prints, at the end of each interval, the bytes asked for that are live, anonymous memory
 * since the start, and the OS pages that were referenced in the interval, by the kernel's bits, if
 * those are exact here; else `unreferenced` and why.
 * lru: tells the Valgrind tool of that name where intervals end, and asks the kernel nothing.
 *
 * The script, the table of objects and the stack lie in a range of addresses of their own, OWN, and
 * do not count; its first bytes are for speaking to the tool.
 */
#include "referenced.h"
#include "script.h"

#include <sys/stat.h>
#include <ucontext.h>

#define OWN ((uintptr_t)0x40000000000)
#define STACK_NBYTES ((size_t)1 << 20)

static struct script_head head;
static const struct script_step *steps;
static void **objects;
static uint64_t *sizes;
static volatile char *tool;	/* where the tool looks */
static uintptr_t own_end = OWN;
static size_t nintervals, memory0, live;
static bool by_kernel, looks;

static void *
own_map(size_t nbytes, int fd)
{
	void *p = mmap((void *)own_end, nbytes, PROT_READ | (fd < 0 ? PROT_WRITE : 0),
	    MAP_PRIVATE | MAP_FIXED_NOREPLACE | MAP_POPULATE | (fd < 0 ? MAP_ANONYMOUS : 0),
	    fd, 0);

	if (p == MAP_FAILED)
		die("no memory for the script");
	own_end += (nbytes + OS_PAGE - 1) & ~(uintptr_t)(OS_PAGE - 1);
	return p;
}

static void
script_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 || read(fd, &head, sizeof(head)) != sizeof(head) ||
	    head.magic != SCRIPT_MAGIC ||
	    (size_t)st.st_size != sizeof(head) + head.nsteps * sizeof(*steps))
		die("not a script");
	steps = (const void *)((char *)own_map((size_t)st.st_size, fd) + sizeof(head));
	objects = own_map(head.nslots * sizeof(*objects) + 1, -1);
	sizes = own_map(head.nslots * sizeof(*sizes) + 1, -1);
}

static void
write_bytes(char *p, size_t from, size_t to)
{
	if (p == NULL)
		die("malloc: no memory");
	if (to > from)
		memset(p + from, 0x5a, to - from);
}

static void
play(const struct script_step *s)
{
	void **object = &objects[s->slot];
	uint64_t had = sizes[s->slot];

	sizes[s->slot] = s->nbytes;
	live += s->nbytes - had;
	if (s->op == SCRIPT_FREE) {
		if (looks && had > 0)
			(void)*(volatile char *)*object;
		free(*object);
		return;
	}
	if (s->op == SCRIPT_RESIZE) {
		/* To 0 bytes is to free it, by some: one byte is what the program still had. */
		*object = realloc(*object, s->nbytes > 0 ? s->nbytes : 1);
		write_bytes(*object, had, s->nbytes);
		return;
	}
	if (s->op == SCRIPT_CALLOC)
		*object = calloc(1, s->nbytes);
	else if (s->op == SCRIPT_ALIGNED)
		*object = aligned_alloc((size_t)1 << s->log2_alignment, s->nbytes);
	else
		*object = malloc(s->nbytes);
	write_bytes(*object, 0, s->nbytes);
}

static void
interval_end(void)
{
	if (!by_kernel) {
		tool[64] = 1;
		return;
	}
	say(1, "sample=%zu %zu %zu\n", live, anonymous_nbytes() - memory0,
	    references_npages(OWN, own_end));
	references_clear();
}

static void
work(void)
{
	size_t step = head.nsteps / nintervals + 1;

	if (by_kernel) {
		references_begin();
		memory0 = anonymous_nbytes();
	} else {
		tool[0] = 1;
	}
	for (size_t i = 0; i < head.nsteps; i++) {
		play(&steps[i]);
		if (i % step == step - 1 || i == head.nsteps - 1)
			interval_end();
	}
	if (!by_kernel)
		tool[0] = 0;
}

int
main(int argc, char **argv)
{
	ucontext_t here, there;
	struct rusage r;

	nintervals = argument(argc, argv, 2);
	if (argc < 4 || nintervals == 0)
		die("too few arguments; see the head of the source");
	by_kernel = strcmp(argv[3], "kernel") == 0;
	looks = argc > 4 && strcmp(argv[4], "look") == 0;
	tell_library();
	tool = own_map(OS_PAGE, -1);
	script_open(argv[1]);
	/* On a stack of its own; not a thread, as then all allocators would take locks. */
	getcontext(&there);
	there.uc_stack = (stack_t){ .ss_sp = own_map(STACK_NBYTES, -1), .ss_size = STACK_NBYTES };
	there.uc_link = &here;
	makecontext(&there, work, 0);
	swapcontext(&here, &there);
	getrusage(RUSAGE_SELF, &r);
	say(1, "seconds=%.4f\nminor=%ld\n", (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	    1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec), r.ru_minflt);
	_exit(0);
}
