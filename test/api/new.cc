// Every form of operator new and delete: sized, aligned, nothrow; the new-handler's protocol;
// std::bad_alloc. Linked with libstdc++, whose own operators must not be used.
#include "phkmalloc.h"
extern "C" {
#include <malloc.h>
}
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

static unsigned count, failed;

static void
ok(bool kept, const std::string &what)
{
	failed += !kept;
	printf("%sok %u - %s\n", kept ? "" : "not ", ++count, what.c_str());
	fflush(stdout);
}

static const size_t sizes[] = {1, 16, 17, 100, 128, 200, 1000, 1024, 1025, 4096, 5000, 32768, 32769,
    65536, 100000, 1 << 20};
static const size_t alignments[] = {1, 2, 8, 16, 32, 64, 256, 4096, 65536, 1 << 20};
static volatile size_t too_large = size_t(PTRDIFF_MAX) + 1;

using align = std::align_val_t;

struct form {
	const char *name;
	void *(*take)(size_t n, align a);
	void (*give)(void *p, size_t n, align a);
	bool aligned;
};

// Calls through operator functions: a new-expression may be taken away by the compiler.
static const form forms[] = {
	{"new(n), delete(p)", [](size_t n, align) { return operator new(n); },
	    [](void *p, size_t, align) { operator delete(p); }, false},
	{"new[](n), delete[](p)", [](size_t n, align) { return operator new[](n); },
	    [](void *p, size_t, align) { operator delete[](p); }, false},
	{"new(n), delete(p, n)", [](size_t n, align) { return operator new(n); },
	    [](void *p, size_t n, align) { operator delete(p, n); }, false},
	{"new[](n), delete[](p, n)", [](size_t n, align) { return operator new[](n); },
	    [](void *p, size_t n, align) { operator delete[](p, n); }, false},
	{"new(n, nothrow), delete(p, nothrow)",
	    [](size_t n, align) { return operator new(n, std::nothrow); },
	    [](void *p, size_t, align) { operator delete(p, std::nothrow); }, false},
	{"new[](n, nothrow), delete[](p, nothrow)",
	    [](size_t n, align) { return operator new[](n, std::nothrow); },
	    [](void *p, size_t, align) { operator delete[](p, std::nothrow); }, false},
	{"new(n, a), delete(p, a)", [](size_t n, align a) { return operator new(n, a); },
	    [](void *p, size_t, align a) { operator delete(p, a); }, true},
	{"new[](n, a), delete[](p, a)", [](size_t n, align a) { return operator new[](n, a); },
	    [](void *p, size_t, align a) { operator delete[](p, a); }, true},
	{"new(n, a), delete(p, n, a)", [](size_t n, align a) { return operator new(n, a); },
	    [](void *p, size_t n, align a) { operator delete(p, n, a); }, true},
	{"new[](n, a), delete[](p, n, a)", [](size_t n, align a) { return operator new[](n, a); },
	    [](void *p, size_t n, align a) { operator delete[](p, n, a); }, true},
	{"new(n, a, nothrow), delete(p, a, nothrow)",
	    [](size_t n, align a) { return operator new(n, a, std::nothrow); },
	    [](void *p, size_t, align a) { operator delete(p, a, std::nothrow); }, true},
	{"new[](n, a, nothrow), delete[](p, a, nothrow)",
	    [](size_t n, align a) { return operator new[](n, a, std::nothrow); },
	    [](void *p, size_t, align a) { operator delete[](p, a, std::nothrow); }, true},
};

static bool
round_trip(const form &f, align a)
{
	void *p[sizeof(sizes) / sizeof(sizes[0])];
	size_t before = mallinfo2().uordblks, i = 0;
	bool good = true;

	for (size_t n : sizes) {
		p[i] = f.take(n, a);
		good &= p[i] != nullptr && phkmalloc_owns(p[i]) && malloc_usable_size(p[i]) >= n;
		good &= reinterpret_cast<uintptr_t>(p[i]) % size_t(a) == 0;
		good &= reinterpret_cast<uintptr_t>(p[i]) % 16 == 0;
		memset(p[i++], 1, n);
	}
	i = 0;
	for (size_t n : sizes)
		f.give(p[i++], n, a);
	f.give(nullptr, 100, a);
	return good && mallinfo2().uordblks == before;
}

