#!/usr/bin/env python3
"""Installs into a folder of its own, builds against what is there, and uninstalls, in TAP.

MAKE and CC are the ones to use. The folder stands in for / (DESTDIR), as packagers do it.
"""
import glob
import os
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
MAKE = shlex.split(os.environ.get("MAKE") or "make")
CC = shlex.split(os.environ.get("CC") or "cc")
PREFIX = "/opt/phkmalloc"
LIBDIR = PREFIX + "/lib/machine"
PROGRAM = """
#include <phkmalloc.h>
#include <stdlib.h>
int main(void) { void *p = malloc(100); int mine = phkmalloc_owns(p); free(p); return !mine; }
"""


def call(argv, **options):
    """Whether a command succeeds; shows what it said when not."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=100,
                          stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        print(f"# {' '.join(argv)}: status {done.returncode}")
        print("# " + done.stdout.replace("\n", "\n# "))
    return done.returncode == 0, done.stdout


def make(target, root):
    # SETUP=no: what is missing was installed before the tests, and names of packages are no matter.
    return call(MAKE + ["--no-print-directory", "SETUP=no", f"DESTDIR={root}", f"PREFIX={PREFIX}",
                        f"LIBDIR={LIBDIR}", target], cwd=ROOT)[0]


def files(root):
    return sorted(os.path.relpath(os.path.join(folder, name), root)
                  for folder, _, names in os.walk(root) for name in names)


def installs(root):
    """Everything has its place."""
    wanted = [LIBDIR + "/libphkmalloc.so", LIBDIR + "/libphkmalloc.a",
              LIBDIR + "/pkgconfig/phkmalloc.pc", PREFIX + "/include/phkmalloc.h",
              PREFIX + "/include/phkmalloc_inspect.h"]
    wanted += [f"{PREFIX}/share/man/man{page[-1]}/{os.path.basename(page)}"
               for page in glob.glob(os.path.join(ROOT, "man/*.[1-9]"))]
    good = make("install", root)
    for path in wanted:
        if not os.path.isfile(root + path):
            print(f"# {path} is not there")
            good = False
    return good


def links(root, static):
    """A program that asks pkg-config only, run on what is installed."""
    source = os.path.join(root, "program.c")
    with open(source, "w", encoding="utf-8") as f:
        f.write(PROGRAM)
    env = {name: value for name, value in os.environ.items()
           if name not in ("LD_PRELOAD", "MALLOC_OPTIONS")}
    env.update(PKG_CONFIG_LIBDIR=root + LIBDIR + "/pkgconfig", PKG_CONFIG_SYSROOT_DIR=root,
               LD_LIBRARY_PATH=root + LIBDIR)
    good, flags = call(["pkg-config", "--cflags", "--libs", "phkmalloc"], env=env)
    program = os.path.join(root, "program")
    extra = ["-static"] if static else []
    good = good and call(CC + extra + [source, "-o", program] + shlex.split(flags), env=env)[0]
    good = good and call([program], env=env)[0]
    for path in (source, program):
        if os.path.exists(path):
            os.remove(path)
    return good


def version(root):
    """pkg-config and the header tell the same version."""
    env = dict(os.environ, PKG_CONFIG_LIBDIR=root + LIBDIR + "/pkgconfig")
    good, told = call(["pkg-config", "--modversion", "phkmalloc"], env=env)
    with open(root + PREFIX + "/include/phkmalloc.h", encoding="utf-8") as f:
        return good and f'#define PHKMALLOC_VERSION "{told.strip()}"\n' in f.readlines()


def uninstalls(root):
    """Nothing is left of it, and what was there before stays."""
    other = root + LIBDIR + "/other.so"
    with open(other, "w", encoding="utf-8"):
        pass
    good = make("uninstall", root)
    left = files(root)
    for path in left:
        print("# left:", path)
    return good and left == [os.path.relpath(other, root)]


TESTS = [
    (installs, "everything is installed in its place", None),
    (lambda root: links(root, False), "a program finds header and library by pkg-config",
     "pkg-config"),
    (lambda root: links(root, True), "so does one that is linked statically", "pkg-config"),
    (version, "pkg-config tells the header's version", "pkg-config"),
    (uninstalls, "nothing is left when it is uninstalled, and nothing else goes", None),
]


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        print(f"1..{len(TESTS)}")
        for number, (test, what, tool) in enumerate(TESTS, 1):
            if tool is not None and shutil.which(tool) is None:
                print(f"ok {number} - {what} # SKIP {tool} is not installed")
                continue
            good = test(root)
            print(f"{'' if good else 'not '}ok {number} - {what}", flush=True)
            failed += not good
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
