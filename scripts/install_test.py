#!/usr/bin/env python3
"""Installs into a folder of its own, builds against what is there, and uninstalls, in TAP.

MAKE and CC are the ones to use. The folder stands in for / (DESTDIR), as packagers do it.
"""
import glob
import os
import re
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
# The header is for everybody, also for those whose compiler is strict.
STRICT = ["-O2", "-Wall", "-Wextra", "-Werror"]
# Names nothing of the library: a linker that is told to would leave it out.
SILENT = "int main(void) { return 0; }\n"
CMAKE = """
cmake_minimum_required(VERSION 3.13)
project(program C)
find_package(phkmalloc 1.0 REQUIRED)
add_link_options(LINKER:--as-needed)
foreach(source program silent)
	add_executable(${source} ${source}.c)
	target_link_libraries(${source} phkmalloc::phkmalloc)
	add_executable(${source}-static ${source}.c)
	target_link_libraries(${source}-static phkmalloc::static)
endforeach()
"""
VERSIONS = """
cmake_minimum_required(VERSION 3.13)
project(program C)
find_package(phkmalloc 2 QUIET)
if(phkmalloc_FOUND)
	message(FATAL_ERROR "a version that is none of those")
endif()
find_package(phkmalloc 1 REQUIRED)
"""


def call(argv, **options):
    """Whether a command succeeds, and its output; shows that when not."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=200,
                          stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        print(f"# {' '.join(argv)}: status {done.returncode}")
        print("# " + done.stdout.replace("\n", "\n# "))
    return done.returncode == 0, done.stdout


def environment(root):
    env = {name: value for name, value in os.environ.items()
           if name not in ("LD_PRELOAD", "MALLOC_OPTIONS", "DESTDIR")}
    env.update(PKG_CONFIG_LIBDIR=root + LIBDIR + "/pkgconfig", PKG_CONFIG_SYSROOT_DIR=root,
               CMAKE_PREFIX_PATH=root + PREFIX, phkmalloc_DIR=root + LIBDIR + "/cmake/phkmalloc")
    return env


def make(target, root):
    # SETUP=no: what is missing was installed before the tests, and names of packages are no matter.
    return call(MAKE + ["--no-print-directory", "SETUP=no", f"DESTDIR={root}", f"PREFIX={PREFIX}",
                        f"LIBDIR={LIBDIR}", target], cwd=ROOT)[0]


def files(root):
    return sorted(os.path.relpath(os.path.join(folder, name), root)
                  for folder, _, names in os.walk(root) for name in names)


def header_version():
    with open(os.path.join(ROOT, "include/phkmalloc.h"), encoding="utf-8") as f:
        return re.search(r'^#define PHKMALLOC_VERSION "(.*)"$', f.read(), re.MULTILINE)[1]


def installs(root):
    """Everything has its place, and nothing is there that was not meant to be."""
    full = header_version()
    major = full.split(".", maxsplit=1)[0]
    wanted = [f"{LIBDIR}/libphkmalloc.so{dot}" for dot in ("", "." + major, "." + full)]
    wanted += [LIBDIR + "/libphkmalloc.a"]
    wanted += [f"{LIBDIR}/pkgconfig/phkmalloc{kind}.pc" for kind in ("", "-static")]
    wanted += [f"{LIBDIR}/cmake/phkmalloc/phkmalloc-config{kind}.cmake"
               for kind in ("", "-version")]
    wanted += [f"{PREFIX}/include/{os.path.basename(path)}"
               for path in glob.glob(os.path.join(ROOT, "include/*.h"))]
    wanted += [f"{PREFIX}/share/man/man{page[-1]}/{os.path.basename(page)}"
               for page in glob.glob(os.path.join(ROOT, "man/*.[1-9]"))]
    wanted += [f"{PREFIX}/share/bash-completion/completions/phkmalloc",
               f"{PREFIX}/share/zsh/site-functions/_phkmalloc",
               f"{PREFIX}/share/fish/vendor_completions.d/phkmalloc.fish",
               f"{PREFIX}/share/gdb/auto-load{LIBDIR}/libphkmalloc.so.{full}-gdb.py"]
    good = make("install", root)
    have = {"/" + path for path in files(root)} - {PREFIX + "/bin/phkmalloc"}
    for path in sorted(set(wanted) - have):
        print(f"# {path} is not there")
    for path in sorted(have - set(wanted)):
        print(f"# {path} was not expected")
    for path in files(root):
        with open(os.path.join(root, path), "rb") as f:
            if b"@" in f.read() and path.endswith((".pc", ".cmake")):
                print(f"# {path} has something left to fill in")
                good = False
    return good and have == set(wanted)


def serves(program, env):
    """Runs a program, and by the library's own word finds whether it was there."""
    good, text = call([program], env=dict(env, MALLOC_OPTIONS="D"))
    if good and "phkmalloc statistics" not in text:
        print(f"# {program}: not served by the library")
    return good and "phkmalloc statistics" in text


def links(root, package, options):
    """Programs that ask pkg-config only, run on what is installed."""
    env = dict(environment(root), LD_LIBRARY_PATH=root + LIBDIR)
    good, flags = call(["pkg-config", "--cflags", "--libs", package], env=env)
    with tempfile.TemporaryDirectory() as folder:
        for text in (PROGRAM, SILENT):
            source, program = os.path.join(folder, "program.c"), os.path.join(folder, "program")
            with open(source, "w", encoding="utf-8") as f:
                f.write(text)
            line = CC + STRICT + options + [source, "-o", program] + shlex.split(flags)
            good = good and call(line, env=env)[0] and serves(program, env)
    return good


def version(root):
    """pkg-config and the header tell the same version."""
    good, told = call(["pkg-config", "--modversion", "phkmalloc", "phkmalloc-static"],
                      env=environment(root))
    return good and told.split() == [header_version()] * 2


def cmake(root):
    """A project that finds the package, and what it builds."""
    env = environment(root)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("CMakeLists.txt", CMAKE), ("program.c", PROGRAM),
                           ("silent.c", SILENT)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(text)
        build = os.path.join(folder, "build")
        good = call(["cmake", "-S", folder, "-B", build, f"-DCMAKE_C_COMPILER={CC[0]}"],
                    env=env)[0] and call(["cmake", "--build", build], env=env)[0]
        return good and all([serves(os.path.join(build, name + kind), env)
                             for name in ("program", "silent") for kind in ("", "-static")])


def cmake_versions(root):
    """Another major version is another package."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "CMakeLists.txt"), "w", encoding="utf-8") as f:
            f.write(VERSIONS)
        return call(["cmake", "-S", folder, "-B", folder, f"-DCMAKE_C_COMPILER={CC[0]}"],
                    env=environment(root))[0]


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
    (installs, "everything is installed in its place, and nothing else", None),
    (lambda root: links(root, "phkmalloc", ["-Wl,--as-needed"]),
     "programs find header and library by pkg-config, and have it also when they name nothing "
     "of it", "pkg-config"),
    (lambda root: links(root, "phkmalloc", ["-static"]), "so do those linked statically",
     "pkg-config"),
    (lambda root: links(root, "phkmalloc-static", []), "and those that take the archive only",
     "pkg-config"),
    (version, "pkg-config tells the header's version", "pkg-config"),
    (cmake, "CMake finds the package; both of its libraries serve programs", "cmake"),
    (cmake_versions, "CMake is not given another major version", "cmake"),
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
