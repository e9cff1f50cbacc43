/*
 * phk1996_talk.c: what phkmalloc of 1996 says: warnings and errors, option D's dump; its option
 * letters; and the checker of its invariants. All but the options only read. Protected by the
 * shim's lock.
 */
#include "phk1996.h"

bool malloc_abort, malloc_stats, malloc_junk, malloc_realloc, malloc_zero;
bool suicide;

/* The texts of 1996, by who complains. */
static const char *const complaint[][2] = {
	[NEVER_CALLED] = { "free(): malloc() never got called.\n",
	    "realloc(): malloc() never got called.\n" },
	[TOO_LOW] = { "free(): junk pointer (too low)\n", "realloc(): junk pointer (too low)\n" },
	[TOO_HIGH] = { "free(): junk pointer (too high)\n",
	    "realloc(): junk pointer (too high)\n" },
	[FREE_PAGE] = { "free(): already free page.\n", "realloc(): wrong page pointer.\n" },
	[WRONG_PAGE] = { "free(): freeing wrong page.\n", "realloc(): wrong page pointer.\n" },
	[MODIFIED_PAGE] = { "free(): modified page pointer.\n",
	    "realloc(): modified page pointer.\n" },
	[MODIFIED_CHUNK] = { "free(): modified pointer.\n",
	    "realloc(): modified chunk pointer.\n" },
	[FREE_CHUNK] = { "free(): already free chunk.\n", "realloc(): already free chunk.\n" },
};

void
wrterror(const char *text)
{
	suicide = true;
	say("Malloc error: %s", text);
	if (malloc_stats && malloc_started)
		malloc_dump();
	shim_abort();
}

static void
wrtwarning(const char *text)
{
	if (malloc_abort)
		wrterror(text);
	say("Malloc warning: %s", text);
}

void
wrtwarning_free(enum fault fault)
{
	wrtwarning(complaint[fault][0]);
}

void
wrtwarning_realloc(enum fault fault)
{
	wrtwarning(complaint[fault][1]);
}

void
malloc_options(const char *options)
{
	for (const char *o = options; o != NULL && *o != '\0'; o++) {
		bool on = *o < 'a';

		switch (*o | 0x20) {
		case 'a': malloc_abort = on; break;
		case 'd': malloc_stats = on; break;
		case 'j': malloc_junk = on; break;
		case 'r': malloc_realloc = on; break;
		case 'z': malloc_zero = on; break;
		default:			/* D2: and on with the next one */
			wrtwarning("(Init): Unknown char in MALLOC_OPTIONS\n");
		}
	}
	if (malloc_zero)
		malloc_junk = true;
}

/* ---- the dump ---- */

static const char *
meaning(const struct pginfo *entry)
{
	return entry == MALLOC_NOT_MINE ? "not mine" : entry == MALLOC_FREE ? "free" : "in use";
}

/* How many entries from i on are one line: an allocation, or all that are free or not mine. */
static size_t
span(size_t i)
{
	struct pginfo *first = page_dir[i];
	size_t n = 1;

	if (first < MALLOC_MAGIC)
		while (i + n < malloc_ninfo && page_dir[i + n] ==
		    (first == MALLOC_FIRST ? MALLOC_FOLLOW : first))
			n++;
	return n;
}

static void
dump_runs(void)
{
	size_t nsteps = 0;

	for (const struct pgfree *pf = free_list.next; pf != NULL; pf = pf->next) {
		say("Free: @%p [%p...%p[ %zu ->%p <-%p\n", (const void *)pf, (void *)pf->page,
		    (void *)pf->end, pf->size, (void *)pf->prev, (void *)pf->next);
		if (++nsteps > last_index) {
			say("Free_list loops\n");
			return;
		}
	}
}

