"""A program whose heap is worth a picture: Python's own modules parsed, and some forgotten again.

doc/heap.svg is of it, when it says "ready" (`make doc/heap.svg`). Run it with PYTHONMALLOC=malloc,
so that Python's objects are the library's chunks.
"""
import ast
import glob
import os
import time

MODULES = sorted(glob.glob(os.path.join(os.path.dirname(os.__file__), "*.py")))[:60]


def parse(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return ast.parse(f.read())


TREES = [parse(path) for path in MODULES]
TEXTS = [str(i) * (i % 40) for i in range(20000)]
del TREES[::3]
del TEXTS[5000:12000]
print("ready", flush=True)
time.sleep(60)
