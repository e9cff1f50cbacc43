#!/usr/bin/env python3
"""The interface to programs that were linked before: names, versions, prototypes, structures.

It is compared with test/api/abi.txt, which has a line for each. A line that is gone or changed
breaks programs and wants a new SONAME; what is new is added by `test/api/exports.py --update`,
with SO naming the library. CC compiles what tells the layout of structures.
"""
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import done, report as ok, skip  # noqa: E402  (not of this folder)

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
LIST = os.path.join(ROOT, "test/api/abi.txt")
CC = shlex.split(os.environ.get("CC") or "cc")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
STRUCT = re.compile(r"^struct (\w+) \{\n(.*?)^\};", re.MULTILINE | re.DOTALL)
PROTOTYPE = re.compile(r"^[a-z][^;{}#]*;", re.MULTILINE)
# What the headers tell compilers for their warnings only.
ADVICE = "PHKMALLOC_ADDRESS"
MACRO = re.compile(r"^#define (PHKMALLOC_\w+) (.+)$", re.MULTILINE)


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def symbols(so):
    """What the library exports; of data also the size, which linked programs copy."""
    for line in output("readelf", "--dyn-syms", "-W", so).splitlines():
        field = line.split()
        if len(field) < 8 or field[4] not in ("GLOBAL", "WEAK") or field[6] in ("UND", "ABS"):
            continue
        name = field[7].replace("@@", "@")
        yield f"object {name} {int(field[2], 0)}" if field[3] == "OBJECT" else f"function {name}"


def layout(header, structs):
    """Size of each structure, offset and size of each member, as the compiler has them."""
    lines = []
    for name, body in structs:
        lines.append(f'printf("struct {name} %zu\\n", sizeof(struct {name}));')
        for member in re.findall(r"(\w+)(?:\[[^\]]*\])?[,;]", body):
            at = f"offsetof(struct {name}, {member}), sizeof(((struct {name} *)0)->{member})"
            lines.append(f'printf("member {name}.{member} at %zu, %zu\\n", {at});')
    with tempfile.TemporaryDirectory() as folder:
        source, program = os.path.join(folder, "layout.c"), os.path.join(folder, "layout")
        with open(source, "w", encoding="utf-8") as f:
            f.write(f'#include "{header}"\n#include <stddef.h>\n#include <stdio.h>\n'
                    "int main(void) {\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
        subprocess.run(CC + [source, "-o", program], check=True)
        return output(program).splitlines()


def headers():
    """What the public headers declare."""
    for path in sorted(glob.glob(os.path.join(ROOT, "include/*.h"))):
        with open(path, encoding="utf-8") as f:
            text = COMMENT.sub("", f.read())
        for name, value in MACRO.findall(text):
            if name not in ("PHKMALLOC_VERSION", ADVICE):
                yield f"macro {name} {value.strip()}"
        structs = STRUCT.findall(text)
        for line in PROTOTYPE.findall(STRUCT.sub("", text)):
            yield "declared " + re.sub(r"\s+", " ", line.replace(" " + ADVICE, ""))
        if structs:
            yield from layout(os.path.abspath(path), structs)


def update(so):
    with open(LIST, encoding="utf-8") as f:
        head = [line for line in f.read().splitlines() if line.startswith("#")]
    with open(LIST, "w", encoding="utf-8") as f:
        f.write("\n".join(head + sorted(symbols(so)) + list(headers())) + "\n")


def compare(have, kinds, promise):
    """Against the lines of these kinds in the list."""
    with open(LIST, encoding="utf-8") as f:
        want = {line for line in f.read().splitlines() if line.split()[0] in kinds}
    have = set(have)
    ok(have == want, promise, f"new: {sorted(have - want)}, gone: {sorted(want - have)}")


def tables(so):
    """How it is loaded."""
    dynamic = output("readelf", "-dW", so)
    with open(os.path.join(ROOT, "include/phkmalloc.h"), encoding="utf-8") as f:
        major = re.search(r'PHKMALLOC_VERSION "(\d+)\.', f.read())[1]
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    ok(len(needed) == 1 and re.match(r"libc\.", needed[0]), "it needs libc and nothing else",
       str(needed))
    ok(f"soname: [libphkmalloc.so.{major}]" in dynamic, "its name has the major version")
    ok("TEXTREL" not in dynamic, "it has no relocations in its code")
    segments = output("readelf", "-lW", so)
    ok("GNU_RELRO" in segments and "BIND_NOW" in dynamic, "its tables are sealed after loading")
    stack = re.search(r"GNU_STACK.*\n?", segments)
    ok(stack is not None and " RWE " not in stack.group(0), "its stack is not executable")


def main():
    so, static = os.environ.get("SO"), os.environ.get("A")
    if not so or not shutil.which("readelf") or not shutil.which("nm"):
        print("1..0 # SKIP needs SO, nm and readelf")
        return 0
    if sys.argv[1:] == ["--update"]:
        update(so)
        return 0
    exported = list(symbols(so))
    compare(exported, ("function", "object"), "the shared library exports exactly its list")
    tables(so)
    names = {re.split(r"[ @]", line)[1] for line in exported}
    if static:
        lines = output("nm", "--defined-only", "-g", static).splitlines()
        have = {line.split()[2] for line in lines if len(line.split()) == 3}
        names -= {"dlopen"}
        ok(have == names, "the static library defines the same names, but for dlopen",
           f"new: {sorted(have - names)}, gone: {sorted(names - have)}")
    promise = "prototypes and structures are those of the list"
    if shutil.which(CC[0]):
        compare(headers(), ("declared", "macro", "struct", "member"), promise)
    else:
        skip(promise, f"{CC[0]} is not installed")
    return done()


if __name__ == "__main__":
    sys.exit(main())
