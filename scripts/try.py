#!/usr/bin/python3
"""Runs one real program on the system's malloc and on phkmalloc, and says what happened.

The program is Python itself, building and searching dictionaries of small objects, with each
object from malloc (PYTHONMALLOC=malloc). Usage: try.py LIBRARY
"""

import os
import re
import subprocess
import sys
import tempfile
import time

JOB = """
import random
random.seed(1)
words = [str(random.randrange(10**9)) for _ in range(300_000)]
for turn in range(3):
    count = {}
    for w in words:
        count.setdefault(w[:4], []).append((w, turn))
    table = sorted((len(v), k, [x[0] for x in v]) for k, v in count.items())
    text = ' '.join(w for _, _, v in table for w in v)
    back = {w: i for i, w in enumerate(text.split())}
print(len(text), len(back), sum(n for n, _, _ in table))
"""


def run(library):
    env = dict(os.environ, PYTHONMALLOC="malloc")
    env.pop("LD_PRELOAD", None)
    env.pop("MALLOC_OPTIONS", None)
    if library:
        env.update(LD_PRELOAD=library, MALLOC_OPTIONS="D")
    with tempfile.TemporaryFile() as errors:
        start = time.monotonic()
        child = subprocess.Popen(["/usr/bin/python3", "-c", JOB], env=env,
                                 stdout=subprocess.PIPE, stderr=errors)
        output = child.stdout.read().decode()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        errors.seek(0)
        report = errors.read().decode(errors="replace")
    if status != 0:
        sys.exit(f"try: the program failed on {library or 'the system malloc'}:\n{report}")
    return output, usage, wall, report


def mib(kib):
    return f"{kib / 1024:.1f} MB"


def main():
    library = os.path.abspath(sys.argv[1])
    print("A Python program with a few million small objects, on two allocators ...", flush=True)
    output, old, old_wall, _ = run(None)
    ours, new, new_wall, report = run(library)
    counts = re.search(r"operations: (\d+) allocations, (\d+) frees, (\d+) pointers checked",
                       report)
    if counts is None:
        sys.exit("try: phkmalloc did not report its operations; was it loaded?\n" + report)
    rows = [
        ("peak memory", mib(old.ru_maxrss), mib(new.ru_maxrss)),
        ("page faults", f"{old.ru_minflt + old.ru_majflt:,}", f"{new.ru_minflt + new.ru_majflt:,}"),
        ("CPU time", f"{old.ru_utime + old.ru_stime:.2f} s", f"{new.ru_utime + new.ru_stime:.2f} s"),
        ("wall time", f"{old_wall:.2f} s", f"{new_wall:.2f} s"),
        ("allocations", "", f"{int(counts[1]):,}"),
        ("frees", "", f"{int(counts[2]):,}"),
        ("pointers checked", "none exactly", f"{int(counts[3]):,}"),
    ]
    print(f"\n{'':18}{'system malloc':>16}{'phkmalloc':>16}")
    for name, left, right in rows:
        print(f"{name:18}{left:>16}{right:>16}")
    same = "the same" if ours == output else "DIFFERENT"
    print(f"\nThe program printed {same} result on both. One run each: for figures to quote, "
          "see doc/benchmarks.md.")
    print(f"Try yours:  LD_PRELOAD={library} PROGRAM")
    return ours != output


if __name__ == "__main__":
    sys.exit(main())
