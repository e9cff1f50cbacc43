/*
 * inspect.c: figures of the heap; see inspect.h. Takes the page lock, so that no page changes its
 * kind during the walk, and reads the bitmaps of others with relaxed loads.
 */
#include "heap/inspect.h"

#include "base/fmt.h"
#include "chunk/chunk.h"
#include "conf/conf.h"
#include "heap/sample.h"
#include "large/large.h"
#include "os/env.h"
#include "os/lock.h"
#include "page/arena.h"
#include "page/page_alloc.h"

#include <string.h>

static size_t
entry_add(struct heap_figures *f, const struct pginfo *pg)
{
	uintptr_t kind = load_acquire(&pg->owner);

	if (owner_is(kind)) {
		unsigned c = pg->chunk.class_no;
		const struct page_counts *k = page_counts(pg);
		size_t pending = 0;

		if ((kind & PGINFO_PENDING) != 0)
			for (unsigned w = 0; w < size_classes[c].nwords; w++)
				pending += count_bits(
				    load_relaxed(&chunk_remote(pg)[w]));
		f->class_pages[c]++;
		f->class_live[c] += chunk_live(pg) - pending;
		f->class_nfreed[c] += pending + (uint64_t)(k->started - k->countdown);
		return 1;
	}
	if (kind == MALLOC_FREE) {
		f->free_runs++;
		f->free_nbytes += (size_t)pg->free.npages << malloc_pageshift;
		return pg->free.npages;
	}
	if (page_dir_is_idle(kind))
		return pg->large.npages;
	if (kind != MALLOC_FIRST || pg->large.guard)
		return 1;
	f->large_count++;
	f->large_nbytes += (size_t)pg->large.npages << malloc_pageshift;
	return pg->large.npages;
}

void
inspect(struct heap_figures *f)
{
	memset(f, 0, sizeof(*f));
	lock_take(LOCK_PARKED);
	for (struct owner *o = owner_list; o != NULL; o = o->next) {
		f->owners++;
		for (unsigned c = 0; c < CLASS_COUNT; c++)
			f->class_nfreed[c] += load_relaxed(&o->nfreed[c]);
		f->nmalloc += load_relaxed(&o->large_nmalloc);
		f->nfree += load_relaxed(&o->large_nfree);
	}
	lock_take(LOCK_PAGE);
	f->arenas = arena_count;
	for (unsigned i = 0; i < arena_count; i++) {
		const struct arena *a = &arenas[i];
		size_t n = a->limit >> malloc_pageshift;

		f->committed_nbytes += a->limit;
		for (size_t at = 0; at < n;)
			at += entry_add(f, &a->page_dir[at]);
	}
	f->metadata_nbytes = meta_committed();
	f->dirty_nbytes = page_layer.ndirty << malloc_pageshift;
	lock_drop(LOCK_PAGE);
	lock_drop(LOCK_PARKED);
	f->nmalloc += load_relaxed(&large_nmalloc) + load_relaxed(&sample_counts.nmalloc);
	f->nfree += load_relaxed(&large_nfree) + load_relaxed(&sample_counts.nfree);
	f->live_nbytes = f->large_nbytes + load_relaxed(&sample_counts.live_nbytes);
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		f->nmalloc += f->class_nfreed[c] + f->class_live[c];
		f->nfree += f->class_nfreed[c];
		f->live_nbytes += f->class_live[c] * size_classes[c].size;
		f->chunk_pages_nbytes += f->class_pages[c] << malloc_pageshift;
	}
}

/* The options in effect, in words. */
static void
add_options(struct fmt *f)
{
	for (const char *s = opt.letters; *s != '\0'; s++) {
		bool on;
		const char *words = conf_words(*s, &on);

		if (words != NULL && s[1] != *s)
			fmt_add(f, "option %c: %s%s\n", *s, on ? "" : "not: ", words);
	}
}

void
inspect_dump(void)
{
	struct heap_figures h;
	struct fmt f;

	inspect(&h);
	f.len = 0;
	fmt_add(&f, "phkmalloc statistics of %s, options: %s\n", env_program(),
	    opt.letters[0] == '\0' ? "default" : opt.letters);
	add_options(&f);
	env_write(f.text, f.len);
	f.len = 0;
	fmt_add(&f, "operations: %z allocations, %z frees, %z pointers checked\n",
	    (size_t)h.nmalloc, (size_t)h.nfree, (size_t)h.nfree);
	fmt_add(&f, "in use: %z bytes; large: %z in %z bytes; pages of chunks: %z bytes\n",
	    h.live_nbytes, h.large_count, h.large_nbytes, h.chunk_pages_nbytes);
	fmt_add(&f, "free: %z runs in %z bytes, %z of them not yet given back\n", h.free_runs,
	    h.free_nbytes, h.dirty_nbytes);
	fmt_add(&f, "committed: %z bytes in %u arenas; metadata: %z bytes; owners: %u\n",
	    h.committed_nbytes, h.arenas, h.metadata_nbytes, h.owners);
	env_write(f.text, f.len);
	for (unsigned c = 0; c < CLASS_COUNT; c++) {
		if (h.class_pages[c] == 0 && h.class_nfreed[c] == 0)
			continue;
		f.len = 0;
		fmt_add(&f, "class %u bytes: %z pages, %z chunks in use, %z frees\n",
		    (unsigned)size_classes[c].size, h.class_pages[c], h.class_live[c],
		    (size_t)h.class_nfreed[c]);
		env_write(f.text, f.len);
	}
}
