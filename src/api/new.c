/*
 * new.c: every form of C++ operator new and delete, in C, under their mangled names.
 *
 * libstdc++ is not needed: the new-handler and std::bad_alloc are reached through weak symbols,
 * which are there in every program that can use them. A new that must not return NULL and finds
 * neither ends the process with a message.
 */
#include "api/api.h"
#include "conf/conf.h"
#include "diag/fault.h"
#include "heap/heap.h"

#include <stdlib.h>

typedef void (*new_handler_t)(void);
/* std::get_new_handler() and std::__throw_bad_alloc() of libstdc++. */
__attribute__((weak)) new_handler_t _ZSt15get_new_handlerv(void);
__attribute__((weak)) void _ZSt17__throw_bad_allocv(void);

static COLD void *
new_other(size_t n, size_t alignment, bool array, bool may_fail)
{
	for (;;) {
		void *p = inew(n, alignment, array);
		new_handler_t handler;

		if (p != NULL)
			return p;
		handler = _ZSt15get_new_handlerv != NULL ? _ZSt15get_new_handlerv() : NULL;
		if (handler == NULL)
			break;
		if (!may_fail)
			handler();
		else if (api_handler_threw(handler))
			return NULL;
	}
	if (opt.xmalloc)
		fault_fatal("operator new", "out of memory");
	if (may_fail)
		return NULL;
	if (_ZSt17__throw_bad_allocv != NULL)
		_ZSt17__throw_bad_allocv();
	fault_fatal("operator new", "out of memory");
}

static NOINLINE void *
new_slower(size_t n, bool array, bool may_fail)
{
	void *p = api_take_slow(n);

	return LIKELY(p != NULL) ? p : new_other(n, 1, array, may_fail);
}

static NOINLINE void *
new_slow(size_t n, bool array, bool may_fail)
{
	void *p;

	return LIKELY(api_take_next(n, &p)) ? p : new_slower(n, array, may_fail);
}

ALWAYS_INLINE void *
new_fast(size_t n, bool array, bool may_fail)
{
	void *p;

	if (LIKELY(n <= CLASS_DIRECT_MAX) && LIKELY(chunk_take(owner_self->direct[(n + 15) / 16], &p)))
		return p;
	return new_slow(n, array, may_fail);
}

#define DELETE_NAME(array) (array ? "operator delete[]" : "operator delete")
#define DELETE_ALIGNED_NAME(array) \
	(array ? "aligned operator delete[]" : "aligned operator delete")

/* Whether n bytes would be a chunk of the page, if it is one of chunks. */
ALWAYS_INLINE bool
class_fits(const struct owner *o, const struct pginfo *pg, size_t n)
{
	unsigned class_no;

	/* A slot tells its class, and is nearer than the formula. */
	if (LIKELY(n <= CLASS_DIRECT_MAX))
		class_no = o->direct[(n + 15) / 16]->class_no;
	else
		class_no = n <= malloc_maxsize ? size_class_of(n) : CLASS_NONE;
	return pg->chunk.class_no == class_no;
}

static NOINLINE void
delete_sized_slow(void *p, size_t n, bool array)
{
	struct pginfo *pg;

	if (UNLIKELY(!page_dir_get(p, &pg)) || UNLIKELY(!class_fits(owner_self, pg, n)) ||
	    UNLIKELY(!chunk_free_other(owner_self, pg, p)))
		ifree_sized(p, n, 1, true, DELETE_NAME(array));
}

/* A delete that knows the size is held to it. */
ALWAYS_INLINE void
delete_sized(void *p, size_t n, bool array)
{
	struct pginfo *pg;

	if (UNLIKELY(!page_dir_get(p, &pg)) || UNLIKELY(!class_fits(owner_self, pg, n)) ||
	    UNLIKELY(!chunk_free(owner_self, pg, p)))
		delete_sized_slow(p, n, array);
}

