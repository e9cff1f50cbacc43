/*
 * phk1996.c: the allocator of 1996: pages, chunks, and malloc, free and realloc on top of them;
 * phk1996.h tells and draws what it is. Protected by the shim's lock. It must never keep what it
 * knows of free pages in those pages.
 */
#include "phk1996.h"

#include <string.h>

#define MALLOC_CACHE_PAGES ((size_t)100)
#define JUNK 0xd0			/* "Duh": chosen to crash who believes it */

size_t malloc_pagesize, malloc_pageshift, malloc_pagemask, malloc_maxsize;
size_t malloc_origo, malloc_ninfo, last_index;
struct pginfo **page_dir;
char *malloc_brk;
struct pgfree free_list, *px;
bool malloc_started;

static size_t malloc_cache;		/* bytes kept when the break is lowered */

static void *malloc_bytes(size_t size);
static void ifree(void *ptr);

static size_t
round_to_pages(size_t n)
{
	return (n + malloc_pagemask) & ~malloc_pagemask;
}

/* The one check of every pointer that comes back. FINE is conclusive but for chunks reused. */
static enum fault
pointer_fault(const void *ptr)
{
	size_t offset = (uintptr_t)ptr & malloc_pagemask, i, reserved;
	const struct pginfo *info;

	if (!malloc_started)
		return NEVER_CALLED;
	/* D4: addresses are compared, as indexes below 0 would be large. */
	if ((const char *)ptr < index2ptr(malloc_pageshift))
		return TOO_LOW;
	if (ptr2index(ptr) > last_index)
		return TOO_HIGH;
	info = page_dir[ptr2index(ptr)];
	if (info == MALLOC_FREE)
		return FREE_PAGE;
	if (info == MALLOC_NOT_MINE || info == MALLOC_FOLLOW)
		return WRONG_PAGE;
	if (info == MALLOC_FIRST)
		return offset == 0 ? FINE : MODIFIED_PAGE;
	i = offset >> info->shift;
	reserved = (malloc_pagesize >> info->shift) - info->total;
	/* D12: the chunks under an in-page pginfo passed for allocated ones. */
	if ((offset & (info->size - 1U)) != 0 || i < reserved)
		return MODIFIED_CHUNK;
	if ((info->bits[i / MALLOC_BITS] & 1U << i % MALLOC_BITS) != 0)
		return FREE_CHUNK;
	return FINE;
}

/* Bytes that an allocation has: its pages, or its chunk. */
static size_t
allocation_nbytes(const void *ptr)
{
	size_t index = ptr2index(ptr), n = 1;

	if (page_dir[index] >= MALLOC_MAGIC)
		return page_dir[index]->size;
	while (page_dir[index + n] == MALLOC_FOLLOW)
		n++;
	return n << malloc_pageshift;
}

/* ---- pages ---- */

/*
 * A larger directory: copied, one page or two more than is needed now. So it is copied once
 * for every 2 MB by which the heap grows, and the copies of a huge heap add up to its square.
 */
static bool
extend_pgdir(size_t index)
{
	size_t slots = malloc_pagesize / sizeof *page_dir;
	size_t ninfo = (index / slots + 2) * slots;
	struct pginfo **larger = shim_map(ninfo * sizeof *page_dir);

	if (larger == NULL)
		return false;
	memcpy(larger, page_dir, malloc_ninfo * sizeof *page_dir);
	shim_unmap(page_dir, malloc_ninfo * sizeof *page_dir);
	page_dir = larger;
	malloc_ninfo = ninfo;
	return true;
}

/* Raises the break. One slot beyond the last page stays NOT_MINE: it ends every run. */
static void *
map_pages(size_t size)
{
	char *result = shim_sbrk(size);
	size_t last;

	if (result == NULL)
		return NULL;
	last = ptr2index(result + size) - 1;
	if (last + 1 >= malloc_ninfo && !extend_pgdir(last + 1)) {
		shim_brk(result);		/* D14 */
		return NULL;
	}
	malloc_brk = result + size;
	last_index = last;
	return result;
}

