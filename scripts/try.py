#!/usr/bin/python3
"""Runs a real program on the system's malloc and on phkmalloc, and says what happened.

The program is Python, which builds, sorts, joins and splits tables of words, with every object
from malloc (PYTHONMALLOC=malloc). It runs three times on each allocator, in turn. What is said of
operations is the library's own count. Usage: try.py LIBRARY
"""
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

PYTHON = "/usr/bin/python3"
ROUNDS = 3
JOB = """
import random
random.seed(1)
words = [str(random.randrange(10**9)) for _ in range(120_000)]
for turn in range(3):
    table = {}
    for w in words:
        table.setdefault(w[:4], []).append((w, turn))
    rows = sorted((len(v), k, [x[0] for x in v]) for k, v in table.items())
    text = ' '.join(w for _, _, v in rows for w in v)
    back = {w: i for i, w in enumerate(text.split())}
print(len(text), len(back), sum(n for n, _, _ in rows))
"""
# The same memory freed twice. libc's free by name: which one that is depends on the preload.
MISTAKE = """
import ctypes, resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
p = libc.malloc(100)
libc.free(p)
libc.free(p)
"""
OPERATIONS = re.compile(r"^operations: (\d+) allocations, (\d+) frees, (\d+) pointers checked$",
                        re.MULTILINE)


class Run:
    """What one run printed and used."""

    def __init__(self, code, library):
        env = {name: value for name, value in os.environ.items()
               if name not in ("LD_PRELOAD", "MALLOC_OPTIONS")}
        env["PYTHONMALLOC"] = "malloc"
        if library:
            env.update(LD_PRELOAD=library, MALLOC_OPTIONS="D")
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            start = time.monotonic()
            child = subprocess.Popen([PYTHON, "-c", code], env=env, stdin=subprocess.DEVNULL,
                                     stdout=output, stderr=errors)
            _, self.status, usage = os.wait4(child.pid, 0)
            self.wall_s = time.monotonic() - start
            child.returncode = self.status
            output.seek(0)
            errors.seek(0)
            self.output = output.read()
            self.errors = errors.read().decode(errors="replace")
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.rss_kib = usage.ru_maxrss
        self.faults = usage.ru_minflt + usage.ru_majflt


def measure(library):
    """The runs on each allocator: (system's, ours)."""
    runs = ([], [])
    for turn in range(ROUNDS):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            run = Run(JOB, library if which else None)
            if run.status != 0:
                sys.exit(f"try: the program failed on {'phkmalloc' if which else 'the system'}:\n"
                         + run.errors)
            runs[which].append(run)
    return runs


def middle(runs, field):
    """The median of one figure."""
    return statistics.median(getattr(run, field) for run in runs)


def table(theirs, ours):
    """The rows of the result; the counts must be there, or the library was not."""
    counts = OPERATIONS.search(ours[-1].errors)
    if counts is None:
        sys.exit("try: phkmalloc did not tell its operations; was it loaded?\n" + ours[-1].errors)
    allocations, frees, checked = (f"{int(n):,}" for n in counts.groups())
    rows = [("", "system's malloc", "phkmalloc")]
    for name, field, form in (("peak memory (RSS)", "rss_kib", lambda n: f"{n / 1024:.1f} MiB"),
                              ("page faults", "faults", lambda n: f"{n:,.0f}"),
                              ("CPU, user + system", "cpu_s", lambda n: f"{n:.2f} s"),
                              ("wall", "wall_s", lambda n: f"{n:.2f} s")):
        rows.append((name, form(middle(theirs, field)), form(middle(ours, field))))
    rows += [("allocations", "not counted", allocations), ("frees", "not counted", frees),
             ("pointer checks passed", "not counted", checked)]
    return rows


def main():
    library = os.path.abspath(sys.argv[1])
    print(f"A Python program runs {ROUNDS} times on each of two allocators, in turn ...\n",
          flush=True)
    theirs, ours = measure(library)
    for name, left, right in table(theirs, ours):
        print(f"  {name:24}{left:>16}{right:>16}".rstrip())
    if any(run.output != theirs[0].output for run in theirs + ours):
        sys.exit("try: the program's results differ")
    print(f"\nMedians of {ROUNDS} runs; the program's results are the same on both. For figures to"
          " quote see\ndoc/benchmarks.md.\n")
    mistake = Run(MISTAKE, library)
    print("A program that frees the same memory twice, on phkmalloc:\n")
    print("  " + mistake.errors.strip().split("\n")[0])
    if not os.WIFSIGNALED(mistake.status) or "already free" not in mistake.errors:
        sys.exit("try: it should have been ended with a message")
    print(f"\nRun a program of yours:\n\n  LD_PRELOAD={library} PROGRAM")


if __name__ == "__main__":
    main()
