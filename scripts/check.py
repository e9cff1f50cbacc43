#!/usr/bin/env python3
"""Runs the parts of `make check` one after another and adds up what they counted.

Each argument is a make target whose last line is "N passed, N failed, N skipped". A part that
ends badly without such a line counts as one failure.
"""
import os
import re
import subprocess
import sys
import time

COUNTS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")


def run(target):
    """One part, shown as it goes; returns its counts."""
    print(f"== {target}", flush=True)
    last = None
    # Descriptors stay open for make's own -j.
    with subprocess.Popen([os.environ.get("MAKE", "make"), "--no-print-directory", target],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, close_fds=False,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as part:
        for line in part.stdout:
            print(line, end="", flush=True)
            found = COUNTS.match(line.strip())
            last = tuple(map(int, found.groups())) if found else last
    if last is None:
        print(f"not ok - {target} counted nothing (exit status {part.returncode})")
        return 0, 1, 0
    if part.returncode != 0 and last[1] == 0:
        print(f"not ok - {target} ended with status {part.returncode}")
        return last[0], 1, last[2]
    return last


def main():
    start = time.monotonic()
    total = [0, 0, 0]
    for target in sys.argv[1:]:
        total = [a + b for a, b in zip(total, run(target))]
    print(f"== all parts, {time.monotonic() - start:.0f} s")
    print("{} passed, {} failed, {} skipped".format(*total))
    return total[1] != 0


if __name__ == "__main__":
    sys.exit(main())
