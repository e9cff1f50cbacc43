#!/usr/bin/env python3
"""The one-file library, in TAP: it builds alone, is in no program's way, and keeps its promises.

AMALGAMATION is the folder with phkmalloc.c and phkmalloc.h, CC and CXX are
the compilers to use; clang is tried beside them. The tests of test/api are linked with it and run.
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
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=120,
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
    have = {line.split()[-1] for line in call(["nm", "-g", "--defined-only", target]).splitlines()
            if len(line.split()) == 3}
    have = {name for name in have if not name.startswith("phk_")}
    if have != want:
        print(f"# new: {sorted(have - want)}, gone: {sorted(want - have)}")
    ok(have == want, "its names are the interface, and else begin with phk_")


def programs(folder, target, work):
    """The tests of the interface, with it instead of the library."""
    for source in sorted(glob.glob(os.path.join(ROOT, "test/api/*.c"))):
        program = os.path.join(work, "program")
        good = call(CC + ["-std=gnu17", *TEST, f"-I{folder}", source, target, "-ldl", "-o",
                          program])
        ok(good is not None and call([program]) is not None,
           f"{os.path.relpath(source, ROOT)} passes with it")


def cxx(folder, work):
    """Its header in C++."""
    source = os.path.join(work, "header.cc")
    with open(source, "w", encoding="utf-8") as f:
        f.write('#include "phkmalloc.h"\nint main() { return phkmalloc_owns(nullptr); }\n')
    ok(call(CXX + [*WARNINGS, f"-I{folder}", "-fsyntax-only", source]) is not None,
       "its header is for C++ too")


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
            cxx(folder, work)
            preloaded(target, work)
    print(f"1..{count}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
