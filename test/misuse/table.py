#!/usr/bin/env python3
"""The page of mistakes is the one that the test of mistakes writes."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import preload  # noqa: E402  (TAP, and the library)


def main():
    if not preload.start():
        return 0
    program = os.path.join(os.path.dirname(preload.SO), "test/misuse/misuse")
    table = subprocess.run([program, "--table"], capture_output=True, text=True, check=False,
                           env=preload.environment(True))
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../doc/misuse.md")
    with open(page, encoding="utf-8") as f:
        preload.ok(f.read() == table.stdout, "doc/misuse.md is the table of test/misuse",
                   "make -B doc/misuse.md writes it anew\n" + table.stderr)
    return preload.done()


if __name__ == "__main__":
    sys.exit(main())
