/*
 * differ.c: do all allocators mean the same? One random sequence of operations, given by a
 * seed, is run on each of them; what a program can see must agree: which calls fail and how,
 * which bytes are kept, what is zero, what is aligned. Addresses and usable sizes may differ.
 *
 *	differ [LIBRARY...]	by default the libraries beside this program and, if it is there,
 *				../libphkmalloc.so; libc's own malloc is always one of them
 *	DIFFER_SEED=N		only this seed
 *
 * For each library and seed this program is started anew with the library preloaded. It writes
 * a line every thousand operations with a digest of all that was seen, so that a difference is
 * found in its thousand; and it checks the heap with the library's own checker then. The
 * digests of the first library are what the others' must be.
 */
#include "tap.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NSLOTS 1500
#define NOPS 60000
#define REPORT_EVERY 1000
#define MAX_LIBS 16

/* ---- one run ---- */

struct slot {
	unsigned char *p;
	size_t size;
	unsigned char fill;	/* what every byte of it is */
};

static struct slot slots[NSLOTS];
static uint64_t state, digest = 14695981039346656037u;
static const char *trouble;	/* what was seen that no allocator may do */

static uint64_t
draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static void
see(uint64_t value)
{
	digest = (digest ^ value) * 1099511628211u;
}

/* Mostly small, some of pages, few large; now and then what cannot be had. */
static size_t
draw_size(void)
{
	uint64_t kind = draw(1000);

	if (kind < 700)
		return draw(300);
	if (kind < 900)
		return draw(5000);
	if (kind < 985)
		return draw(70000);
	if (kind < 998)
		return draw(1000000);
	return SIZE_MAX / 2 + 1 + draw(SIZE_MAX / 2);
}

static void
expect(bool good, const char *what)
{
	if (!good && trouble == NULL)
		trouble = what;
}

/* The first n bytes, as they are: they are part of what is seen. */
static void
see_bytes(const unsigned char *p, size_t n, unsigned char fill, const char *what)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != fill) {
			expect(false, what);
			see(i);
			return;
		}
	see(n ^ (uint64_t)fill << 48);
}

/* What came of a call that should give n bytes: kept ones first, then room to write. */
static void
settle(struct slot *s, unsigned char *p, size_t n)
{
	see(p != NULL ? 1 : 2 + (uint64_t)errno);
	if (p == NULL)
		return;
	s->p = p;
	s->size = n;
	s->fill = (unsigned char)draw(256);
	expect((uintptr_t)p % 16 == 0, "alignment to 16");
	expect(malloc_usable_size(p) >= n, "usable size");
	memset(p, s->fill, n);
}

static void
do_realloc(struct slot *s)
{
	bool array = draw(2) == 0;
	size_t n = draw_size() & ~(size_t)(array ? 7 : 0);
	size_t kept = s->size < n ? s->size : n;
	unsigned char *p = array ? reallocarray(s->p, n / 8, 8) : realloc(s->p, n);

	if (p == NULL && n == 0) {
		see(0);
		s->p = NULL;
		return;
	}
	if (p != NULL)
		see_bytes(p, kept, s->fill, "contents after realloc");
	settle(s, p, n);
}

static void
do_alloc(struct slot *s)
{
	size_t n = draw_size(), align = (size_t)16 << draw(10);
	void *p = NULL;

	switch (draw(8)) {
	case 0:
		p = calloc(n / 4, 4);
		n &= ~(size_t)3;
		if (p != NULL)
			see_bytes(p, n, 0, "zeroes of calloc");
		break;
	case 1:
		p = memalign(align, n);
		expect((uintptr_t)p % align == 0, "alignment of memalign");
		break;
	case 2:
		align = align * draw(3) / 2;	/* often no power of two: 0 and 24 */
		errno = posix_memalign(&p, align, n);
		see((uint64_t)errno);
		expect(p == NULL || (uintptr_t)p % align == 0, "posix_memalign");
		break;
	case 3:
		p = aligned_alloc(align, n);
		expect((uintptr_t)p % align == 0, "alignment of aligned_alloc");
		break;
	case 4:
		p = realloc(NULL, n);
		break;
	default:
		p = malloc(n);
	}
	settle(s, p, n);
}

static void
step(void)
{
	struct slot *s = &slots[draw(NSLOTS)];

	errno = 0;
	if (s->p == NULL) {
		do_alloc(s);
	} else if (draw(3) == 0) {
		do_realloc(s);
	} else {
		see_bytes(s->p, s->size, s->fill, "contents before free");
		errno = 77;
		free(s->p);
		expect(errno == 77, "errno kept by free");
		s->p = NULL;
	}
}

/* Which malloc this is, told to the parent; and its checker. */
static size_t (*
library(const char **name))(void)
{
	const char *(*named)(void) = (const char *(*)(void))dlsym(RTLD_DEFAULT, "classic_name");
	size_t (*check)(void) = (size_t (*)(void))dlsym(RTLD_DEFAULT, "classic_check");

	*name = named != NULL ? named() : "libc";
	if (check == NULL) {
		check = (size_t (*)(void))dlsym(RTLD_DEFAULT, "phkmalloc_check");
		if (check != NULL)
			*name = "phkmalloc";
	}
	return check;
}

