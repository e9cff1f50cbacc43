#!/usr/bin/env python3
"""Checks the shape of the tree, in TAP: layers, lengths, words, headers, format, docs and tables.

What it holds the code to is in CONTRIBUTING.md. CC is the compiler that headers are tried with.
"""
import ast
import concurrent.futures
import os
import re
import shlex
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import format as layout  # noqa: E402  (a neighbour of this script)

FILE_LINES = 520
FILE_NBYTES = 256 << 10
FUNCTION_LINES = 70
COLUMNS = 100
TAB = 4
IFDEF_LAYERS = ("base", "os")
# Left open, or the path of somebody's machine.
WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|not implemented|/(home|root|work|Users)/\w")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
QUOTED = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^```.*?\n(.*?)^```", re.MULTILINE | re.DOTALL)
TOP = ("src", "include", "man", "doc", "test", "bench", "classic", "scripts", "tools", "share",
       "debian", "revisited")


def listed():
    """The files of the project: git's list, or in an unpacked archive all there are."""
    done = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], capture_output=True,
                          text=True, check=False)
    names = done.stdout.split("\n") if done.returncode == 0 else [
        os.path.relpath(os.path.join(d, name)) for d, dirs, files in os.walk(".")
        if "/build" not in d and "/.git" not in d for name in files]
    return sorted(name for name in names if os.path.isfile(name))


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def lines(path):
    return read(path).splitlines()


def numbered(paths):
    for path in paths:
        for n, line in enumerate(lines(path), 1):
            yield path, n, line


FILES = listed()
C_FILES = [f for f in FILES if re.search(r"\.(c|h|cc|def)$", f)]
SOURCES = [f for f in C_FILES if f.startswith("src/")]
PYTHON = [f for f in FILES if f.endswith(".py")]
CODE = C_FILES + PYTHON + [f for f in FILES if re.search(r"(\.mk|\.sh|/run|^Makefile)$", f)]
PAGES = [f for f in FILES if f.endswith(".md")]


def layering():
    """Each folder includes only itself and those before it in src/README.md."""
    layers = re.findall(r"^\| `(\w+)/` \|", read("src/README.md"), re.MULTILINE)
    for name in layers:
        if not os.path.isdir(f"src/{name}"):
            yield f"src/README.md tells of src/{name}, which is not there"
    for path in SOURCES:
        if path.split("/")[1] not in layers:
            yield f"{path}: its folder is not in src/README.md"
    for path, n, line in numbered(SOURCES):
        own = path.split("/")[1]
        found = re.match(r'\s*#\s*include "(\w+)/', line)
        if found and own in layers and layers.index(own) < (
                layers.index(found[1]) if found[1] in layers else len(layers)):
            yield f"{path}:{n}: {own}/ includes {found[1]}/"


def columns():
    for path, n, line in numbered(f for f in CODE if not f.endswith(".def")):
        if len(line.expandtabs(TAB)) > COLUMNS and "http" not in line:
            yield f"{path}:{n}: {len(line.expandtabs(TAB))} columns"


def spaces():
    for path, n, line in numbered(CODE + PAGES):
        if line != line.rstrip():
            yield f"{path}:{n}: ends in white space"
    for path in CODE + PAGES:
        if not read(path).endswith("\n") or read(path).endswith("\n\n"):
            yield f"{path}: ends in no line or in an empty one"


