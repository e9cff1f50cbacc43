/*
 * watched.c: allocations on slow paths while options or a profile look at them; see watched.h.
 * State is the owner's struct watch, which only its thread touches.
 */
#include "heap/watched.h"

#include "conf/conf.h"
#include "heap/sample.h"
#include "large/large.h"

/* The calling thread's owner, which counts for what is in effect; NULL when there is none. */
ALWAYS_INLINE struct owner *
owner_watching(void)
{
	struct owner *o = owner_self;

	if (UNLIKELY(o == &owner_none) && (o = owner_attach()) == NULL)
		return NULL;
	if (UNLIKELY(o->watch == NULL || o->watch->joined != load_relaxed(&owner_watch.any)) &&
	    profile_join(o) == NULL)
		return NULL;
	return o;
}

/* What somebody watches for in an allocation on a slow path; NULL to go on as ever. */
NOINLINE void *
watched_alloc(size_t n, size_t alignment, unsigned class_no)
{
	struct owner *o = owner_watching();
	struct watch *w;
	void *p = NULL;
	uint32_t taken;

	if (o == NULL)
		return NULL;
	w = o->watch;
	taken = w->taken[class_no];
	if (LIKELY((taken | w->skip[class_no]) == 0) && !owner_slow &&
	    load_relaxed(&owner_watch.profile_rate) != 1)
		return NULL;
	w->taken[class_no] = 0;
	if (opt.sample_rate != 0 && sample_due(w, owner_slow ? 1 : taken))
		p = sample_alloc(n, alignment);
	return p != NULL ? p : profile_alloc(o, n, class_no, taken);
}

NOINLINE void
watched_large(const void *p, size_t n)
{
	struct owner *o = owner_watching();

	if (o != NULL)
		profile_large(o, page_dir_find(p), n);
}

/* What the profile knows of a large allocation, which is about to end or to change. */
static struct profile_note
large_note(const struct pginfo *pg)
{
	return (struct profile_note){ .site = pg->large.sampled, .weight = 1,
		.tenths = pg->large.sampled_tenths };
}

enum ptr_fault
watched_free_large(struct pginfo *pg, const void *p)
{
	struct profile_note note = large_note(pg);
	size_t nbytes = pg->large.nbytes;
	enum ptr_fault fault = large_free(pg, p);

	if (UNLIKELY(note.site != 0) && fault == PTR_OK)
		profile_gone(&note, nbytes);
	return fault;
}

/* For the profile the old allocation has ended then, and a new one begins. */
void *
watched_resize_large(struct pginfo *pg, void *p, size_t n)
{
	struct profile_note note = large_note(pg);
	size_t nbytes = pg->large.nbytes;
	void *to = large_resize(pg, p, n);

	if (to == NULL)
		return NULL;
	if (UNLIKELY(note.site != 0)) {
		profile_gone(&note, nbytes);
		page_dir_find(to)->large.sampled = 0;
	}
	if (UNLIKELY(load_relaxed(&owner_watch.any) != 0))
		watched_large(to, n);
	return to;
}
