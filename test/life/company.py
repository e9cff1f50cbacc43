#!/usr/bin/env python3
"""The library in the company of others: opened late, valgrind, sanitizers, gdb, C++ exceptions.

SO names the library. Small programs are compiled here, with cc and c++.
"""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import preload  # noqa: E402  (a neighbour of this folder)

DEEP = r"""
#include <stdlib.h>
#include <string.h>

void *give(void *p)
{
	free(p);
	free(strdup("from libc, by whatever malloc it uses"));
	return realloc(malloc(10), 1000);
}
"""
OPENS = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	void *h = dlopen("libdeep.so", RTLD_NOW | RTLD_DEEPBIND);
	void *(*give)(void *);

	if (h == NULL) {
		puts(dlerror());
		return 2;
	}
	*(void **)&give = dlsym(h, "give");
	free(give(malloc(100)));
	return dlopen("no such file", RTLD_NOW) != NULL || dlerror() == NULL;
}
"""
LATE = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>

/* Nearly all of what is kept for libraries that are opened late. */
static void *work(void *take)
{
	void *(*make)(size_t) = take;
	for (int i = 1; i < 2000; i++)
		memset(make(i), 1, i);
	return NULL;
}

int main(int argc, char **argv)
{
	void *first = malloc(100), *h, *p;
	void *(*make)(size_t);
	void (*drop)(void *);
	size_t (*check)(void);
	pthread_t t;

	for (int i = 0; i < 300; i++) {
		h = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
		if (h == NULL) {
			puts(dlerror());
			return 2;
		}
		*(void **)&make = dlsym(h, "malloc");
		*(void **)&drop = dlsym(h, "free");
		*(void **)&check = dlsym(h, "phkmalloc_check");
		p = make(100);
		drop(p);
		if (i % 50 == 0 && (pthread_create(&t, NULL, work, make) || pthread_join(t, NULL)))
			return 3;
		if (check() != 0 || make == malloc)
			return 4;
		dlclose(h);
	}
	free(first);
	return 0;
}
"""

GREEDY = r"""
__thread char used[%d] __attribute__((tls_model("initial-exec")));
void greedy(void) { used[0]++; }
"""

MISTAKE = r"""
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
	char *volatile p = malloc(100);
	memset(p, 1, 100);
	for (int i = 0; i < 1000; i++)
		free(calloc(i, 3));
	if (argc > 1)
		p[100 + argc] = 1;
	free(p);
	return 0;
}
"""

THROWS = r"""
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
static int deep(int n)
{
	std::string s(n * 10 + 1, 'x');
	if (n == 0)
		throw std::runtime_error("from below: " + s);
	return deep(n - 1) + (int)s.size();
}
static void work()
{
	for (int i = 0; i < 300; i++)
		try {
			deep(i % 40);
		} catch (const std::exception &e) {
			if (std::string(e.what()).find("below") == std::string::npos)
				abort();
		}
}
int main()
{
	std::vector<std::thread> all;
	work();
	for (int i = 0; i < 4; i++)
		all.emplace_back(work);
	for (auto &t : all)
		t.join();
}
"""


def compiled(source, name, folder, *flags):
    """A program or library, or None with a skipped line when there is no compiler."""
    cxx = "std::" in source
    path = os.path.join(folder, name)
    done = subprocess.run(["c++" if cxx else "cc", "-x", "c++" if cxx else "c", "-g", "-O1", "-w",
                           "-fno-builtin", "-o", path, "-", "-pthread", "-ldl", *flags],
                          input=source.encode(), capture_output=True, check=False)
    return path if done.returncode == 0 else None


def tail(*texts):
    return "\n".join(preload.brief(t) for t in texts)


def opened_late(folder):
    """dlopen in a program that runs on another malloc, and has used static TLS."""
    program = compiled(LATE, "late", folder)
    status, out, err = preload.run([program, preload.SO], preload=False)
    preload.ok(status == 0, "the library is opened and closed by a program on another malloc",
               f"status {status}\n" + tail(out, err))
    text = subprocess.run(["readelf", "-lW", preload.SO], capture_output=True, text=True,
                          check=False).stdout
    nbytes = int(re.search(r"^ *TLS +\S+ +\S+ +\S+ +\S+ +(\S+)", text, re.M)[1], 16)
    preload.ok(nbytes <= 128, f"it needs {nbytes} bytes of static TLS, 128 at the most")
    # glibc keeps 512 bytes for this; half of them are gone here.
    greedy = compiled(GREEDY % 256, "libgreedy.so", folder, "-shared", "-fPIC")
    source = LATE.replace("void *first = malloc(100)",
                          f'void *first = dlopen("{greedy}", RTLD_NOW) ? malloc(100) : NULL')
    program = compiled(source.replace("free(first)", "if (!first) return 5; free(first)"),
                       "greedy", folder)
    status, out, err = preload.run([program, preload.SO], preload=False)
    preload.ok(status == 0, "it is opened where others have used static TLS before",
               f"status {status}\n" + tail(out, err))


