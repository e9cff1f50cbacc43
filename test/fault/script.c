/* The script of the fault injection; see script.h. Slots are global: one thread at a time. */
#include "fault/script.h"

#include "phkmalloc.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 48U
#define STEPS 160U
#define STAMP_STEP 512U

/* operator new and delete without C++. */
void *_ZnwmRKSt9nothrow_t(size_t n, const void *nothrow);
void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t alignment, const void *nothrow);
void _ZdlPv(void *p);
void _ZdlPvm(void *p, size_t n);
void _ZdlPvmSt11align_val_t(void *p, size_t n, size_t alignment);

static struct {
	unsigned char *p;
	size_t n;
	size_t alignment;
	bool sized; /* as it was asked for: not resized since */
	bool array; /* by operator new */
} slot[SLOTS];
static unsigned lost;

/* Small, middling and large by turns; every class comes up over a few hundred numbers. */
static size_t
size_of(unsigned number)
{
	static const size_t large[] = {40000, 65536, 70000, 140000, 400000};
	size_t n = (size_t)16 << (number * 7 % 12);

	if (number % 11 == 0)
		return large[number / 11 % 5];
	return n + number * 37 % n;
}

static void
expect(bool right, const char *what)
{
	if (right)
		return;
	lost++;
	fprintf(stderr, "%s (errno %d)\n", what, errno);
}

/* Some bytes of each OS page, and the last. */
static void
stamp(unsigned s)
{
	for (size_t i = 0; i < slot[s].n; i += STAMP_STEP)
		slot[s].p[i] = (unsigned char)(s + i / STAMP_STEP + 1);
	slot[s].p[slot[s].n - 1] = (unsigned char)s;
}

/* The first n bytes are as they were stamped. */
static void
check(unsigned s, size_t n, const char *what)
{
	bool whole = true;

	for (size_t i = 0; i + 1 < n; i += STAMP_STEP)
		whole &= slot[s].p[i] == (unsigned char)(s + i / STAMP_STEP + 1);
	whole &= n != slot[s].n || slot[s].p[n - 1] == (unsigned char)s;
	expect(whole, what);
}

static void
drop(unsigned s)
{
	unsigned char *p = slot[s].p;

	if (p == NULL)
		return;
	check(s, slot[s].n, "an allocation lost its contents");
	slot[s].p = NULL;
	errno = 77;
	if (slot[s].array && slot[s].alignment != 1)
		_ZdlPvmSt11align_val_t(p, slot[s].n, slot[s].alignment);
	else if (slot[s].array && s % 2 == 0)
		_ZdlPvm(p, slot[s].n);
	else if (slot[s].array)
		_ZdlPv(p);
	else if (slot[s].sized && s % 3 == 0)
		free_aligned_sized(p, slot[s].alignment, slot[s].n);
	else if (slot[s].sized && slot[s].alignment == 1 && s % 3 == 1)
		free_sized(p, slot[s].n);
	else if (s % 5 == 0)
		freezero(p, slot[s].n);
	else
		free(p);
	expect(errno == 77, "free() changed errno");
}

static void
keep(unsigned s, void *p, size_t n, size_t alignment, bool zero)
{
	unsigned char *bytes = p;

	if (p == NULL) {
		expect(errno == ENOMEM, "a failure without ENOMEM");
		return;
	}
	expect((uintptr_t)p % alignment == 0, "not aligned");
	expect(malloc_usable_size(p) >= n, "too little is usable");
	for (size_t i = 0; zero && i < n; i += i < 4096 ? 1 : 509)
		zero &= bytes[i] == 0 || (expect(false, "not zero"), false);
	slot[s].p = p;
	slot[s].n = n;
	slot[s].alignment = alignment;
	slot[s].sized = true;
	slot[s].array = false;
	stamp(s);
}