def functions():
    """In C bodies start with { and end with } in the first column."""
    start = 0
    for path, n, line in numbered(C_FILES):
        if line == "{":
            start = n
        elif line == "}" and start != 0:
            if n - start + 1 > FUNCTION_LINES:
                yield f"{path}:{start}: function of {n - start + 1} lines"
            start = 0
    for path in PYTHON:
        for node in ast.walk(ast.parse(read(path), path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and \
                    node.end_lineno - node.lineno + 1 > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} is too long"


def conditionals():
    """In src/ only the layers that know the platform may ask for it."""
    for path, n, line in numbered(SOURCES):
        if path.split("/")[1] in IFDEF_LAYERS or not re.match(r"\s*#\s*(if|elif)", line):
            continue
        guard = os.path.basename(path).upper().replace(".", "_")
        if line != f"#ifndef PHK_{guard}":
            yield f"{path}:{n}: {line}"


def words():
    for path in FILES:
        if path == "scripts/tidy.py":
            continue
        try:
            for n, line in enumerate(lines(path), 1):
                found = WORDS.search(line)
                if found:
                    yield f"{path}:{n}: {found[0]}"
        except UnicodeDecodeError:
            continue


def openings():
    """A comment comes first; in src/ it starts with the name of the file."""
    for path in C_FILES:
        text = read(path)
        if not re.match(r"/\*|//", text):
            yield f"{path}: does not open with what it is for"
        elif path in SOURCES and not re.match(rf"/\*\n \* {os.path.basename(path)}: ", text):
            yield f"{path}: does not open with its name"
    for path in PYTHON:
        if ast.get_docstring(ast.parse(read(path), path)) is None:
            yield f"{path}: does not open with what it is for"


def header_alone(path, compiler, options):
    """Compiles a file that consists of one include."""
    unit = f'#include "{os.path.abspath(path)}"\n'
    done = subprocess.run(compiler + options + ["-D_GNU_SOURCE", "-Isrc", "-Iinclude",
                                                "-Itest", "-fsyntax-only", "-"],
                          input=unit, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"{path}: {(done.stderr.splitlines() or ['no message'])[0]}"
    return None


def headers():
    c = shlex.split(os.environ.get("CC") or "cc"), ["-std=gnu17", "-xc"]
    cxx = shlex.split(os.environ.get("CXX") or "c++"), ["-std=c++17", "-xc++"]
    todo = [(f, *c) for f in C_FILES if f.endswith(".h") and f.startswith(("src/", "include/"))]
    todo += [(f, *cxx) for f in C_FILES if f.endswith(".h") and f.startswith("include/")]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        yield from filter(None, pool.map(lambda job: header_alone(*job), todo))


def letters():
    """Every option is in the manual page."""
    page = read("man/malloc.conf.5")
    for line in lines("src/conf/options.def"):
        found = re.match(r"[A-Z]+\('(.)', '(.)'", line)
        for letter in found.groups() if found else ():
            if not re.search(rf"^\.It Cm (.* )?{re.escape(letter)}( |$)", page, re.MULTILINE):
                yield f"man/malloc.conf.5 does not tell of {letter}"


def messages():
    """Every message is in the manual page, and a test looks for it."""
    page = re.sub(r"\s+", " ", read("man/phkmalloc.3"))
    tests = "".join(read(p) for p in FILES if re.match(r"test/.*\.(c|h|def|py)$", p))
    texts = re.findall(r'\[PTR_\w+\] = "(.*)"', read("src/diag/fault.c"))
    texts.remove("no fault")
    for path in SOURCES:
        texts += re.findall(r'fault_(?:fatal|say)\([^"]*"[\w ]+", "([^"]*)"', read(path))
        texts += re.findall(r'%s\(%u\) in \w+(?:\(\): warning)?: (\w[\w ]*\w)', read(path))
    for text in sorted(set(texts)):
        if not re.search(r"\.It \"?" + re.escape(text), page):
            yield f"man/phkmalloc.3 does not tell of: {text}"
        if text not in tests:
            yield f"no test looks for: {text}"


def functions_told():
    """Every function that a public header declares is in the manual page."""
    page = read("man/phkmalloc.3")
    for name in re.findall(r"^[a-z][\w *]*?[ *](\w+)\([^;]*\);", read("include/phkmalloc.h"),
                           re.MULTILINE):
        if not re.search(rf"\b{name}\b", page):
            yield f"man/phkmalloc.3 does not tell of {name}()"


def subcommands():
    """Every subcommand is in the manual page; the completion asks the command itself."""
    page = read("man/phkmalloc.1")
    for name in re.findall(r'^\t\{ "(\w+)", command_', read("tools/main.c"), re.MULTILINE):
        if not re.search(rf"^\.(It )?Cm {name}\b", page, re.MULTILINE):
            yield f"man/phkmalloc.1 does not tell of {name}"


def versions():
    """The changes and the packages begin with the version of the header."""
    version = re.search(r'PHKMALLOC_VERSION "(.*)"', read("include/phkmalloc.h"))[1]
    if f"\n## {version}\n" not in read("CHANGELOG.md"):
        yield f"CHANGELOG.md has nothing of {version}"
    if not read("debian/changelog").startswith(f"phkmalloc ({version}"):
        yield f"debian/changelog does not begin with {version}"


def packaged():
    """The Debian packages are built with what the command is built with."""
    needs = re.findall(r"^(\S+(?:-dev|-compiler)|pkg-config)$", read("tools/packages.txt"),
                       re.MULTILINE)
    for path in ("debian/control", "scripts/packages-debian.txt"):
        for name in needs:
            if not re.search(rf"^\s*{re.escape(name)},?$", read(path), re.MULTILINE):
                yield f"{path} does not have {name}"


def links():
    """What a page links to, or names in quotes by its path, is there."""
    for path in PAGES:
        text = FENCED.sub("", read(path))
        for target in LINK.findall(text):
            if not re.match(r"\w+:", target) and \
                    not os.path.exists(os.path.join(os.path.dirname(path), target)):
                yield f"{path}: {target} is not there"
        for word in QUOTED.findall(text):
            if re.fullmatch(rf"({'|'.join(TOP)})/[\w./-]+", word) and not os.path.exists(word) \
                    and not os.path.exists(os.path.join(os.path.dirname(path), word)):
                yield f"{path}: {word} is not there"


def targets():
    """Every `make x` in a page is a target."""
    known = subprocess.run(["make", "-pq", "SETUP=no", "all"], capture_output=True, text=True,
                           check=False).stdout
    known = set(re.findall(r"^([a-z][\w-]*):", known, re.MULTILINE))
    for path in PAGES:
        text = read(path)
        quoted = QUOTED.findall(FENCED.sub("", text)) + [
            line.split("#")[0].strip() for block in FENCED.findall(text)
            for line in block.splitlines()]
        for command in quoted:
            found = re.match(r"make((?: +[A-Z]+=\S*)*)((?: +[a-z][\w-]*)*)", command)
            for target in found[2].split() if found else ():
                if target not in known:
                    yield f"{path}: make {target} is no target"


def manuals():
    for path in FILES:
        if re.fullmatch(r"man/.*\.[1-9]", path):
            done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", path], capture_output=True,
                                  text=True, check=False)
            yield from done.stdout.splitlines()


def long_files():
    for path in C_FILES + PYTHON:
        if len(lines(path)) > FILE_LINES:
            yield f"{path}: {len(lines(path))} lines"


def strays():
    """Folders that no page tells of, such as a test that was ended leaves, and large files."""
    for path in FILES:
        if "/" in path and path.split("/")[0] not in TOP + (".ci",):
            yield f"{path}: in a folder that has no place"
        if os.path.getsize(path) > FILE_NBYTES:
            yield f"{path}: {os.path.getsize(path)} bytes"


def modules():
    """Scripts that others beside them would get for a module of Python's own."""
    for path in FILES:
        name, kind = os.path.splitext(os.path.basename(path))
        if kind == ".py" and name in sys.stdlib_module_names:
            yield f"{path}: Python has a module of this name"


CHECKS = [
    (strays, "each file has its place, and none is large", None),
    (layering, "each folder of src/ includes only those before it", None),
    (long_files, f"no file is longer than {FILE_LINES} lines", None),
    (functions, f"no function is longer than {FUNCTION_LINES} lines", None),
    (columns, f"no line is wider than {COLUMNS} columns, a tab counting {TAB}", None),
    (spaces, "no line or file ends in white space", None),
    (lambda: layout.faults([f for f in C_FILES if not f.endswith(".def")]),
     "the C is formatted", layout.unusable),
    (conditionals, "in src/ only base/ and os/ look at the platform", None),
    (words, "nothing is left open, and no path of one machine is in the tree", None),
    (openings, "each file says first what it is for", None),
    (modules, "no script has the name of a module of Python's", None),
    (headers, "each header compiles alone", None),
    (letters, "the manual page has every letter", None),
    (messages, "the manual page and the tests have every message", None),
    (functions_told, "the manual page has every function", None),
    (subcommands, "the manual page has every subcommand", None),
    (packaged, "the packages are built with what the command is", None),
    (versions, "header, changes and packages have one version", None),
    (links, "what the pages point to is there", None),
    (targets, "each make target in the pages is one", "make"),
    (manuals, "the manual pages are clean", "mandoc"),
]


def main():
    failed = 0
    print(f"1..{len(CHECKS)}")
    for number, (check, what, tool) in enumerate(CHECKS, 1):
        why = tool() if callable(tool) else \
            tool and shutil.which(tool) is None and f"{tool} is not installed"
        if why:
            print(f"ok {number} - {what} # SKIP {why}")
            continue
        faults = list(check())
        for fault in faults:
            print("#", fault)
        print(f"{'not ' if faults else ''}ok {number} - {what}", flush=True)
        failed += bool(faults)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