static bool
nothing(const form &f, align a)
{
	size_t before = mallinfo2().uordblks;
	void *p = f.take(0, a), *q = f.take(0, a);
	bool good = p != nullptr && q != nullptr && p != q;

	f.give(p, 0, a);
	f.give(q, 0, a);
	return good && mallinfo2().uordblks == before;
}

static unsigned handled;
static void *reserve;

static void
handler_gives_up()
{
	if (++handled == 3)
		std::set_new_handler(nullptr);
}

struct own_exception {};

static void
handler_throws()
{
	handled++;
	throw own_exception();
}

static void
handler_bad_alloc()
{
	handled++;
	throw std::bad_alloc();
}

static void
too_much(const form &f, align a)
{
	bool nothrow = strstr(f.name, "nothrow") != nullptr, threw = false, other = false;
	std::string name(f.name);
	void *p = &threw;

	std::set_new_handler(nullptr);
	try {
		p = f.take(too_large, a);
	} catch (const std::bad_alloc &) {
		threw = true;
	}
	ok(nothrow ? !threw && p == nullptr : threw, name + ": too much, without a handler");
	handled = 0;
	threw = false;
	p = &threw;
	std::set_new_handler(handler_gives_up);
	try {
		p = f.take(too_large, a);
	} catch (const std::bad_alloc &) {
		threw = true;
	}
	ok(handled == 3 && (nothrow ? !threw && p == nullptr : threw),
	    name + ": the handler is called until there is none");
	if (nothrow) {
		// The standard: a nothrow form returns null when its handler throws bad_alloc.
		threw = false;
		p = &threw;
		std::set_new_handler(handler_bad_alloc);
		try {
			p = f.take(too_large, a);
		} catch (...) {
			threw = true;
		}
		ok(!threw && p == nullptr, name + ": null when the handler throws bad_alloc");
	} else {
		std::set_new_handler(handler_throws);
		try {
			f.take(too_large, a);
		} catch (const own_exception &) {
			other = true;
		}
		ok(other, name + ": the handler's exception passes through");
	}
	std::set_new_handler(nullptr);
}

struct alignas(256) wide {
	char bytes[300];
};

static void
expressions()
{
	size_t before = mallinfo2().uordblks;
	wide *w = new wide, *v = new wide[7];
	std::vector<std::string> strings;

	ok(phkmalloc_owns(w) && reinterpret_cast<uintptr_t>(w) % 256 == 0 &&
	    reinterpret_cast<uintptr_t>(v) % 256 == 0, "new of an over-aligned type is aligned");
	delete w;
	delete[] v;
	for (int i = 0; i < 10000; i++)
		strings.emplace_back(size_t(i % 100), 'x');
	strings.clear();
	strings.shrink_to_fit();
	bool even = mallinfo2().uordblks == before;
	ok(even, "containers give back all they took");
}

int
main()
{
	ok(phkmalloc_owns(reserve = operator new(1)), "operator new is this library's");
	operator delete(reserve);
	for (const form &f : forms) {
		if (f.aligned) {
			for (size_t a : alignments)
				ok(round_trip(f, align(a)),
				    std::string(f.name) + " at alignment " + std::to_string(a));
		} else {
			ok(round_trip(f, align(1)), f.name);
		}
		too_much(f, align(f.aligned ? 64 : 1));
	}
	expressions();
	for (const form &f : forms)
		for (size_t a : alignments)
			if (f.aligned || a == 1)
				ok(nothing(f, align(a)), std::string(f.name) + " of no bytes at alignment " +
				    std::to_string(a));
	ok(phkmalloc_check() == 0, "the heap is whole");
	printf("1..%u\n", count);
	return failed != 0;
}