/* A record that is no longer listed: becomes the spare, or goes back to the heap. */
static void
record_done(struct pgfree *pf)
{
	if (px != NULL) {
		ifree(pf);
		return;
	}
	px = pf;
	px->next = NULL;
}

static void
run_remove(struct pgfree *pf)
{
	pf->prev->next = pf->next;
	if (pf->next != NULL)
		pf->next->prev = pf->prev;
}

/*
 * First fit, low end. A record that is used up is given back last, when all is consistent: it
 * may be the last chunk of its page, and that page's free changes the very list walked here.
 */
static void *
malloc_pages(size_t size)
{
	struct pgfree *pf, *delay_free = NULL;
	char *p;

	size = round_to_pages(size);
	for (pf = free_list.next; pf != NULL && pf->size < size; pf = pf->next)
		;
	if (pf == NULL) {
		p = map_pages(size);
		if (p == NULL)
			return NULL;
	} else {
		p = pf->page;
		pf->page += size;
		pf->size -= size;
		if (pf->size == 0) {
			run_remove(pf);
			delay_free = pf;
		}
	}
	page_dir[ptr2index(p)] = MALLOC_FIRST;
	for (size_t i = 1; i < size >> malloc_pageshift; i++)
		page_dir[ptr2index(p) + i] = MALLOC_FOLLOW;
	if (malloc_junk)
		memset(p, JUNK, size);
	if (delay_free != NULL)
		record_done(delay_free);
	return p;
}

/* Gives the end of the heap back: all but the cache of a last run that is larger than it. */
static void
lower_break(struct pgfree *pf)
{
	size_t old_last = last_index;

	if (pf->next != NULL			/* not the last run, */
	    || pf->size <= malloc_cache		/* ..or not worth it, */
	    || pf->end != malloc_brk		/* ..or not at the end, */
	    || malloc_brk != shim_break())	/* ..or somebody moved the break */
		return;
	if (!shim_brk(pf->page + malloc_cache))
		return;
	pf->end = pf->page + malloc_cache;
	pf->size = malloc_cache;
	malloc_brk = pf->end;
	last_index = ptr2index(pf->end) - 1;
	/* D5: it is the old last_index up to which entries must go. */
	for (size_t i = last_index + 1; i <= old_last; i++)
		page_dir[i] = MALLOC_NOT_MINE;
}

/* A new run between two others, described by a spare record. */
static struct pgfree *
run_insert(struct pgfree *before, char *page, char *end)
{
	struct pgfree *pf = px;

	px = pf->next;
	pf->page = page;
	pf->end = end;
	pf->prev = before;
	pf->next = before->next;
	before->next = pf;
	if (pf->next != NULL)
		pf->next->prev = pf;
	return pf;
}

static void
free_pages(char *page, size_t nbytes)
{
	struct pgfree *before = &free_list, *after, *run, *absorbed = NULL;
	char *end = page + nbytes;

	for (size_t i = ptr2index(page); i < ptr2index(end); i++)
		page_dir[i] = MALLOC_FREE;
	while (before->next != NULL && before->next->page < page)
		before = before->next;
	after = before->next;
	if ((before != &free_list && before->end > page) || (after != NULL && after->page < end))
		wrterror("messed up free list");
	if (before != &free_list && before->end == page) {
		run = before;
		if (after != NULL && after->page == end) {
			end = after->end;
			run_remove(after);
			absorbed = after;
		}
		run->end = end;
	} else if (after != NULL && after->page == end) {
		run = after;
		run->page = page;
	} else {
		run = run_insert(before, page, end);
	}
	run->size = (size_t)(run->end - run->page);
	lower_break(run);
	if (absorbed != NULL)
		record_done(absorbed);
	/*
	 * D13: the spare was got when it was needed, which could fail. Now there is a free page
	 * at least. Getting it may use up a run, whose record then is a second spare.
	 */
	if (px == NULL) {
		run = malloc_bytes(sizeof *run);
		run->next = px;
		px = run;
	}
}

