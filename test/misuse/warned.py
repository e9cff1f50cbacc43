#!/usr/bin/env python3
"""What is said when an option cannot do what it is for; the program goes on."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import preload  # noqa: E402  (TAP, and the library)


def says(promise, argv, extra, text, dynamic=True):
    """A program ends well and says exactly this line, beside its name and number."""
    end = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         env=preload.environment(dynamic, extra), check=False, timeout=120)
    want = rf"{os.path.basename(argv[0])}\(\d+\) in {text}\n"
    preload.ok(end.returncode == 0 and re.fullmatch(want, end.stderr), promise,
               f"status {end.returncode}, standard error:\n{end.stderr}")


def main():
    if not preload.start():
        return 0
    static = os.path.join(os.path.dirname(preload.SO), "test/api/new-static")
    says("a static program has no other allocator", [static], {"MALLOC_OPTIONS": "O"},
         r"malloc\(\): warning: option O: there is no other allocator", False)
    says("a profile that cannot be written is said", ["true"],
         {"MALLOC_OPTIONS": "B1", "MALLOC_PROFILE_FILE": "/nonexistent/profile"},
         r"exit\(\): warning: no profile in /nonexistent/profile: .+")
    says("a trace that cannot be written is said", ["true"],
         {"MALLOC_OPTIONS": "U", "MALLOC_TRACE_FILE": "/nonexistent/trace"},
         r"malloc\(\): warning: cannot write trace /nonexistent/trace: .+")
    return preload.done()


if __name__ == "__main__":
    sys.exit(main())
