#!/usr/bin/env python3
"""Checks the shape of the tree, in TAP: layering, lengths, words, headers, docs and tables.

What it holds the code to is in CONTRIBUTING.md.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

LAYERS = re.findall(r"^\| `(\w+)/` \|", open("src/README.md").read(), re.M)
SOURCES = sorted(glob.glob("src/*/*.[ch]"))
C_FILES = SOURCES + sorted(f for d in ("include", "tools", "classic")
                           for f in glob.glob(f"{d}/**/*.[ch]", recursive=True))
FILE_LINES = 530
FUNCTION_LINES = 70
COLUMNS = 100
TAB = 4
IFDEF_LAYERS = ("base", "os")
WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|/home/\w|/root/\w")
count = 0


def promise(faults, what):
    """One line of TAP, the faults before it."""
    global count
    count += 1
    for fault in faults[:20]:
        print("#", fault)
    print(f"{'not ' if faults else ''}ok {count} - {what}")


def lines(path):
    with open(path, encoding="utf-8") as f:
        return f.read().split("\n")


def layering():
    for path in SOURCES:
        layer = path.split("/")[1]
        if layer not in LAYERS:
            yield f"{path}: its folder is not in src/README.md"
            continue
        for n, line in enumerate(lines(path), 1):
            found = re.match(r'#include "(\w+)/', line)
            if found and found[1] in LAYERS and LAYERS.index(found[1]) > LAYERS.index(layer):
                yield f"{path}:{n}: {layer}/ includes {found[1]}/"


def columns():
    for path in C_FILES:
        for n, line in enumerate(lines(path), 1):
            if len(line.expandtabs(TAB)) > COLUMNS and "http" not in line:
                yield f"{path}:{n}: {len(line.expandtabs(TAB))} columns"


def functions():
    """Bodies start with { and end with } in the first column."""
    for path in SOURCES:
        start = None
        for n, line in enumerate(lines(path), 1):
            if line == "{":
                start = n
            elif line == "}" and start is not None:
                if n - start > FUNCTION_LINES:
                    yield f"{path}:{start}: function of {n - start} lines"
                start = None


def conditionals():
    for path in SOURCES:
        if path.split("/")[1] in IFDEF_LAYERS:
            continue
        for n, line in enumerate(lines(path), 1):
            if re.match(r"\s*#\s*if", line) and not line.startswith("#ifndef PHK_"):
                yield f"{path}:{n}: {line}"


def words():
    for path in subprocess.run(["git", "ls-files"], capture_output=True, text=True,
                               check=False).stdout.split("\n"):
        if not path or path.endswith((".png", ".svg")) or path == "scripts/tidy.py":
            continue
        try:
            for n, line in enumerate(lines(path), 1):
                if WORDS.search(line):
                    yield f"{path}:{n}: {WORDS.search(line)[0]}"
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue


def headers():
    with tempfile.TemporaryDirectory() as d:
        for path in sorted(glob.glob("src/*/*.h")) + sorted(glob.glob("include/*.h")):
            unit = os.path.join(d, "unit.c")
            with open(unit, "w", encoding="utf-8") as f:
                f.write(f'#include "{os.path.abspath(path)}"\n')
            run = subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-D_GNU_SOURCE",
                                  "-Isrc", "-Iinclude", "-fsyntax-only", unit],
                                 capture_output=True, text=True, check=False)
            if run.returncode != 0:
                yield f"{path}: {run.stderr.splitlines()[0]}"


def letters():
    page = "".join(lines("man/malloc.conf.5"))
    for line in lines("src/conf/options.def"):
        found = re.match(r"[A-Z]+\('(.)', '(.)'", line)
        for letter in found.groups() if found else ():
            if f"Cm {letter}" not in page and f"Cm \\&{letter}" not in page:
                yield f"man/malloc.conf.5 does not tell of {letter}"


def messages():
    page = re.sub(r"\s+", " ", " ".join(lines("man/phkmalloc.3")))
    for text in re.findall(r'\[PTR_\w+\] = "(.*)"', "\n".join(lines("src/diag/fault.c"))):
        if text != "no fault" and text not in page:
            yield f"man/phkmalloc.3 does not tell of: {text}"


def manuals():
    for path in sorted(glob.glob("man/*.[1-9]")):
        run = subprocess.run(["mandoc", "-Tlint", "-Wwarning", path], capture_output=True,
                             text=True, check=False)
        yield from run.stdout.splitlines()


def main():
    promise(list(layering()), "each folder of src/ includes only those before it")
    promise([f"{p}: {len(lines(p))} lines" for p in SOURCES if len(lines(p)) > FILE_LINES],
            f"no file of src/ is longer than {FILE_LINES} lines")
    promise(list(functions()), f"no function of src/ is longer than {FUNCTION_LINES} lines")
    promise(list(columns()), f"no line of C is wider than {COLUMNS} columns")
    promise(list(conditionals()), "only base/ and os/ look at the platform")
    promise(list(words()), "nothing is left open, and no path of one machine is in the tree")
    promise([p for p in SOURCES if not lines(p)[0].startswith("/*")],
            "each file of src/ says what it is for")
    promise(list(headers()), "each header compiles alone")
    promise(list(letters()), "the man page has every letter")
    promise(list(messages()), "the man page has every message")
    if subprocess.run(["sh", "-c", "command -v mandoc"], capture_output=True,
                      check=False).returncode == 0:
        promise(list(manuals()), "the man pages are clean")
    else:
        global count
        count += 1
        print(f"ok {count} - the man pages are clean # SKIP mandoc is not installed")
    print(f"1..{count}")


if __name__ == "__main__":
    sys.exit(main())