static size_t
alignment_of(size_t alignment)
{
	return is_power_of_two(alignment) ? alignment : 1;
}

/* To 1 is what a new without alignment asks for; it makes no difference to memory. */
static void *
new_aligned(size_t n, size_t alignment, bool array, bool may_fail)
{
	alignment = alignment_of(alignment);
	return new_other(n, alignment == 1 ? 2 : alignment, array, may_fail);
}

/* A pointer without the alignment was not allocated with it. */
ALWAYS_INLINE void
delete_aligned(void *p, size_t alignment, bool array)
{
	const char *func = DELETE_ALIGNED_NAME(array);

	alignment = alignment_of(alignment);
	if (UNLIKELY(((uintptr_t)p & (alignment - 1)) != 0))
		ifree_sized(p, 0, alignment, true, func);
	else
		api_free(p, func);
}

static void
delete_aligned_sized(void *p, size_t n, size_t alignment, bool array)
{
	ifree_sized(p, n, alignment_of(alignment), true, DELETE_ALIGNED_NAME(array));
}

#define NEW(name, ...) EXPORT void *name(__VA_ARGS__); EXPORT FAST void *name(__VA_ARGS__)
#define DELETE(name, ...) EXPORT void name(__VA_ARGS__); EXPORT FAST void name(__VA_ARGS__)

/* new(size_t), new[](size_t), and both with std::nothrow_t const & */
NEW(_Znwm, size_t n) { return new_fast(n, false, false); }
NEW(_Znam, size_t n) { return new_fast(n, true, false); }
NEW(_ZnwmRKSt9nothrow_t, size_t n, const void *t) { (void)t; return new_fast(n, false, true); }
NEW(_ZnamRKSt9nothrow_t, size_t n, const void *t) { (void)t; return new_fast(n, true, true); }

/* the same with std::align_val_t */
NEW(_ZnwmSt11align_val_t, size_t n, size_t a) { return new_aligned(n, a, false, false); }
NEW(_ZnamSt11align_val_t, size_t n, size_t a) { return new_aligned(n, a, true, false); }
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, size_t n, size_t a, const void *t)
{
	(void)t;
	return new_aligned(n, a, false, true);
}
NEW(_ZnamSt11align_val_tRKSt9nothrow_t, size_t n, size_t a, const void *t)
{
	(void)t;
	return new_aligned(n, a, true, true);
}

/* delete(void *), delete[](void *), with std::nothrow_t const &, with std::align_val_t */
DELETE(_ZdlPv, void *p) { api_free(p, DELETE_NAME(false)); }
DELETE(_ZdaPv, void *p) { api_free(p, DELETE_NAME(true)); }
DELETE(_ZdlPvRKSt9nothrow_t, void *p, const void *t) { (void)t; api_free(p, DELETE_NAME(false)); }
DELETE(_ZdaPvRKSt9nothrow_t, void *p, const void *t) { (void)t; api_free(p, DELETE_NAME(true)); }
DELETE(_ZdlPvSt11align_val_t, void *p, size_t a) { delete_aligned(p, a, false); }
DELETE(_ZdaPvSt11align_val_t, void *p, size_t a) { delete_aligned(p, a, true); }
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, void *p, size_t a, const void *t)
{
	(void)t;
	delete_aligned(p, a, false);
}
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, void *p, size_t a, const void *t)
{
	(void)t;
	delete_aligned(p, a, true);
}

/* delete(void *, size_t), delete[](void *, size_t), with std::align_val_t */
DELETE(_ZdlPvm, void *p, size_t n) { delete_sized(p, n, false); }
DELETE(_ZdaPvm, void *p, size_t n) { delete_sized(p, n, true); }
DELETE(_ZdlPvmSt11align_val_t, void *p, size_t n, size_t a)
{
	delete_aligned_sized(p, n, a, false);
}
DELETE(_ZdaPvmSt11align_val_t, void *p, size_t n, size_t a)
{
	delete_aligned_sized(p, n, a, true);
}
