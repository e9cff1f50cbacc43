/*
 * new.c: every form of C++ operator new and delete, in C, under their mangled names.
 *
 * libstdc++ is not needed: the new-handler and std::bad_alloc are reached through weak symbols,
 * which are there in every program that can use them. A new that must not return NULL and finds
 * neither ends the process with a message.
 *
 * A program may replace any of them by its own; the standard says which of the others come to that
 * one then, as if they had been written with it: new[] to new, each nothrow new to the one that
 * throws, delete[] and each delete with a size or nothrow to the plain one. They are weak, so that
 * a program with the library inside may do so, too.
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

/* What a program finds by the name: its own, or ours. */
#define PROGRAM(type, op, symbol, ...) \
	extern EXPORT type program_##op(__VA_ARGS__) __asm__(#symbol); \
	static type own_##op(__VA_ARGS__) __attribute__((alias(#symbol)))
PROGRAM(void *, new, _Znwm, size_t n);
PROGRAM(void *, new_array, _Znam, size_t n);
PROGRAM(void *, new_aligned, _ZnwmSt11align_val_t, size_t n, size_t a);
PROGRAM(void *, new_array_aligned, _ZnamSt11align_val_t, size_t n, size_t a);
PROGRAM(void, delete, _ZdlPv, void *p);
PROGRAM(void, delete_array, _ZdaPv, void *p);
PROGRAM(void, delete_aligned, _ZdlPvSt11align_val_t, void *p, size_t a);
PROGRAM(void, delete_array_aligned, _ZdaPvSt11align_val_t, void *p, size_t a);

/* Known by now: none of them is replaced. A program that replaces some is asked each time. */
static bool all_own;

/* Two names are two functions to the compiler, who must not know where the one comes from. */
ALWAYS_INLINE uintptr_t
own_address(uintptr_t own)
{
	__asm__("" : "+r"(own));
	return own;
}

#define IS_OTHER(op) ((uintptr_t)program_##op != own_address((uintptr_t)own_##op))

static void
look(void)
{
	if (!IS_OTHER(new) && !IS_OTHER(new_array) && !IS_OTHER(new_aligned) &&
	    !IS_OTHER(new_array_aligned) && !IS_OTHER(delete) && !IS_OTHER(delete_array) &&
	    !IS_OTHER(delete_aligned) && !IS_OTHER(delete_array_aligned))
		store_relaxed(&all_own, true);
}

/* A call of an operator new that may throw. */
struct asked {
	void *(*take)(size_t n);
	void *(*take_aligned)(size_t n, size_t a);
	size_t n, a;
	void *p;
};

static void
ask(void *arg)
{
	struct asked *q = arg;

	q->p = q->take != NULL ? q->take(q->n) : q->take_aligned(q->n, q->a);
}

static void
call_handler(void *arg)
{
	(*(new_handler_t *)arg)();
}

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
		else if (api_threw(call_handler, &handler))
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

/* What a form is beside the plain one. */
#define ARRAY 1U
#define ALIGNED_TO 2U
#define NOTHROW 4U
#define SIZED 8U

/* A form of new as the standard has it: by the program's own, where one that it comes to is. */
static NOINLINE void *
new_asked(size_t n, size_t a, unsigned form)
{
	bool array = (form & ARRAY) != 0, may_fail = (form & NOTHROW) != 0;
	struct asked q = { .n = n, .a = a };

	look();
	if ((form & ALIGNED_TO) != 0) {
		if (array && IS_OTHER(new_array_aligned))
			q.take_aligned = program_new_array_aligned;
		else if (IS_OTHER(new_aligned))
			q.take_aligned = program_new_aligned;
		else
			return new_aligned(n, a, array, may_fail);
	} else if (array && IS_OTHER(new_array)) {
		q.take = program_new_array;
	} else if (IS_OTHER(new)) {
		q.take = program_new;
	} else {
		return new_fast(n, array, may_fail);
	}
	if (may_fail)
		return api_threw(ask, &q) ? NULL : q.p;
	ask(&q);
	return q.p;
}

