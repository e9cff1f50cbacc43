/*
 * What is allocated by one function and freed by one of another kind: found with option M, whatever
 * the size; and what belongs together passes.
 */
#include "everywhere.h"

void *_Znam(size_t n);
void *_ZnamSt11align_val_t(size_t n, size_t alignment);
void _ZdlPvRKSt9nothrow_t(void *p, const void *tag);
void _ZdaPvSt11align_val_t(void *p, size_t alignment);

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { C = 1, ALIGNED = 2, NEW = 4, ARRAY = 8, NEW_ALIGNED = 16, ARRAY_ALIGNED = 32 };

static void *by_malloc(size_t n) { return malloc(n); }
static void *by_calloc(size_t n) { return calloc(n, 1); }
static void *by_reallocarray(size_t n) { return reallocarray(NULL, n, 1); }
static void *by_realloc(size_t n) { return realloc(malloc(n / 2 + 1), n); }
static void *by_aligned_alloc(size_t n) { return aligned_alloc(64, n); }
static void *by_aligned_16(size_t n) { return aligned_alloc(16, n); }
static void *by_resized(size_t n) { return realloc(aligned_alloc(64, n), n * 2); }

static void *
by_posix_memalign(size_t n)
{
	void *p = NULL;

	return posix_memalign(&p, 64, n) == 0 ? p : NULL;
}

static void *by_new(size_t n) { return _Znwm(n); }
static void *by_new_array(size_t n) { return _Znam(n); }
static void *by_new_aligned(size_t n) { return _ZnwmSt11align_val_t(n, 64); }
static void *by_new_array_aligned(size_t n) { return _ZnamSt11align_val_t(n, 64); }

static const struct {
	const char *name; /* in the message */
	int family;
	void *(*call)(size_t n);
} allocs[] = {
	{"malloc", C, by_malloc},
	{"malloc", C, by_calloc},
	{"malloc", C, by_reallocarray},
	{"malloc", C, by_realloc},
	{"malloc", C, by_aligned_16},
	{"malloc", C, by_resized},
	{"aligned_alloc", ALIGNED, by_aligned_alloc},
	{"aligned_alloc", ALIGNED, by_posix_memalign},
	{"operator new", NEW, by_new},
	{"operator new[]", ARRAY, by_new_array},
	{"aligned operator new", NEW_ALIGNED, by_new_aligned},
	{"aligned operator new[]", ARRAY_ALIGNED, by_new_array_aligned},
};

static void to_free(void *p, size_t n) { (void)n; free(p); }
static void to_cfree(void *p, size_t n) { (void)n; cfree(p); }
static void to_realloc(void *p, size_t n) { free(realloc(p, n)); }
static void to_realloc_more(void *p, size_t n) { free(realloc(p, n * 3)); }
static void to_free_sized(void *p, size_t n) { free_sized(p, n); }
static void to_free_aligned(void *p, size_t n) { free_aligned_sized(p, 16, n); }
static void to_freezero(void *p, size_t n) { freezero(p, n); }
static void to_delete(void *p, size_t n) { (void)n; _ZdlPv(p); }
static void to_delete_nothrow(void *p, size_t n) { (void)n; _ZdlPvRKSt9nothrow_t(p, &p); }
static void to_delete_sized(void *p, size_t n) { _ZdlPvm(p, n); }
static void to_delete_array(void *p, size_t n) { (void)n; _ZdaPv(p); }
static void to_delete_array_sized(void *p, size_t n) { _ZdaPvm(p, n); }
static void to_delete_aligned(void *p, size_t n) { (void)n; _ZdlPvSt11align_val_t(p, 16); }
static void to_delete_at_sized(void *p, size_t n) { _ZdlPvmSt11align_val_t(p, n, 16); }
static void to_delete_array_at(void *p, size_t n) { (void)n; _ZdaPvSt11align_val_t(p, 16); }
static void to_delete_all(void *p, size_t n) { _ZdaPvmSt11align_val_t(p, n, 16); }

static const struct {
	const char *func;
	int families; /* that it may free */
	void (*call)(void *p, size_t n);
} frees[] = {
	{"free", C | ALIGNED, to_free},
	{"cfree", C | ALIGNED, to_cfree},
	{"realloc", C | ALIGNED, to_realloc},
	{"realloc", C | ALIGNED, to_realloc_more},
	{"free_sized", C, to_free_sized},
	{"free_aligned_sized", C | ALIGNED, to_free_aligned},
	{"freezero", C | ALIGNED, to_freezero},
	{"operator delete", NEW, to_delete},
	{"operator delete", NEW, to_delete_nothrow},
	{"operator delete", NEW, to_delete_sized},
	{"operator delete[]", ARRAY, to_delete_array},
	{"operator delete[]", ARRAY, to_delete_array_sized},
	{"aligned operator delete", NEW_ALIGNED, to_delete_aligned},
	{"aligned operator delete", NEW_ALIGNED, to_delete_at_sized},
	{"aligned operator delete[]", ARRAY_ALIGNED, to_delete_array_at},
	{"aligned operator delete[]", ARRAY_ALIGNED, to_delete_all},
};

static size_t a, f, n;

static int
run(void *unused)
{
	(void)unused;
	void *p = allocs[a].call(n);

	/* by_resized has twice the size. */
	frees[f].call(p, malloc_usable_size(p));
	return is_whole() ? 0 : 3;
}

static bool
said(const struct ended *e, const char *kind)
{
	char want[200], by[100];

	snprintf(want, sizeof(want), "families(%d) in %s(): %s: mismatched deallocation 0x",
	    (int)e->pid, frees[f].func, kind);
	snprintf(by, sizeof(by), ", allocated by %s", allocs[a].name);
	return strncmp(e->text, want, strlen(want)) == 0 && strstr(e->text, by) != NULL;
}

static void
try_all(bool goes_on)
{
	static const size_t sizes[] = {24, 5000, 100000};

	for (a = 0; a < COUNT(allocs); a++)
		for (f = 0; f < COUNT(frees); f++) {
			bool fits = (allocs[a].family & frees[f].families) != 0, right = true;

			for (size_t i = 0; i < COUNT(sizes); i++) {
				struct ended e;

				n = sizes[i];
				child_run(&e, run, NULL);
				if (fits ? e.status == 0 && e.len == 0 :
				    goes_on ? e.status == 0 && said(&e, "warning") :
				    died_of(&e, SIGABRT) && said(&e, "error"))
					continue;
				right = false;
				printf("# %zu bytes: status %#x\n# %s\n", n, (unsigned)e.status, e.text);
			}
			ok(right, "%s%zu, %s%zu: %s", allocs[a].name, a, frees[f].func, f,
			    fits ? "passes" : goes_on ? "said, and freed" : "ends the process");
		}
}

int
main(int argc, char **argv)
{
	int status = -1;

	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	if (argc == 2) {
		tap_count = (unsigned)atoi(argv[1]);
		try_all(tap_count != 0);
		return tap_failed != 0;
	}
	/* Options are read at the start of a process; K has usable sizes told exactly. */
	for (int i = 0; i < 2; i++) {
		char from[20];

		setenv("MALLOC_OPTIONS", i == 0 ? "MK" : "aMK", 1);
		snprintf(from, sizeof(from), "%u", tap_count);
		fflush(stdout);
		if (fork() == 0) {
			execl("/proc/self/exe", "families", from, (char *)NULL);
			_exit(127);
		}
		wait(&status);
		tap_failed += status != 0;
		tap_count += COUNT(allocs) * COUNT(frees);
	}
	return tap_done();
}
