#!/usr/bin/env python3
"""The one-file library, in TAP: it builds alone, is in no program's way, and keeps its promises.

AMALGAMATION is the folder with phkmalloc.c and phkmalloc.h, CC and CXX are the compilers to use;
clang and musl-gcc are tried beside them. The tests of test/api are linked with it and run.
"""
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
CC = shlex.split(os.environ.get("CC") or "cc")
CXX = shlex.split(os.environ.get("CXX") or "c++")
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
# Programs of their own: in C, and in C++, whose new and delete come with it.
SMALL = """
#include "phkmalloc.h"
#include <malloc.h>
#include <stdlib.h>
int main(void) { void *p = malloc(100); int mine = phkmalloc_owns(p); free(p); return !mine; }
"""
SMALL_CXX = """
#include <malloc.h>
#include "phkmalloc.h"
#include <new>
#include <string>
#include <vector>
int
main()
{
	std::vector<std::string> words(1000, std::string(50, 'x'));
	volatile std::size_t much = std::size_t(1) << 62;
	bool refused = false;
	try {
		words.emplace_back(static_cast<char *>(::operator new(much)));
	} catch (const std::bad_alloc &) {
		refused = true;
	}
	return !refused || !phkmalloc_owns(words.data()) || !phkmalloc_owns(words[9].data());
}
"""
# As in test.mk: compilers know what malloc promises, and warn of what tests do on purpose.
TEST = ["-w", "-g", "-O2", "-D_GNU_SOURCE", "-fno-builtin", "-pthread", f"-I{ROOT}/test"]
count = failed = 0


def ok(kept, promise):
    global count, failed
    count += 1
    failed += not kept
    print(f"{'' if kept else 'not '}ok {count} - {promise}", flush=True)
    return kept


def skip(promise, why):
    global count
    count += 1
    print(f"ok {count} - {promise} # SKIP {why}", flush=True)


def call(argv, **options):
    """The output of a command that succeeds; shows it and gives None when it fails."""
    env = {name: value for name, value in os.environ.items()
           if name not in ("LD_PRELOAD", "MALLOC_OPTIONS")}
    env.update(options.pop("env", {}))
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=600,
                          stderr=subprocess.STDOUT, text=True, check=False, env=env, **options)
    if done.returncode != 0:
        print(f"# {' '.join(argv)}: status {done.returncode}")
        print("# " + done.stdout[-3000:].replace("\n", "\n# "))
        return None
    return done.stdout


def builds(source, work):
    """With each compiler, alone; returns the object of the first."""
    for number, compiler in enumerate((CC, ["clang"])):
        for standard in ("gnu17", "c11"):
            promise = f"{compiler[0]} builds it as {standard} without a warning"
            if shutil.which(compiler[0]) is None:
                skip(promise, f"{compiler[0]} is not installed")
                continue
            target = os.path.join(work, f"{number}-{standard}.o")
            ok(call(compiler + [f"-std={standard}", "-O2", "-fPIC", *WARNINGS, "-c", source, "-o",
                                target], cwd=work) is not None, promise)
    return os.path.join(work, "0-gnu17.o")


def names(target):
    """The interface, and names that begin with phk_."""
    with open(os.path.join(ROOT, "test/api/abi.txt"), encoding="utf-8") as f:
        want = set(re.findall(r"^(?:function|object) (\w+)", f.read(), re.MULTILINE))
    # A program that has the library inside keeps libc's.
    want -= {"dlopen"}
    have = {line.split()[-1] for line in call(["nm", "-g", "--defined-only", target]).splitlines()
            if len(line.split()) == 3}
    have = {name for name in have if not name.startswith("phk_")}
    if have != want:
        print(f"# new: {sorted(have - want)}, gone: {sorted(want - have)}")
    ok(have == want, "its names are the interface but for dlopen, and else begin with phk_")


def programs(folder, target, work):
    """The tests of the interface, with it instead of the library."""
    for source in sorted(glob.glob(os.path.join(ROOT, "test/api/*.c"))):
        program = os.path.join(work, "program")
        good = call(CC + ["-std=gnu17", *TEST, f"-I{folder}", source, target, "-ldl", "-o",
                          program])
        ok(good is not None and call([program]) is not None,
           f"{os.path.relpath(source, ROOT)} passes with it")


def small(compiler, name, text, arguments, work):
    """A program of its own; whether it runs, served by what it is linked with."""
    source, program = os.path.join(work, name), os.path.join(work, "small")
    with open(source, "w", encoding="utf-8") as f:
        f.write(text)
    good = call(compiler + ["-O2", source, *arguments, "-o", program]) is not None
    said = good and call([program], env={"MALLOC_OPTIONS": "D"})
    return bool(said) and "phkmalloc statistics" in said


def optimized(folder, work):
    """Into a program that is optimized as a whole while it is linked."""
    for compiler in (CC, ["clang"]):
        promise = f"{compiler[0]} links it into a program with -flto"
        if shutil.which(compiler[0]) is None:
            skip(promise, f"{compiler[0]} is not installed")
            continue
        with_it = [f"-I{folder}", "-flto", os.path.join(folder, "phkmalloc.c")]
        ok(small(compiler, "small.c", SMALL, with_it, work), promise)


def others(folder, target, work):
    """In C++, and with another C library."""
    ok(small(CXX, "small.cc", SMALL_CXX, [*WARNINGS, f"-I{folder}", target], work),
       "it serves a program in C++, which has its header, new and exceptions")
    promise = "musl-gcc builds it, into programs that are linked with libraries and without"
    if shutil.which("musl-gcc") is None:
        skip(promise, "musl-gcc is not installed")
        return
    with_it = [f"-I{folder}", *WARNINGS, os.path.join(folder, "phkmalloc.c")]
    ok(all([small(["musl-gcc"], "small.c", SMALL, with_it + linked, work)
            for linked in ([], ["-static"])]), promise)


def preloaded(target, work):
    library = os.path.join(work, "lib.so")
    good = call(CC + ["-shared", target, "-o", library])
    text = good is not None and call([sys.executable, "-c", "print(1)"],
                                     env={"LD_PRELOAD": library, "MALLOC_OPTIONS": "D"})
    ok(text and "phkmalloc statistics" in text, "as a shared library it serves a real program")


def main():
    folder = os.path.abspath(os.environ["AMALGAMATION"])
    with tempfile.TemporaryDirectory() as work:
        target = builds(os.path.join(folder, "phkmalloc.c"), work)
        if os.path.exists(target):
            names(target)
            programs(folder, target, work)
            optimized(folder, work)
            others(folder, target, work)
            preloaded(target, work)
    print(f"1..{count}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