def bound_deep(folder):
    """An object that wants libc's functions before all others still has the library's malloc."""
    os.mkdir(os.path.join(folder, "plugins"))
    plugin = compiled(DEEP, "plugins/libdeep.so", folder, "-shared", "-fPIC")
    # Found by the program's own path only, so libc has to know who asks.
    program = compiled(OPENS, "opens", folder, "-Wl,--enable-new-dtags",
                       "-Wl,-rpath,$ORIGIN/plugins")
    status, out, err = preload.run([program], preload=False)
    if plugin is None or program is None or status != 0:
        preload.skip("an object opened with RTLD_DEEPBIND", "there is no such thing here")
        return
    for options in ("", "S"):
        status, out, err = preload.run([program], extra={"MALLOC_OPTIONS": options})
        preload.ok(status == 0, "an object opened with RTLD_DEEPBIND, found by the caller's path, "
                   f"has the library's malloc, options \"{options}\"",
                   f"status {status}\n" + tail(out, err))


def valgrind(folder):
    promise = "valgrind's memcheck, with --soname-synonyms, finds what it finds"
    if preload.missing(promise, "valgrind"):
        return
    program = compiled(MISTAKE, "mistake", folder)
    argv = ["valgrind", "--soname-synonyms=somalloc=libphkmalloc.so*", "--leak-check=full",
            "--error-exitcode=7", "-q", program]
    good = preload.run(argv)
    bad = preload.run(argv + ["x"])
    preload.ok(good[0] == 0 and bad[0] == 7 and b"after a block of size 100" in bad[2], promise,
               f"status {good[0]} and {bad[0]}\n" + tail(good[2], bad[2]))
    argv = ["valgrind", "--tool=none", "-q", program]
    good = preload.run(argv, extra={"MALLOC_OPTIONS": "C"})
    bad = preload.run(argv + ["x"], extra={"MALLOC_OPTIONS": "C"})
    preload.ok(good[0] == 0 and b"canary is corrupted" in bad[2],
               "other tools of valgrind run with the library in place",
               f"status {good[0]} and {bad[0]}\n" + tail(good[2], bad[2]))


def sanitizer(folder):
    """A program with AddressSanitizer brings its own malloc: the library must leave it to it."""
    program = compiled(MISTAKE, "asan", folder, "-fsanitize=address")
    promise = "a program with AddressSanitizer, with its runtime first, is checked by that"
    if program is None:
        preload.skip(promise, "the compiler has no AddressSanitizer")
        return
    asan = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True,
                          check=False).stdout.strip()
    extra = {"LD_PRELOAD": f"{os.path.realpath(asan)} {preload.SO}",
             "ASAN_OPTIONS": "detect_leaks=0"}
    good = preload.run([program], extra=extra)
    bad = preload.run([program, "x"], extra=extra)
    preload.ok(good[0] == 0 and b"heap-buffer-overflow" in bad[2], promise,
               f"status {good[0]} and {bad[0]}\n" + tail(good[2], bad[2]))


def debugger(folder):
    promise = "gdb calls malloc and free in a stopped program"
    if preload.missing(promise, "gdb"):
        return
    program = compiled(MISTAKE, "debugged", folder)
    status, out, err = preload.run(
        ["gdb", "-q", "-batch", "-nx", "-ex", f"set environment LD_PRELOAD {preload.SO}",
         "-ex", "break main", "-ex", "run", "-ex", "print ((char *(*)(long))malloc)(100)",
         "-ex", "call ((void (*)(char *))free)($)", "-ex",
         "print ((long (*)(void))phkmalloc_check)()", "-ex", "delete", "-ex", "continue", program],
        preload=False)
    text = (out + err).decode(errors="replace")
    # Also without the library, on processors that are newer than gdb.
    for obstacle in ("ptrace", "Couldn't write extended state"):
        if obstacle in text:
            preload.skip(promise, f"gdb cannot call functions here: {obstacle}")
            return
    preload.ok(status == 0 and re.search(r"\$2 = 0\b", text) is not None and
               "exited normally" in text, promise, tail(out, err))


def exceptions(folder):
    """The unwinder allocates, and the library records stacks: neither calls the other for ever."""
    program = compiled(THROWS, "throws", folder)
    for options in ("", "T", "TW2", "ST"):
        status, out, err = preload.run([program], extra={"MALLOC_OPTIONS": options})
        preload.ok(status == 0, f"exceptions in threads, options \"{options}\"",
                   f"status {status}\n" + tail(out, err))


def main():
    if not preload.SO:
        print("1..0 # SKIP SO is not set")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        if preload.missing("the library in the company of others", "cc", "c++", "readelf"):
            return preload.done()
        opened_late(folder)
        bound_deep(folder)
        valgrind(folder)
        sanitizer(folder)
        debugger(folder)
        exceptions(folder)
    return preload.done()


if __name__ == "__main__":
    sys.exit(main())
