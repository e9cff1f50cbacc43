/*
 * Runs each attack of attack.c in a process of its own, in the default build and with option S,
 * and looks at what they rely on: where the bookkeeping lies, and what of the library is writable.
 */
#include "attack/attack.h"
#include "phkmalloc_inspect.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define MSEAL 462

/* The library is preloaded, and this symbol is its only constant. */
extern const struct phkmalloc_descriptor phkmalloc_descriptor;
static const struct phkmalloc_descriptor *const d = &phkmalloc_descriptor;

/* A pointer in arena i. */
static char *
arena_field(size_t i, uint32_t offset)
{
	return *(char **)(uintptr_t)(d->arenas + i * d->arena_nbytes + offset);
}

void *
attack_page_dir(void)
{
	return arena_field(0, d->arena_page_dir);
}

void *
attack_arenas(void)
{
	return (void *)(uintptr_t)d->arenas;
}

void *
attack_options(void)
{
	return (void *)(uintptr_t)d->conf_letters;
}

/* --- the attacks --------- */

struct turn {
	size_t number;
	const char *options;
};

static int
start(void *arg)
{
	const struct turn *t = arg;
	char number[24];

	snprintf(number, sizeof(number), "%zu", t->number);
	if (t->options != NULL)
		setenv("MALLOC_OPTIONS", t->options, 1);
	execl("/proc/self/exe", "attack", number, (char *)NULL);
	return 127;
}

static enum outcome
outcome_of(const struct ended *e)
{
	if (died_of(e, SIGABRT) && strstr(e->text, " error: ") != NULL)
		return CAUGHT;
	if (died_of(e, SIGSEGV))
		return TRAPS;
	return e->status == 0 ? HAS_NO_EFFECT : SUCCEEDS;
}

static const char *
words(enum outcome o)
{
	static const char *const text[] = {"has no effect", "is caught", "traps",
	    "has no effect or is caught", "SUCCEEDS"};

	return text[o];
}

static void
attack(size_t number, const char *options, enum outcome expected)
{
	struct turn t = {number, options};
	struct ended e;
	enum outcome o;

	child_run(&e, start, &t);
	o = outcome_of(&e);
	if (!ok(o == expected || (expected == EITHER && o < EITHER), "%s%s %s",
	    attacks[number].name, options == NULL ? "" : " with option S", words(expected)))
		printf("# %s: status %#x, %s\n", words(o), (unsigned)e.status, e.text);
}

static int
table(void)
{
	printf("| technique | default | with `S` |\n|---|---|---|\n");
	for (size_t i = 0; i < attack_count; i++)
		printf("| %s | %s | %s |\n", attacks[i].name, words(attacks[i].plain),
		    words(attacks[i].secure));
	return 0;
}

/* --- two threads that free at the same moment --- */

static pthread_barrier_t both;
static void *contested;

static void *
free_together(void *arg)
{
	for (int i = 0; i < 500; i++) {
		pthread_barrier_wait(&both);
		free(opaque(contested));
		pthread_barrier_wait(&both);
	}
	return arg;
}

/* Standard error has a line for each free too many, the program goes on (option a). */
static int
race(void)
{
	pthread_t t[2];
	void *keep[500];

	pthread_barrier_init(&both, NULL, 3);
	for (size_t i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, free_together, NULL);
	for (size_t i = 0; i < 500; i++) {
		contested = malloc(512);
		/* So that the page is not empty in between. */
		keep[i] = malloc(512);
		pthread_barrier_wait(&both);
		pthread_barrier_wait(&both);
	}
	for (size_t i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	malloc_trim(0);
	for (size_t i = 0; i < 500; i++)
		free(opaque(keep[i]));
	return phkmalloc_check() != 0;
}

static void
race_found(void)
{
	FILE *lines;
	size_t n = 0;
	char line[400], command[600], self[300] = "";
	int status;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		abort();
	snprintf(command, sizeof(command), "MALLOC_OPTIONS=a %s race 2>&1", self);
	lines = popen(command, "r");
	while (lines != NULL && fgets(line, sizeof(line), lines) != NULL)
		n += strstr(line, "chunk is already free") != NULL;
	status = lines == NULL ? -1 : pclose(lines);
	ok(status == 0 && n == 500,
	    "of 500 chunks that two threads free at once, each is reported once");
	if (n != 500)
		printf("# %zu reports, status %#x\n", n, (unsigned)status);
}

/* --- where things lie --------- */

struct mapping {
	uintptr_t start, end;
	char access[5];
	char name[200];
};

static size_t
mappings(struct mapping *m, size_t max)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[600];
	size_t n = 0;

	while (f != NULL && n < max && fgets(line, sizeof(line), f) != NULL) {
		m[n].name[0] = '\0';
		if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %199s", &m[n].start, &m[n].end, m[n].access,
		    m[n].name) >= 3)
			n++;
	}
	if (f != NULL)
		fclose(f);
	return n;
}

