/*
 * watched.c: does with an allocation what watch/ says; see watched.h. No state.
 */
#include "heap/watched.h"

#include "heap/imalloc.h"
#include "heap/sample.h"
#include "large/large.h"

/* The calling thread's owner, with counters for what is in effect; NULL when there is none. */
static struct owner *
joined(void)
{
	struct owner *o = owner_self;

	if (UNLIKELY(o == &owner_none))
		o = owner_attach();
	return o != NULL && (watch_is_joined(o) || watch_join(o)) ? o : NULL;
}

void *
watched_alloc(size_t n, size_t alignment, unsigned class_no)
{
	struct owner *o = joined();
	uint32_t weight;
	void *p = NULL;

	if (o == NULL || !o->alert)
		return NULL;
	switch (watch_ask(o, class_no, &weight)) {
	case WATCH_PLAIN:
		return NULL;
	case WATCH_GUARD:
		return sample_alloc(n, alignment);
	case WATCH_STEP:
		p = malloc_bytes(class_no, n);
		break;
	case WATCH_SAMPLE:
		p = profile_alloc(n, class_no, weight);
		break;
	}
	watch_park(o, class_no);
	return p;
}

void *
watched_guard(size_t n, size_t alignment, unsigned class_no)
{
	struct owner *o = joined();
	uint32_t weight;

	return o != NULL && watch_ask(o, class_no, &weight) == WATCH_GUARD ?
	    sample_alloc(n, alignment) : NULL;
}

NOINLINE void
watched_large(const void *p, size_t n)
{
	struct owner *o = joined();

	if (o != NULL && watch_large(o, n))
		profile_large(page_dir_find(p), n);
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
