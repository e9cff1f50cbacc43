/*
 * waste.c: how much memory an allocator takes for what it is asked for. Runs on whatever malloc
 * the program gets: LD_PRELOAD=libkingsley.so waste. Each line is a size, or a mix of sizes, of
 * which 16 MB are allocated in a process of its own, in whole and written to:
 *
 *	size          asked  heap/asked  resident/asked
 *
 * `heap` is what the allocator took from the system, its bookkeeping included: known of this
 * folder's libraries and of glibc, else "-". `resident` is what the process grew by in memory.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASKED ((size_t)16 << 20)

struct mix {
	size_t from, to;	/* uniform over the sizes from..to */
};

static const struct mix mixes[] = {
	{ 16, 16 }, { 32, 32 }, { 64, 64 }, { 128, 128 }, { 256, 256 }, { 512, 512 },
	{ 1024, 1024 }, { 2048, 2048 }, { 4096, 4096 }, { 8192, 8192 }, { 16384, 16384 },
	{ 65536, 65536 }, { 16, 64 }, { 200, 1000 }, { 4096, 16384 },
};

/* 0 where it is not known. */
static size_t
heap_nbytes(void)
{
	size_t (*classic)(void) = (size_t (*)(void))dlsym(RTLD_DEFAULT, "classic_heap_nbytes");
	Dl_info of_malloc, of_libc;

	if (classic != NULL)
		return classic();
	if (dladdr((void *)malloc, &of_malloc) != 0 && dladdr((void *)puts, &of_libc) != 0 &&
	    of_malloc.dli_fbase == of_libc.dli_fbase) {
		struct mallinfo2 m = mallinfo2();

		return m.arena + m.hblkhd;
	}
	return 0;
}

/* The second and third number of statm: pages in memory, and of them those of files. */
static size_t
resident_nbytes(void)
{
	static char line[256];
	FILE *f = fopen("/proc/self/statm", "r");
	size_t all = 0, resident = 0, shared = 0;

	if (f == NULL)
		return 0;
	if (fgets(line, sizeof line, f) == NULL ||
	    sscanf(line, "%zu %zu %zu", &all, &resident, &shared) != 3)
		resident = shared = 0;
	fclose(f);
	return (resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

/* What was allocated last; all of it stays in use. */
static void *volatile last;

static void
measure(struct mix m)
{
	size_t asked = 0, n, heap, resident;
	unsigned long seed = 88172645463325252u;
	char text[48];

	/* Before the first figures: whatever the library does once. */
	free(malloc(1));
	resident = resident_nbytes();
	heap = heap_nbytes();
	while (asked < ASKED) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		n = m.from + seed % (m.to - m.from + 1);
		/* Kept: nothing is freed, and the process ends with the line. */
		last = memset(malloc(n), 1, n);
		asked += n;
	}
	heap = heap_nbytes() - heap;
	resident = resident_nbytes() - resident;
	if (m.from == m.to)
		snprintf(text, sizeof text, "%zu", m.from);
	else
		snprintf(text, sizeof text, "%zu-%zu", m.from, m.to);
	printf("%-12s %10zu ", text, asked);
	if (heap != 0)
		printf("%11.3f", (double)heap / (double)asked);
	else
		printf("%11s", "-");
	printf(" %15.3f\n", (double)resident / (double)asked);
	fflush(stdout);
}

int
main(void)
{
	int failed = 0;

	printf("%-12s %10s %11s %15s\n", "size", "asked", "heap/asked", "resident/asked");
	fflush(stdout);
	for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) {
		int status = 1;
		pid_t pid = fork();

		if (pid == 0) {
			measure(mixes[i]);
			_exit(0);
		}
		waitpid(pid, &status, 0);
		failed |= status != 0;
	}
	return failed;
}