static struct mapping map[4000];

static const struct mapping *
mapping_of(uintptr_t address)
{
	for (const struct mapping *m = map; m < map + sizeof(map) / sizeof(map[0]) && m->end != 0; m++)
		if (address >= m->start && address < m->end)
			return m;
	return NULL;
}

/* Whether the OS page at the address is mapped and cannot be touched. */
static bool
traps(uintptr_t address)
{
	const struct mapping *m = mapping_of(address);

	return m != NULL && strncmp(m->access, "---", 3) == 0;
}

static void
placement(void)
{
	unsigned count = *(unsigned *)(uintptr_t)d->arena_count;
	bool before = true, behind = true, around = true;

	free(malloc(64));
	mappings(map, sizeof(map) / sizeof(map[0]));
	for (size_t i = 0; i < count; i++) {
		uintptr_t origin = (uintptr_t)arena_field(i, d->arena_origin);
		size_t npages = (size_t)arena_field(i, d->arena_npages);
		uintptr_t dir = (uintptr_t)arena_field(i, d->arena_page_dir);

		before &= traps(origin - 1);
		behind &= traps(origin + (npages << d->page_shift));
		around &= traps(dir - 1) && traps(dir + npages * d->entry_nbytes);
	}
	ok(before && behind, "before the first page and behind the last one accesses trap");
	ok(around, "before and behind the bookkeeping accesses trap");
	ok(mapping_of(d->conf_letters) != NULL &&
	    strncmp(mapping_of(d->conf_letters)->access, "r--", 3) == 0, "the options are read-only");
}

/* Return addresses are recorded under options, and never called: a call stands before them. */
static bool
is_return_address(const unsigned char *code)
{
	return code[-5] == 0xe8 || code[-2] == 0xff || code[-3] == 0xff || code[-6] == 0xff ||
	    code[-7] == 0xff;
}

/* Writable words of the library that point to code: nothing that is called may be among them. */
static int
code_pointers_of(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t known = (uintptr_t)dlsym(RTLD_DEFAULT, "malloc");
	size_t *found = arg;
	bool own = false;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++)
		own |= info->dlpi_phdr[i].p_type == PT_LOAD &&
		    known - info->dlpi_addr - info->dlpi_phdr[i].p_vaddr < info->dlpi_phdr[i].p_memsz;
	for (int i = 0; own && i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		const uintptr_t *w = (void *)((info->dlpi_addr + part->p_vaddr + 7) & ~(uintptr_t)7);
		const uintptr_t *end = w + part->p_memsz / sizeof(*w);

		if (part->p_type != PT_LOAD || (part->p_flags & PF_W) == 0)
			continue;
		for (; w < end; w++) {
			const struct mapping *at = mapping_of((uintptr_t)w), *to = mapping_of(*w);

			if (at == NULL || at->access[1] != 'w' || to == NULL || to->access[2] != 'x' ||
			    is_return_address((void *)*w))
				continue;
			++*found;
			dprintf(STDERR_FILENO, "%s+%#tx points to code of %s\n", info->dlpi_name,
			    (char *)w - (char *)info->dlpi_addr, to->name);
		}
	}
	return own;
}

