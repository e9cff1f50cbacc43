#!/usr/bin/env python3
"""Writes the whole library as one C file with one header. Usage: amalgamate.py FOLDER

The folders of src/ follow one another in the order of their dependencies. Headers are put where
they are first asked for, those of the system at the top. Names that two files have for themselves
get the file's name for the length of it, and macros end with their file. Names that files share
begin with phk_, so that they are in no program's way, and are hidden.
"""
import collections
import glob
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">].*\n', re.MULTILINE)
# A name of the file's own: "static ... name(" or "static ... name =", also on the line below.
STATIC = re.compile(r"^(?:(?:NOINLINE|COLD|NORETURN|ALWAYS_INLINE) )*static\b(?! inline)"
                    r"(?P<rest>(?:[^;={(\n]|\([^\n]*\)\) )*\n?[^;={(\n]*?)"
                    r"\b(?P<name>(?!__)\w+)(?:\[[^\n]*\])*\s*(?:[;=(]|__attribute__|ALIGNED)",
                    re.MULTILINE)
DEFINE = re.compile(r"^#\s*define (\w+)", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
TAG = re.compile(r"^(?:static |const )*(?:struct|enum|union) (\w+) \{", re.MULTILINE)
SHARED = re.compile(r"^(?!static|ALWAYS_INLINE|typedef|#|struct \w+(?: \{|;))[\w *]+?[ *](\w+)"
                    r"(?:\((?!\()[^;{]*\)|\[\w*\]|\s*__attribute__.*| HIDDEN)*;", re.MULTILINE)
LIBC = "os/libc.h"
FIRST = """/*
 * phkmalloc.c: phkmalloc {version}, the whole library in one file, made of its sources.
 *
 * Compile it with gcc or clang, in C11 or later, and link it into a program: it then has malloc and
 * all that belongs to it, also C++'s new and delete. phkmalloc.h is for what it offers beyond them.
 *
 *     cc -O2 -c phkmalloc.c
 *
 * One thing is not as in the library: what a new-handler, or an operator new of the program, throws
 * out of a new that must not throw ends the program, since C cannot catch it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define PHKMALLOC_INSIDE
"""
CATCH = """
/* === src/api/catch.cc, as far as C can ============================================== */

bool
api_threw(void (*call)(void *arg), void *arg)
{
	call(arg);
	return false;
}
"""


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def sources():
    """All C files, folder by folder, but for what only the shared library is to have."""
    layers = re.findall(r"^\| `(\w+)/` \|", read("src/README.md"), re.MULTILINE)
    for layer in layers:
        yield from sorted(os.path.relpath(path, ROOT)
                          for path in glob.glob(os.path.join(ROOT, "src", layer, "*.c"))
                          if not path.endswith("api/dlopen.c"))


def statics(text):
    return {found["name"] for found in STATIC.finditer(text)} | set(TAG.findall(text))


class Writer:
    """Puts files behind each other, each header once."""

    def __init__(self):
        self.done = {"phkmalloc.h", "phkmalloc_inspect.h"}
        self.system = []
        self.parts = []

    def expand(self, path):
        """The text of a file with what it includes from the project."""
        def put(match):
            kind, name = match.groups()
            if kind == "<":
                if name not in self.system:
                    self.system.append(name)
                return ""
            if name in self.done:
                return ""
            if name.endswith(".h"):
                self.done.add(name)
                self.parts.append((name, self.expand("src/" + name)))
                return ""
            return self.expand("src/" + name)
        return INCLUDE.sub(put, read(path))

    def shared(self):
        """What the headers declare, but for functions of C libraries."""
        return {name for part, text in self.parts if part.endswith(".h") and part != LIBC
                for name in SHARED.findall(COMMENT.sub("", text))}

    def add(self, path, twice):
        """A C file, in which names that others have too get its own name."""
        text = self.expand(path)
        own = os.path.splitext(os.path.basename(path))[0]
        names = sorted(statics(text) & twice)
        macros = sorted(set(DEFINE.findall(text)))
        head = "".join(f"#define {name} {own}_{name}\n" for name in names)
        tail = "".join(f"#undef {name}\n" for name in names + macros)
        self.parts.append((path[len("src/"):], head + text + tail))


def header():
    """Both public headers as one."""
    first, second = read("include/phkmalloc.h"), read("include/phkmalloc_inspect.h")
    return first.rstrip("\n") + "\n\n" + second


def main():
    folder = sys.argv[1]
    files = list(sources())
    count = collections.Counter(name for path in files for name in statics(read(path)))
    twice = {name for name, n in count.items() if n > 1}
    writer = Writer()
    for path in files:
        writer.add(path, twice)
    version = re.search(r'PHKMALLOC_VERSION "(.*)"', read("include/phkmalloc.h"))[1]
    text = FIRST.replace("{version}", version)
    text += "".join(f"#include <{name}>\n" for name in sorted(writer.system))
    text += "\n" + "".join(f"#define {name} phk_{name}\n" for name in sorted(writer.shared()))
    # Behind the names, which members of its structures have, too.
    text += '\n#include "phkmalloc.h"\n'
    for name, part in writer.parts:
        part = part.strip("\n")
        if name.endswith(".h") and name != LIBC:
            part = f"#pragma GCC visibility push(hidden)\n\n{part}\n\n#pragma GCC visibility pop"
        text += f"\n/* === src/{name} ".ljust(86, "=") + f" */\n\n{part}\n"
    text += CATCH
    os.makedirs(folder, exist_ok=True)
    for name, content in (("phkmalloc.c", re.sub(r"\n{3,}", "\n\n", text)),
                          ("phkmalloc.h", header())):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(content)


if __name__ == "__main__":
    main()