/* ---- chunks ---- */

static void
list_insert(struct pginfo *info)
{
	struct pginfo **at = &page_dir[info->shift];

	/* D11: the original compared with the page after the one it looked at. */
	while (*at != NULL && (*at)->page < info->page)
		at = &(*at)->next;
	info->next = *at;
	*at = info;
}

static void
list_remove(struct pginfo *info)
{
	struct pginfo **at = &page_dir[info->shift];

	while (*at != info)
		at = &(*at)->next;
	*at = info->next;
}

/* A page of chunks of 2^shift bytes; the pginfo in it unless that takes more than two. */
static bool
malloc_make_chunks(size_t shift)
{
	size_t total = malloc_pagesize >> shift, reserved = 0;
	size_t words = (total + MALLOC_BITS - 1) / MALLOC_BITS;
	size_t nbytes = sizeof(struct pginfo) + words * sizeof(uint32_t);
	char *page = malloc_pages(malloc_pagesize);
	struct pginfo *info = (struct pginfo *)page;

	if (page == NULL)
		return false;
	if ((size_t)1 << shift <= 2 * nbytes) {
		reserved = (nbytes + ((size_t)1 << shift) - 1) >> shift;
	} else {
		info = malloc_bytes(nbytes);
		if (info == NULL) {
			ifree(page);		/* D8 */
			return false;
		}
	}
	info->page = page;
	info->shift = (uint16_t)shift;
	info->size = (uint16_t)(1U << shift);
	info->total = info->free = (uint16_t)(total - reserved);
	memset(info->bits, 0, words * sizeof(uint32_t));
	for (size_t i = reserved; i < total; i++)
		info->bits[i / MALLOC_BITS] |= 1U << i % MALLOC_BITS;
	page_dir[ptr2index(page)] = info;
	list_insert(info);
	return true;
}

/* The lowest free chunk of the lowest page that has one. */
static void *
malloc_bytes(size_t size)
{
	size_t shift = 4, i = 0, bit;
	struct pginfo *info;
	char *p;

	while ((size_t)1 << shift < size)
		shift++;
	if (page_dir[shift] == NULL && !malloc_make_chunks(shift))
		return NULL;
	info = page_dir[shift];
	while (info->bits[i] == 0)
		i++;
	bit = (size_t)__builtin_ctz(info->bits[i]);
	info->bits[i] &= ~(1U << bit);
	p = info->page + ((i * MALLOC_BITS + bit) << shift);
	if (--info->free == 0)
		page_dir[shift] = info->next;
	if (malloc_junk)
		memset(p, JUNK, (size_t)1 << shift);
	return p;
}

static void
free_bytes(char *ptr, struct pginfo *info)
{
	size_t i = ((uintptr_t)ptr & malloc_pagemask) >> info->shift;
	char *page = info->page;

	info->bits[i / MALLOC_BITS] |= 1U << i % MALLOC_BITS;
	info->free++;
	if (info->free == 1)
		list_insert(info);
	if (info->free != info->total)
		return;
	list_remove(info);
	page_dir[ptr2index(page)] = MALLOC_FIRST;
	if ((char *)info != page)
		ifree(info);
	ifree(page);
}

/* ---- malloc, free, realloc ---- */

static bool
malloc_init(void)
{
	malloc_options(shim_getenv("MALLOC_OPTIONS"));	/* D6: the shim knows */
	malloc_brk = shim_break();
	if (malloc_brk == NULL)
		return false;
	malloc_pagesize = shim_pagesize();
	malloc_pageshift = (size_t)__builtin_ctzl(malloc_pagesize);
	malloc_pagemask = malloc_pagesize - 1;
	malloc_maxsize = malloc_pagesize / 2;
	malloc_cache = MALLOC_CACHE_PAGES << malloc_pageshift;
	malloc_origo = ((uintptr_t)malloc_brk >> malloc_pageshift) - malloc_pageshift;
	last_index = malloc_pageshift - 1;
	page_dir = shim_map(malloc_pagesize);
	if (page_dir == NULL)
		wrterror("(Init) my first mmap failed.  (check limits ?)\n");
	malloc_ninfo = malloc_pagesize / sizeof *page_dir;
	/* Early, so that it lies low and does not keep the break up (Kaleb Keithley's hack). */
	px = malloc_bytes(sizeof *px);
	if (px == NULL) {
		shim_unmap(page_dir, malloc_pagesize);
		return false;
	}
	px->next = NULL;
	malloc_started = true;
	return true;
}