/* To standard error: the directory, the free runs, the constants. */
void
malloc_dump(void)
{
	size_t n;

	for (size_t i = malloc_pageshift; i <= last_index; i += n) {
		const struct pginfo *info = page_dir[i];

		n = span(i);
		if (info >= MALLOC_MAGIC)
			say("%p %zu pginfo %p %zu (of %zu) x %zu @ %p --> %p\n",
			    (void *)index2ptr(i), i, (const void *)info, (size_t)info->free,
			    (size_t)info->total, (size_t)info->size, (void *)info->page,
			    (void *)info->next);
		else
			say("%p %zu .. %zu %s\n", (void *)index2ptr(i), i, i + n - 1,
			    meaning(info));
	}
	dump_runs();
	say("Minsize\t%zu\nMaxsize\t%zu\nPagesize\t%zu\nPageshift\t%zu\n",
	    (size_t)MALLOC_MINSIZE, malloc_maxsize, malloc_pagesize, malloc_pageshift);
	say("FirstPage\t%zu\nLastPage\t%zu\nBreak\t%p\n", malloc_origo + malloc_pageshift,
	    malloc_origo + last_index, (void *)malloc_brk);
}

/* At exit. D9: the original dumped on its way to abort() only. */
void
phk1996_finish(void)
{
	if (malloc_stats && malloc_started && !suicide)
		malloc_dump();
}

/* ---- the checker ---- */

static size_t
broken(const char *invariant, const void *where)
{
	say("phk1996: %s is broken at %p\n", invariant, where);
	return 1;
}

static size_t
check_chunks(size_t i)
{
	const struct pginfo *info = page_dir[i];
	size_t total = malloc_pagesize >> info->shift, nset = 0;

	if (info->page != index2ptr(i) || info->size != 1U << info->shift || info->total > total)
		return broken("P4", info);
	for (size_t word = 0; word < (total + MALLOC_BITS - 1) / MALLOC_BITS; word++)
		nset += (size_t)__builtin_popcount(info->bits[word]);
	return nset == info->free && nset <= info->total ? 0 : broken("P4", info);
}

/* Every entry; counts the pages that are free, and those that each list should hold. */
static size_t
check_directory(size_t *nfree, size_t *nlisted)
{
	size_t bad = 0;

	if (malloc_brk != shim_break() || malloc_brk != index2ptr(last_index + 1))
		bad += broken("P1", malloc_brk);
	for (size_t i = malloc_pageshift; i < malloc_ninfo; i++) {
		const struct pginfo *info = page_dir[i], *left = page_dir[i - 1];

		if ((info == MALLOC_NOT_MINE) != (i > last_index))
			bad += broken("P1", index2ptr(i));
		if (info == MALLOC_FOLLOW && (i == malloc_pageshift ||
		    (left != MALLOC_FIRST && left != MALLOC_FOLLOW)))
			bad += broken("P2", index2ptr(i));
		*nfree += info == MALLOC_FREE;
		if (info >= MALLOC_MAGIC) {
			bad += check_chunks(i);
			nlisted[info->shift] += info->free > 0;
		}
	}
	return bad;
}

static size_t
check_runs(size_t nfree)
{
	const struct pgfree *prev = &free_list;
	size_t bad = 0, covered = 0;

	for (const struct pgfree *pf = free_list.next; pf != NULL; prev = pf, pf = pf->next) {
		if (pf->prev != prev || pf->size != (size_t)(pf->end - pf->page) ||
		    pf->page < index2ptr(malloc_pageshift) || pf->end > malloc_brk ||
		    (prev != &free_list && prev->end >= pf->page))
			return bad + broken("P3", pf);
		covered += pf->size >> malloc_pageshift;
		for (size_t i = ptr2index(pf->page); i < ptr2index(pf->end); i++)
			if (page_dir[i] != MALLOC_FREE)
				bad += broken("P3", index2ptr(i));
	}
	if (covered != nfree)
		bad += broken("P3", &free_list);
	return bad;
}

static size_t
check_list(size_t shift, size_t nlisted)
{
	const struct pginfo *prev = NULL;
	size_t n = 0, bad = 0;

	for (const struct pginfo *i = page_dir[shift]; i != NULL; prev = i, i = i->next, n++)
		if (i->shift != shift || i->free == 0 || (prev != NULL && prev->page >= i->page))
			return bad + broken("P5", i);
	if (n != nlisted)
		bad += broken("P5", &page_dir[shift]);
	return bad;
}

size_t
phk1996_check(void)
{
	size_t nfree = 0, nlisted[32] = {0}, bad;

	if (!malloc_started)
		return 0;
	bad = check_directory(&nfree, nlisted);
	bad += check_runs(nfree);
	for (size_t shift = 0; shift < malloc_pageshift; shift++)
		bad += check_list(shift, nlisted[shift]);
	if (px == NULL)
		bad += broken("P6", &px);
	return bad;
}