static void
keep_array(unsigned s, void *p, size_t n, size_t alignment)
{
	/* operator new promises nothing of errno. */
	errno = ENOMEM;
	keep(s, p, n, alignment, false);
	slot[s].array = p != NULL;
}

static void *
by_posix_memalign(size_t alignment, size_t n)
{
	void *p = NULL;
	int rc = posix_memalign(&p, alignment, n);

	expect(errno == 0, "posix_memalign changed errno");
	expect((rc == 0) == (p != NULL), "posix_memalign says one thing and does another");
	errno = rc;
	return p;
}

static void
fill(unsigned s, unsigned number)
{
	size_t n = size_of(number), a = (size_t)1 << (4 + number * 5 % 14);

	errno = 0;
	switch (number % 16) {
	case 0: keep(s, calloc(n / 8 + 1, 8), (n / 8 + 1) * 8, 1, true); break;
	case 1: keep(s, aligned_alloc(a, n), n, a, false); break;
	case 2: keep(s, memalign(a, n), n, a, false); break;
	case 3: keep(s, by_posix_memalign(a, n), n, a, false); break;
	case 4: keep(s, valloc(n), n, 4096, false); break;
	case 5: keep(s, pvalloc(n), n, 4096, false); break;
	case 6: keep(s, malloc_conceal(n), n, 1, false); break;
	case 7: keep(s, calloc_conceal(1, n), n, 1, true); break;
	case 8: keep(s, reallocarray(NULL, 1, n), n, 1, false); break;
	case 9: keep(s, recallocarray(NULL, 0, 1, n), n, 1, true); break;
	case 10: keep_array(s, _ZnwmRKSt9nothrow_t(n, &lost), n, 1); break;
	case 11: keep_array(s, _ZnwmSt11align_val_tRKSt9nothrow_t(n, a, &lost), n, a); break;
	default: keep(s, malloc(n), n, 1, false); break;
	}
	/* pvalloc rounds up, concealed memory has pages of its own: a size would not fit. */
	if (number % 16 >= 5 && number % 16 <= 7)
		slot[s].sized = false;
}

static void
resize(unsigned s, unsigned number)
{
	size_t had = slot[s].n, n = size_of(number);
	unsigned char *p;

	errno = 0;
	switch (number / 3 % 4) {
	case 0: p = reallocarray(slot[s].p, 1, n); break;
	case 1: p = reallocf(slot[s].p, n); break;
	case 2: p = recallocarray(slot[s].p, had, n, 1); break;
	default: p = realloc(slot[s].p, n); break;
	}
	if (p == NULL) {
		expect(errno == ENOMEM, "a failure to resize without ENOMEM");
		if (number / 3 % 4 == 1)
			slot[s].p = NULL;
		else
			check(s, had, "what could not be resized lost its contents");
		return;
	}
	slot[s].p = p;
	if (n < had)
		check(s, n, "what was made smaller lost its contents");
	else
		check(s, had, "what was made larger lost its contents");
	if (number / 3 % 4 == 2 && n > had)
		expect(p[had] == 0 && p[n - 1] == 0, "recallocarray left something");
	slot[s].n = n;
	slot[s].sized = false;
	slot[s].alignment = 1;
	stamp(s);
}

void
script_run(unsigned seed)
{
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned number = seed * 131 + step, s = number * 29 % SLOTS;

		if (slot[s].p == NULL)
			fill(s, number);
		else if (number % 3 == 0 && !slot[s].array)
			resize(s, number);
		else
			drop(s);
		if (step == STEPS / 2)
			malloc_trim(0);
	}
}

void *
script_thread(void *seed)
{
	script_run((unsigned)(uintptr_t)seed);
	return NULL;
}

void *
script_free_some(void *arg)
{
	for (unsigned s = 0; s < SLOTS; s += 2)
		drop(s);
	return arg;
}

void
script_free_all(void)
{
	for (unsigned s = 0; s < SLOTS; s++)
		drop(s);
}

bool
script_lost(void)
{
	return lost != 0;
}
