#!/usr/bin/env python3
"""phkmalloc-info in gdb: what it says of pointers whose truth the program tells, of a running
process and of a core file, with the library preloaded and linked in, and that gdb loads it itself.

HEAP and HEAP_STATIC are the programs, SO the library.
"""
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test"))
from tap import done, report, skip  # noqa: E402  (not of this folder)

HEAP, HEAP_STATIC, SO = os.environ["HEAP"], os.environ["HEAP_STATIC"], os.environ["SO"]
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "../../share/gdb/auto-load/libphkmalloc.so-gdb.py")


def gdb(*args, commands=(), first=()):
    """What it printed, and what it complained of."""
    command = ["gdb", "-nx", "--batch"]
    for x in first:
        command += ["-iex", x]
    command += args
    for x in commands:
        command += ["-ex", x]
    r = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                       stdin=subprocess.DEVNULL)
    return r.stdout + r.stderr


def start(program, mode, library):
    """The process at its pointers, and what it says of them."""
    p = subprocess.Popen([program, mode, "0"], stdout=subprocess.PIPE, text=True,
                         env=dict(os.environ, LD_PRELOAD=library))
    lines = []
    while (line := p.stdout.readline()) and line != "ready\n":
        lines.append(line.rstrip("\n"))
    return p, lines


def check(lines, text, what):
    wrong = [line for line in lines if line not in text]
    report(len(lines) == 9 and not wrong, f"what pointers are, {what}",
           "\n".join(wrong) + "\n" + text)


def ask(lines):
    return ["phkmalloc-info " + line.split()[0] for line in lines]


def test_live(program, library, what):
    p, lines = start(program, "points", library)
    text = gdb("-p", str(p.pid), commands=[f"source {SCRIPT}", *ask(lines)])
    if "ptrace: " in text:
        skip(f"what pointers are, {what}", "the system does not permit to debug")
    else:
        check(lines, text, what)
    p.kill()
    p.wait()


def test_core(folder, program, library, what):
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as f:
        pattern = f.read().strip()
    if "/" in pattern or pattern.startswith("|") or hard != resource.RLIM_INFINITY:
        skip(f"what pointers are, {what}", "the kernel writes core files elsewhere or not at all")
        return
    os.makedirs(folder)
    r = subprocess.run([program, "abort", "0"], cwd=folder, capture_output=True, text=True,
                       env=dict(os.environ, LD_PRELOAD=library), check=False,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)))
    lines = [x for x in r.stdout.splitlines() if x != "ready"]
    core = os.path.join(folder, [x for x in os.listdir(folder) if x.startswith("core")][0])
    check(lines, gdb(program, core, commands=[f"source {SCRIPT}", *ask(lines)]), what)


def test_auto_load(folder):
    """As `make install` lays it: share/gdb/auto-load and the path of the library."""
    library = os.path.join(folder, "lib", "libphkmalloc.so.1")
    scripts = os.path.join(folder, "share/gdb/auto-load")
    os.makedirs(os.path.dirname(library))
    os.makedirs(scripts + os.path.dirname(library))
    shutil.copy(SO, library)
    shutil.copy(SCRIPT, f"{scripts}{library}-gdb.py")
    p, lines = start(HEAP, "points", library)
    text = gdb("-p", str(p.pid), commands=ask(lines[:1]),
               first=[f"add-auto-load-scripts-directory {scripts}",
                      f"add-auto-load-safe-path {folder}"])
    if "ptrace: " in text:
        skip("gdb loads it with the library", "the system does not permit to debug")
    else:
        report(lines[0] in text, "gdb loads it with the library", text)
    p.kill()
    p.wait()


def test_errors():
    text = gdb("/bin/true", commands=[f"source {SCRIPT}", "phkmalloc-info 16", "phkmalloc-info",
                                      "help phkmalloc-info"])
    report("does not use phkmalloc, or is not running" in text and "needs an address" in text and
           re.search("phkmalloc-info ADDRESS", text) and "Traceback" not in text,
           "where there is no heap, and without an address, it says so", text)


def main():
    if shutil.which("gdb") is None:
        print("1..0 # gdb not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        test_live(HEAP, SO, "of a running process")
        test_live(HEAP_STATIC, "", "of one with the library linked in, stripped")
        test_core(f"{folder}/a", HEAP, SO, "of a core file")
        test_core(f"{folder}/b", HEAP_STATIC, "", "of a core file of the stripped one")
        test_auto_load(os.path.realpath(folder))
        test_errors()
    return done()


if __name__ == "__main__":
    sys.exit(main())