static int
code_pointers(void)
{
	size_t found = 0;

	mappings(map, sizeof(map) / sizeof(map[0]));
	return dl_iterate_phdr(code_pointers_of, &found) != 1 || found != 0;
}

static int
start_self(void *arg)
{
	const char **a = arg;

	setenv("MALLOC_OPTIONS", a[1], 1);
	execl("/proc/self/exe", "attack", a[0], (char *)NULL);
	return 127;
}

/* The distance from the heap to its bookkeeping is another in each process. */
static void
randomness(void)
{
	struct ended e;
	char seen[20][24];
	size_t n = 0;

	for (size_t i = 0; i < 20; i++) {
		bool fresh = true;

		child_run(&e, start_self, (const char *[]){"where", ""});
		for (size_t k = 0; k < n; k++)
			fresh &= strcmp(seen[k], e.text) != 0;
		if (fresh)
			snprintf(seen[n++], sizeof(seen[0]), "%.23s", e.text);
	}
	ok(n >= 18, "the bookkeeping is at another distance from the heap in each process");
	printf("# %zu of 20\n", n);
}

/* With S the kernel lets nobody make the options writable again, where it can (Linux 6.10). */
static int
unseal(void)
{
	void *page = (void *)((uintptr_t)attack_options() & ~(uintptr_t)4095);

	if (syscall(MSEAL, NULL, (size_t)0, 0UL) != 0)
		return 3;
	return mprotect(page, 4096, PROT_READ | PROT_WRITE) != 0 && errno == EPERM ? 0 : 1;
}

/* How often a freed chunk is what the next malloc of its size returns. */
static int
reuse(void)
{
	size_t same = 0;

	for (size_t i = 0; i < 2000; i++) {
		void *p = malloc(96);

		free(opaque(p));
		same += malloc(96) == p;
	}
	dprintf(STDERR_FILENO, "%zu of 2000 at once\n", same);
	return same > 20;
}

/* With S nothing of what was in freed memory is in new memory. */
static int
remains(void)
{
	for (size_t n = 16; n <= 65536; n *= 2) {
		for (int i = 0; i < 100; i++) {
			char *p = malloc(n);

			for (size_t k = 0; k < n; k++)
				if (p[k] == 'S')
					return 1;
			memset(p, 'S', n);
			free(opaque(p));
		}
	}
	return 0;
}

static int
run(const char *what)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	alarm(120);
	if (strcmp(what, "race") == 0)
		return race();
	if (strcmp(what, "code") == 0)
		return code_pointers();
	if (strcmp(what, "unseal") == 0)
		return unseal();
	if (strcmp(what, "reuse") == 0)
		return reuse();
	if (strcmp(what, "remains") == 0)
		return remains();
	if (strcmp(what, "where") == 0) {
		free(malloc(64));
		dprintf(STDERR_FILENO, "%td", (char *)attack_page_dir() - arena_field(0, d->arena_origin));
		return 0;
	}
	return attacks[strtoul(what, NULL, 10) % attack_count].act();
}

/* What holds under options, in a process that starts with them. */
static void
under(const char *what, const char *options, const char *promise)
{
	struct ended e;

	child_run(&e, start_self, (const char *[]){what, options});
	if (WIFEXITED(e.status) && WEXITSTATUS(e.status) == 3)
		skip(promise, "this kernel has no mseal");
	else if (!ok(e.status == 0, "%s", promise))
		printf("# status %#x, %s\n", (unsigned)e.status, e.text);
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--table") == 0)
		return table();
	if (argc > 1)
		return run(argv[1]);
	for (size_t i = 0; i < attack_count; i++) {
		attack(i, NULL, attacks[i].plain);
		attack(i, "S", attacks[i].secure);
	}
	race_found();
	placement();
	randomness();
	under("code", "", "no writable word of the library points to code");
	under("code", "SW100T", "nor under options, with its signal handler set");
	under("unseal", "S", "with option S nobody can make the options writable");
	under("reuse", "S", "with option S freed memory is not what is allocated next");
	under("remains", "S", "with option S nothing of freed memory is in new memory");
	return tap_done();
}