/* The same for delete. */
static NOINLINE void
delete_asked(void *p, size_t n, size_t a, unsigned form)
{
	bool array = (form & ARRAY) != 0;

	look();
	if ((form & ALIGNED_TO) != 0) {
		if (array && IS_OTHER(delete_array_aligned))
			program_delete_array_aligned(p, a);
		else if (IS_OTHER(delete_aligned))
			program_delete_aligned(p, a);
		else if ((form & SIZED) != 0)
			delete_aligned_sized(p, n, a, array);
		else
			delete_aligned(p, a, array);
	} else if (array && IS_OTHER(delete_array)) {
		program_delete_array(p);
	} else if (IS_OTHER(delete)) {
		program_delete(p);
	} else if ((form & SIZED) != 0) {
		delete_sized(p, n, array);
	} else {
		api_free(p, DELETE_NAME(array));
	}
}

#define ASKED UNLIKELY(!load_once(&all_own))

/* A name for the linker, which a program may have for itself. */
#define NEW(name, ...) \
	EXPORT void *name(__VA_ARGS__); __attribute__((weak)) EXPORT FAST void *name(__VA_ARGS__)
#define DELETE(name, ...) \
	EXPORT void name(__VA_ARGS__); __attribute__((weak)) EXPORT FAST void name(__VA_ARGS__)

/* new(size_t), new[](size_t), and both with std::nothrow_t const & */
NEW(_Znwm, size_t n) { return new_fast(n, false, false); }
NEW(_Znam, size_t n)
{
	return ASKED ? new_asked(n, 0, ARRAY) : new_fast(n, true, false);
}
NEW(_ZnwmRKSt9nothrow_t, size_t n, const void *t)
{
	(void)t;
	return ASKED ? new_asked(n, 0, NOTHROW) : new_fast(n, false, true);
}
NEW(_ZnamRKSt9nothrow_t, size_t n, const void *t)
{
	(void)t;
	return ASKED ? new_asked(n, 0, ARRAY | NOTHROW) : new_fast(n, true, true);
}

/* the same with std::align_val_t */
NEW(_ZnwmSt11align_val_t, size_t n, size_t a) { return new_aligned(n, a, false, false); }
NEW(_ZnamSt11align_val_t, size_t n, size_t a) { return new_asked(n, a, ARRAY | ALIGNED_TO); }
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, size_t n, size_t a, const void *t)
{
	(void)t;
	return new_asked(n, a, ALIGNED_TO | NOTHROW);
}
NEW(_ZnamSt11align_val_tRKSt9nothrow_t, size_t n, size_t a, const void *t)
{
	(void)t;
	return new_asked(n, a, ARRAY | ALIGNED_TO | NOTHROW);
}

/* delete(void *), delete[](void *), with std::nothrow_t const & */
DELETE(_ZdlPv, void *p) { api_free(p, DELETE_NAME(false)); }
DELETE(_ZdaPv, void *p)
{
	if (ASKED)
		delete_asked(p, 0, 0, ARRAY);
	else
		api_free(p, DELETE_NAME(true));
}
DELETE(_ZdlPvRKSt9nothrow_t, void *p, const void *t) { (void)t; delete_asked(p, 0, 0, 0); }
DELETE(_ZdaPvRKSt9nothrow_t, void *p, const void *t) { (void)t; delete_asked(p, 0, 0, ARRAY); }

/* the same with std::align_val_t */
DELETE(_ZdlPvSt11align_val_t, void *p, size_t a) { delete_aligned(p, a, false); }
DELETE(_ZdaPvSt11align_val_t, void *p, size_t a)
{
	if (ASKED)
		delete_asked(p, 0, a, ARRAY | ALIGNED_TO);
	else
		delete_aligned(p, a, true);
}
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, void *p, size_t a, const void *t)
{
	(void)t;
	delete_asked(p, 0, a, ALIGNED_TO);
}
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, void *p, size_t a, const void *t)
{
	(void)t;
	delete_asked(p, 0, a, ARRAY | ALIGNED_TO);
}

/* delete(void *, size_t), delete[](void *, size_t), with std::align_val_t */
DELETE(_ZdlPvm, void *p, size_t n)
{
	if (ASKED)
		delete_asked(p, n, 0, SIZED);
	else
		delete_sized(p, n, false);
}
DELETE(_ZdaPvm, void *p, size_t n)
{
	if (ASKED)
		delete_asked(p, n, 0, ARRAY | SIZED);
	else
		delete_sized(p, n, true);
}
DELETE(_ZdlPvmSt11align_val_t, void *p, size_t n, size_t a)
{
	delete_asked(p, n, a, ALIGNED_TO | SIZED);
}
DELETE(_ZdaPvmSt11align_val_t, void *p, size_t n, size_t a)
{
	delete_asked(p, n, a, ARRAY | ALIGNED_TO | SIZED);
}
