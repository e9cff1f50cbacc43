// A program that replaces some operators new and delete: those that the standard says come to them
// do, and nobody else's memory is taken for the library's. Compiled with one of PLAIN, ARRAY and
// ALIGNED, which are replaced then. Each stands before its blocks by so much that a delete which
// bypasses it is found.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>

static unsigned count, failed;
// Volatile: the compiler takes for granted that operators change nothing else.
static volatile long taken, given;
static bool refuse;

static void
ok(bool kept, const std::string &what)
{
	failed += !kept;
	std::printf("%sok %u - %s\n", kept ? "" : "not ", ++count, what.c_str());
	std::fflush(stdout);
}

enum { BEFORE = 4096 };

static void *
take(size_t n)
{
	char *p = refuse ? nullptr : static_cast<char *>(std::aligned_alloc(BEFORE, BEFORE * 2 + n));

	if (p == nullptr)
		throw std::bad_alloc();
	taken = taken + 1;
	return p + BEFORE;
}

static void
give(void *p)
{
	given = given + 1;
	std::free(static_cast<char *>(p) - BEFORE);
}

using align = std::align_val_t;

#if defined(PLAIN)
void *operator new(size_t n) { return take(n); }
void operator delete(void *p) noexcept { give(p); }
#elif defined(ARRAY)
void *operator new[](size_t n) { return take(n); }
void operator delete[](void *p) noexcept { give(p); }
#else
void *operator new(size_t n, align) { return take(n); }
void operator delete(void *p, align) noexcept { give(p); }
#endif

struct form {
	const char *name;
	void *(*take)(size_t n);
	bool array, aligned, nothrow;
};

static const form news[] = {
	{"new", [](size_t n) { return operator new(n); }, false, false, false},
	{"new[]", [](size_t n) { return operator new[](n); }, true, false, false},
	{"new nothrow", [](size_t n) { return operator new(n, std::nothrow); }, false, false, true},
	{"new[] nothrow", [](size_t n) { return operator new[](n, std::nothrow); }, true, false, true},
	{"aligned new", [](size_t n) { return operator new(n, align(64)); }, false, true, false},
	{"aligned new[]", [](size_t n) { return operator new[](n, align(64)); }, true, true, false},
	{"aligned new nothrow", [](size_t n) { return operator new(n, align(64), std::nothrow); },
	    false, true, true},
	{"aligned new[] nothrow", [](size_t n) { return operator new[](n, align(64), std::nothrow); },
	    true, true, true},
};

struct end {
	const char *name;
	void (*give)(void *p, size_t n);
	bool array, aligned;
};

static const end deletes[] = {
	{"delete", [](void *p, size_t) { operator delete(p); }, false, false},
	{"delete[]", [](void *p, size_t) { operator delete[](p); }, true, false},
	{"delete nothrow", [](void *p, size_t) { operator delete(p, std::nothrow); }, false, false},
	{"delete[] nothrow", [](void *p, size_t) { operator delete[](p, std::nothrow); }, true, false},
	{"delete with its size", [](void *p, size_t n) { operator delete(p, n); }, false, false},
	{"delete[] with its size", [](void *p, size_t n) { operator delete[](p, n); }, true, false},
	{"aligned delete", [](void *p, size_t) { operator delete(p, align(64)); }, false, true},
	{"aligned delete[]", [](void *p, size_t) { operator delete[](p, align(64)); }, true, true},
	{"aligned delete nothrow",
	    [](void *p, size_t) { operator delete(p, align(64), std::nothrow); }, false, true},
	{"aligned delete[] nothrow",
	    [](void *p, size_t) { operator delete[](p, align(64), std::nothrow); }, true, true},
	{"aligned delete with its size",
	    [](void *p, size_t n) { operator delete(p, n, align(64)); }, false, true},
	{"aligned delete[] with its size",
	    [](void *p, size_t n) { operator delete[](p, n, align(64)); }, true, true},
};

/* Whether the standard sends this form to what is replaced. */
static bool
is_replaced(bool array, bool aligned)
{
#if defined(PLAIN)
	(void)array;
	return !aligned;
#elif defined(ARRAY)
	return array && !aligned;
#else
	(void)array;
	return aligned;
#endif
}

static void
refused(const form &f)
{
	bool threw = false;
	void *p = nullptr;

	refuse = true;
	try {
		p = f.take(100);
	} catch (const std::bad_alloc &) {
		threw = true;
	}
	refuse = false;
	ok(p == nullptr && threw == !f.nothrow,
	    std::string(f.name) + (f.nothrow ? " gives nothing when" : " throws when") +
	    " the program's own throws");
}

int
main()
{
	for (const form &f : news) {
		for (const end &e : deletes) {
			bool replaced = is_replaced(f.array, f.aligned);

			if (f.array != e.array || f.aligned != e.aligned)
				continue;
			for (size_t n : {size_t(16), size_t(1000), size_t(5000), size_t(100000)}) {
				long had_taken = taken, had_given = given;
				void *p = f.take(n);

				static_cast<volatile char *>(p)[n - 1] = 1;
				e.give(p, n);
				bool kept = taken - had_taken == replaced && given - had_given == replaced;

				/* Strings come from the program's operators, too. */
				ok(kept, std::string(f.name) + ", " + e.name + ", " + std::to_string(n) +
				    (replaced ? " bytes: the program's" : " bytes: the library's"));
			}
		}
		if (is_replaced(f.array, f.aligned))
			refused(f);
	}
	std::printf("1..%u\n", count);
	return failed != 0;
}