static void *
imalloc(size_t size)
{
	void *result;

	if (suicide)
		shim_abort();
	if (!malloc_started && !malloc_init())
		return NULL;
	/* D1: the shim lets no size pass that rounding to pages would wrap. */
	result = size <= malloc_maxsize ? malloc_bytes(size) : malloc_pages(size);
	if (result == NULL && malloc_abort)
		wrterror("malloc(): returns NULL\n");
	if (result != NULL && malloc_zero)		/* D3 */
		memset(result, 0, size);
	return result;
}

static void
ifree(void *ptr)
{
	enum fault fault = pointer_fault(ptr);

	if (suicide)
		return;
	if (fault != FINE)
		wrtwarning_free(fault);
	else if (page_dir[ptr2index(ptr)] == MALLOC_FIRST)
		free_pages(ptr, allocation_nbytes(ptr));
	else
		free_bytes(ptr, page_dir[ptr2index(ptr)]);
}

/*
 * Stays where it is when as many pages are needed, or when a chunk of half the size would not
 * do. Strictly smaller than the chunk: one that is asked for its own size moves. Never grows.
 */
static void *
irealloc(void *ptr, size_t size)
{
	enum fault fault = pointer_fault(ptr);
	size_t osize;
	bool stays;
	void *p;

	if (suicide)
		shim_abort();
	if (fault != FINE) {
		wrtwarning_realloc(fault);
		return NULL;
	}
	osize = allocation_nbytes(ptr);
	if (page_dir[ptr2index(ptr)] == MALLOC_FIRST)
		stays = round_to_pages(size) == osize;
	else
		stays = size < osize && (size > osize / 2 || osize == MALLOC_MINSIZE);
	if (stays && !malloc_realloc)
		return ptr;
	p = imalloc(size);
	if (p == NULL)
		return NULL;
	memcpy(p, ptr, osize < size ? osize : size);
	ifree(ptr);
	return p;
}

/*
 * A chunk is aligned to its size and whole pages to a page. For more than that, pages enough to
 * find the alignment in: to write MALLOC_FIRST inside an allocation cuts it in two, and so what
 * is in front and behind is freed.
 */
static void *
imemalign(size_t alignment, size_t size)
{
	char *p, *end;
	size_t need;

	if (!malloc_started && !malloc_init())
		return NULL;
	if (alignment <= malloc_pagesize)
		return imalloc(size > alignment ? size : alignment);
	need = size == 0 ? malloc_pagesize : round_to_pages(size);
	p = imalloc(need + alignment - malloc_pagesize);
	if (p == NULL)
		return NULL;
	end = p + need + alignment - malloc_pagesize;
	if (((uintptr_t)p & (alignment - 1)) != 0) {
		char *aligned = (char *)(((uintptr_t)p | (alignment - 1)) + 1);

		page_dir[ptr2index(aligned)] = MALLOC_FIRST;
		ifree(p);
		p = aligned;
	}
	if (p + need < end) {
		page_dir[ptr2index(p + need)] = MALLOC_FIRST;
		ifree(p + need);
	}
	return p;
}

static size_t
iusable(void *ptr)
{
	return pointer_fault(ptr) == FINE ? allocation_nbytes(ptr) : 0;
}

const struct allocator allocator = {
	.name = "phk1996",
	.malloc = imalloc,
	.free = ifree,
	.realloc = irealloc,
	.memalign = imemalign,
	.usable = iusable,
	.check = phk1996_check,
	.finish = phk1996_finish,
};