static int
run(uint64_t seed)
{
	const char *name;
	size_t (*check)(void) = library(&name);

	printf("%s\n", name);
	state = seed * 0x9e3779b97f4a7c15u | 1;
	for (int i = 1; i <= NOPS; i++) {
		step();
		if (i % REPORT_EVERY != 0)
			continue;
		printf("%d %016llx %s %zu\n", i, (unsigned long long)digest,
		    trouble != NULL ? trouble : "-", check != NULL ? check() : 0);
	}
	return 0;
}

/* ---- all of them ---- */

/* What one run wrote; the name in its first line is cut off into name. */
static bool
run_with(const char *library_path, const char *seed, char *name, char *text, size_t size)
{
	int fds[2], status = -1;
	size_t got = 0;
	ssize_t n;
	pid_t pid;
	char *end;

	if (pipe(fds) != 0)
		return false;
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		if (library_path[0] != '\0')
			setenv("LD_PRELOAD", library_path, 1);
		else
			unsetenv("LD_PRELOAD");
		execl("/proc/self/exe", "differ", "--run", seed, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	while (got + 1 < size && (n = read(fds[0], text + got, size - 1 - got)) > 0)
		got += (size_t)n;
	text[got] = '\0';
	close(fds[0]);
	waitpid(pid, &status, 0);
	end = strchr(text, '\n');
	if (status != 0 || end == NULL || end - text >= 32)
		return false;
	memcpy(name, text, (size_t)(end - text));
	name[end - text] = '\0';
	memmove(text, end + 1, strlen(end + 1) + 1);
	return true;
}

/* The first line in which two texts differ, for the reader of a failure. */
static void
tell_difference(const char *a, const char *b)
{
	while (*a != '\0' && *b != '\0') {
		size_t la = strcspn(a, "\n"), lb = strcspn(b, "\n");

		if (la != lb || memcmp(a, b, la) != 0) {
			printf("# expected %.*s\n# but got  %.*s\n", (int)la, a, (int)lb, b);
			return;
		}
		a += la + (a[la] == '\n');
		b += lb + (b[lb] == '\n');
	}
	printf("# one of them ended early\n");
}

/* "kingsley" of ".../libkingsley.so", and "libc" of "". */
static const char *
expected_name(const char *path)
{
	static char name[64];
	const char *base = strrchr(path, '/');

	if (path[0] == '\0')
		return "libc";
	base = base != NULL ? base + 1 : path;
	snprintf(name, sizeof name, "%s", base + (strncmp(base, "lib", 3) == 0 ? 3 : 0));
	name[strcspn(name, ".")] = '\0';
	return name;
}

static void
compare(const char *seed, char libs[][PATH_MAX], int nlibs)
{
	static char first[16384], text[16384];
	char name[32] = "";

	for (int i = 0; i < nlibs; i++) {
		const char *wanted = expected_name(libs[i]);
		char *to = i == 0 ? first : text;
		bool ran = run_with(libs[i], seed, name, to, sizeof text);

		if (!ran || strcmp(name, wanted) != 0) {
			ok(false, "seed %s: %s runs the operations (its malloc is %s)", seed,
			    wanted, ran ? name : "unknown");
			continue;
		}
		if (i == 0) {
			const char *last = strrchr(first, '-');

			ok(last != NULL && strcmp(last, "- 0\n") == 0,
			    "seed %s: %s sees nothing impossible", seed, name);
			continue;
		}
		ok(strcmp(first, text) == 0, "seed %s: %s does what %s does", seed, name,
		    expected_name(libs[0]));
		if (strcmp(first, text) != 0)
			tell_difference(first, text);
	}
}

/* The default: what is there beside this program. */
static int
find_libraries(char libs[][PATH_MAX])
{
	static const char *const names[] = { "libkingsley.so", "libfirstfit.so",
	    "libphk1996.so", "../libphkmalloc.so" };
	char here[PATH_MAX - 64];
	ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
	int nlibs = 0;

	here[n < 0 ? 0 : n] = '\0';
	if (strrchr(here, '/') != NULL)
		*strrchr(here, '/') = '\0';
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(libs[nlibs], PATH_MAX, "%s/%s", here, names[i]);
		if (access(libs[nlibs], R_OK) == 0)
			nlibs++;
		else
			printf("ok %d - %s # SKIP not built\n", ++tap_count, names[i]);
	}
	return nlibs;
}

int
main(int argc, char **argv)
{
	static char libs[MAX_LIBS][PATH_MAX];
	static const char *const seeds[] = { "1", "2", "3", "4", "5" };
	const char *only = getenv("DIFFER_SEED");
	int nlibs = 1;

	if (argc == 3 && strcmp(argv[1], "--run") == 0)
		return run(strtoull(argv[2], NULL, 10));
	/* libs[0] stays "": libc's own. */
	for (int i = 1; i < argc && nlibs < MAX_LIBS; i++)
		snprintf(libs[nlibs++], PATH_MAX, "%s", argv[i]);
	if (argc == 1)
		nlibs += find_libraries(libs + nlibs);
	if (only != NULL)
		compare(only, libs, nlibs);
	else
		for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
			compare(seeds[i], libs, nlibs);
	return tap_done();
}
