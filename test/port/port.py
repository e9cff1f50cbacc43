#!/usr/bin/env python3
"""Builds the library for another machine, C library or compiler, and runs the tests there.

Usage: port.py PORT, one of the table below. What is built is in build/port/PORT. The last line
is "N passed, N failed, N skipped"; where a compiler or QEMU is missing one is skipped, and why.
"""
import glob
import os
import shlex
import shutil
import subprocess
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))

UNIT = "test/unit/*.c"
PUBLIC = ("test/api/*.c", "test/api/*.cc", "test/misuse/*.c", "test/property/*.c",
          "test/stress/*.c")
MEMORY = "test/memory/*.c"
# Tests of what is another there.
CXX_ONLY = {"api/new": "musl-gcc has no C++"}
MUSL = {"unit/unwind": "it compares with glibc's backtrace()",
        "memory/untouched": "libc allocates other sizes before main"}
STATIC = {"stress/threads": "it opens the library by dlopen()",
          "misuse/stacks": "the library is part of the program, and so of its stacks"}
EMULATED = {"unit/unwind": "it makes stacks that only x86-64 has",
            "misuse/everywhere": "thousands of programs, each of which QEMU takes long to start"}
STATIC_MAKE = ["TEST_LINK={B}/libphkmalloc.a -static", "CFLAGS=-O2 -g -DTEST_STATIC"]
MUSL_CFLAGS = "CFLAGS=-O2 -g -include src/os/libc.h"
OLD_KERNEL = "LDFLAGS={B}/old_kernel.o"
MUSL_MAKE = ["CC=musl-gcc", "CXX=g++"]


class Port:
    """How it is built, which tests, what is left out and why, and who runs them."""

    def __init__(self, make, tests, without, needs, machine=None, pagesize=4096):
        self.make, self.tests, self.without, self.needs = make, tests, without, needs
        self.machine, self.pagesize = machine, pagesize


def emulated(machine, pagesize):
    cross = f"{machine}-linux-gnu-"
    # The memory of the process is QEMU's, so tests that look at that are left out.
    return Port([f"CROSS={cross}", OLD_KERNEL], (UNIT, *PUBLIC), EMULATED,
                (cross + "gcc", cross + "g++", f"qemu-{machine}-static"), machine, pagesize)


PORTS = {
    "clang": Port(["CC=clang", "CXX=clang++"], (UNIT, *PUBLIC, MEMORY), {}, ("clang",)),
    "old-kernel": Port([OLD_KERNEL], (UNIT, *PUBLIC, MEMORY), {}, ("gcc",)),
    "static": Port(STATIC_MAKE, PUBLIC, STATIC, ("gcc",)),
    "musl": Port(MUSL_MAKE + [MUSL_CFLAGS], (UNIT, *PUBLIC, MEMORY), {**MUSL, **CXX_ONLY},
                 ("musl-gcc",)),
    "musl-static": Port(MUSL_MAKE + [MUSL_CFLAGS] + STATIC_MAKE[:1], PUBLIC,
                        {**STATIC, **CXX_ONLY}, ("musl-gcc",)),
    "aarch64": emulated("aarch64", 4096),
    "aarch64-64k": emulated("aarch64", 65536),
    "riscv64": emulated("riscv64", 4096),
}


def make(port, build, *targets):
    """Quiet when all is well; else ends the program with what make said."""
    variables = [text.replace("{B}", build) for text in port.make] + [f"B={build}", "SETUP=no"]
    done = subprocess.run(shlex.split(os.environ.get("MAKE") or "make") +
                          ["--no-print-directory", "-j2", *variables, *targets],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    for line in done.stdout.splitlines():
        if " warning: " in line or done.returncode != 0:
            print(line, flush=True)
    if done.returncode != 0:
        print("0 passed, 1 failed, 0 skipped")
        sys.exit(1)


def programs(port, build):
    """The tests to be built, as files below build."""
    for pattern in port.tests:
        for source in sorted(glob.glob(pattern)):
            name = os.path.splitext(source[len("test/"):])[0]
            if name in port.without:
                print(f"     left out: {name} ({port.without[name]})", flush=True)
            else:
                yield f"{build}/test/{name}"


def main():
    name = sys.argv[1]
    port, build = PORTS[name], f"build/port/{name}"
    lacking = [tool for tool in port.needs if shutil.which(tool) is None]
    if lacking:
        print(f"     skipped: {name} ({', '.join(lacking)} not installed)")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    tests = list(programs(port, build))
    # They may have the archive in them, of which make knows nothing.
    shutil.rmtree(f"{build}/test", ignore_errors=True)
    runner = []
    if OLD_KERNEL in port.make:
        os.makedirs(build, exist_ok=True)
        subprocess.run([port.needs[0], "-O2", "-fPIC", "-D_GNU_SOURCE", "-c",
                        "test/port/old_kernel.c", "-o", f"{build}/old_kernel.o"], check=True)
    if port.machine:
        runner = ["test/port/emulate.sh", port.machine, str(port.pagesize)]
    make(port, build, f"{build}/libphkmalloc.so", f"{build}/libphkmalloc.a", *tests)
    done = subprocess.run(runner + ["test/run.py", "--limit", "1500", "--preload",
                                    f"{build}/libphkmalloc.so", *tests], check=False)
    if runner and done.returncode == 77:
        print("0 passed, 0 failed, 1 skipped")
        return 0
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
