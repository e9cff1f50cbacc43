/*
 * common.h: what the three workloads of the comparison with 1996 share: numbers from fixed seeds,
 * memory of the program's own, and what the kernel says about the process.
 *
 * Nothing here may call malloc or touch memory of the allocator between two measurements: the
 * program's tables are mapped and locked, its output goes through a buffer on the stack, and
 * /proc is read with read(2). Every function is called by one thread at a time.
 */
#ifndef REVISITED_COMMON_H
#define REVISITED_COMMON_H

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define OS_PAGE 4096u

static void
say(int fd, const char *format, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, format);
	int n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line) || write(fd, line, (size_t)n) != n)
		_exit(3);
}

static void
die(const char *what)
{
	say(2, "revisited: %s\n", what);
	_exit(2);
}

/* xorshift64*: the same numbers everywhere. */
static inline uint64_t
rng_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static inline size_t
rng_between(uint64_t *state, size_t low, size_t high)
{
	return low + (size_t)((rng_next(state) >> 11) % (high - low + 1));
}

/* Memory of the program's own, which must neither be paged nor counted. */
static inline void *
locked_new(size_t nbytes)
{
	void *p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("no memory for the table");
	memset(p, 0, nbytes);
	if (mlock(p, nbytes) != 0)
		say(1, "unlocked=1\n");
	return p;
}

static inline void *
object_new(size_t nbytes)
{
	void *p = malloc(nbytes);

	if (p == NULL)
		die("malloc: no memory");
	memset(p, 0x5a, nbytes);
	return p;
}

static inline double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Calls `each` with every line of a file of /proc. */
static inline void
lines_of(const char *path, void (*each)(char *line, void *arg), void *arg)
{
	char buf[4096];
	size_t used = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(path);
	while ((n = read(fd, buf + used, sizeof(buf) - used)) > 0) {
		char *line = buf, *end;

		used += (size_t)n;
		while ((end = memchr(line, '\n', used - (size_t)(line - buf))) != NULL) {
			*end = '\0';
			each(line, arg);
			line = end + 1;
		}
		used -= (size_t)(line - buf);
		memmove(buf, line, used);
		if (used == sizeof(buf))
			die("a line too long");
	}
	close(fd);
}

static inline void
rollup_line(char *line, void *arg)
{
	size_t *sum = arg, kib;

	if (sscanf(line, "Anonymous: %zu", &kib) == 1 || sscanf(line, "Swap: %zu", &kib) == 1)
		*sum += kib << 10;
}

/* Bytes of anonymous memory that exist, in core or in swap; exact, unlike statm. */
static inline size_t
anonymous_nbytes(void)
{
	size_t sum = 0;

	lines_of("/proc/self/smaps_rollup", rollup_line, &sum);
	return sum;
}

static inline void
mapped_line(char *line, void *arg)
{
	size_t *sum = arg;
	unsigned long from, to, inode;
	char access[5];

	if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &from, &to, access, &inode) == 4 &&
	    access[1] == 'w' && inode == 0 && strstr(line, "[stack]") == NULL)
		*sum += to - from;
}

/*
 * Bytes of address space that may be written to, files and the stack apart; what is only reserved
 * does not count, what an allocator had before main does.
 */
static inline size_t
writable_nbytes(void)
{
	size_t sum = 0;

	lines_of("/proc/self/maps", mapped_line, &sum);
	return sum;
}

/* Which library malloc is from, so that nobody measures another one than is said. */
static inline void
tell_library(void)
{
	Dl_info info;
	void *(*volatile fn)(size_t) = malloc;
	void *address;

	memcpy(&address, (void *)&fn, sizeof(address));
	if (dladdr(address, &info) != 0 && info.dli_fname != NULL)
		say(1, "library=%s\n", info.dli_fname);
}

static inline size_t
argument(int argc, char **argv, int i)
{
	if (i >= argc)
		die("too few arguments; see the head of the source");
	return strtoul(argv[i], NULL, 0);
}

#endif
