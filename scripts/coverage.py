#!/usr/bin/env python3
"""Builds the library so that it counts, runs its tests on it, and tells what was reached.

    coverage.py [TEST...]      tests other than all; FLAGS and MAKE are in the environment

Prints a row for each file of src/: lines and branches, and how many of them no test reached. The
lines themselves are left in build/coverage/lines.txt, with the text of each.
"""
import glob
import json
import os
import shutil
import subprocess
import sys

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
B = "build/coverage"
SCRIPTS = ("test/api", "test/life", "test/misuse", "test/memory", "test/real", "test/trace",
           "tools/test")
LEFT_OUT = ("suites.py", "common.py")  # other people's tests, which take long; no test
# Programs that those of the command and of traces want.
HELPERS = ("phkmalloc", "test/trace/subject", "test/trace/objects", "tools/heap", "tools/stacks",
           "tools/corrupt")


def tool(name):
    """llvm-cov and llvm-profdata, by the name they have here."""
    found = [shutil.which(name)] + sorted(glob.glob(f"/usr/lib/llvm-*/bin/{name}"))
    found = [f for f in found if f]
    if not found:
        sys.exit(f"coverage: {name} is missing; it is in the package llvm")
    return found[-1]


def make(*targets):
    env = dict(os.environ, LLVM_PROFILE_FILE=os.path.join(TOP, B, "counters-%m%c.profraw"))
    return subprocess.run([os.environ.get("MAKE", "make"), "-s", "-k", "-C", TOP, "SETUP=no",
                           "CC=clang", "CXX=clang++", f"B={B}", "CFLAGS=-O1 -g",
                           f"LIB_MORE={os.environ['FLAGS']}",
                           "LDFLAGS=-fprofile-instr-generate", *targets],
                          env=env, check=False, stdin=subprocess.DEVNULL).returncode


def programs(folder):
    return sorted(f for f in glob.glob(os.path.join(TOP, B, folder, "*"))
                  if os.access(f, os.X_OK) and os.path.isfile(f) and ".so" not in f)


def run(tests):
    """The tests of the inner modules have the library in them, the others get it preloaded."""
    env = dict(os.environ, LLVM_PROFILE_FILE=os.path.join(TOP, B, "counters-%m%c.profraw"),
               TOOL=os.path.join(TOP, B, "phkmalloc"), HEAP=os.path.join(TOP, B, "tools/heap"),
               SUBJECTS=os.path.join(TOP, B, "test/trace"),
               STACKS=os.path.join(TOP, B, "tools/stacks"),
               CORRUPT=os.path.join(TOP, B, "tools/corrupt"))
    runner = [os.path.join(TOP, "test", "run.py"), "--limit", "900"]
    if not tests:
        inner = programs("test/unit") + [os.path.join(TOP, B, "test/fault/fault")]
        subprocess.run(runner + inner, env=env, check=False)
        tests = [f for d in ("api", "misuse", "memory", "property", "stress", "attack", "life")
                 for f in programs(f"test/{d}")]
        tests += [os.path.join(TOP, B, "test/fault/seccomp")]
        tests += [f for d in SCRIPTS for f in sorted(glob.glob(f"{TOP}/{d}/*.py"))
                  if os.path.basename(f) not in LEFT_OUT]
    subprocess.run(runner + ["--preload", os.path.join(TOP, B, "libphkmalloc.so"), *tests],
                   env=env, check=False)


def report(objects):
    merged = os.path.join(TOP, B, "all.profdata")
    raw = glob.glob(os.path.join(TOP, B, "counters-*.profraw"))
    subprocess.run([tool("llvm-profdata"), "merge", "-sparse", "-o", merged, *raw], check=True)
    more = [x for o in objects[1:] for x in ("-object", o)]
    text = subprocess.run([tool("llvm-cov"), "export", "-instr-profile", merged, objects[0], *more],
                          capture_output=True, check=True, cwd=TOP).stdout
    return json.loads(text)["data"][0]


def unreached(file):
    """The lines of a file with code that was never run."""
    lines, count, has = {}, 0, False
    segments = {}
    for line, _, n, counted, *_ in file["segments"]:
        segments.setdefault(line, []).append((n, counted))
    total = max(segments, default=0)
    for line in range(1, total + 1):
        best = count if has else None
        for n, counted in segments.get(line, ()):
            if counted:
                best = n if best is None else max(best, n)
            count, has = n, counted
        if best is not None:
            lines[line] = best
    return [line for line, n in lines.items() if n == 0]


def main():
    os.makedirs(os.path.join(TOP, B), exist_ok=True)
    for old in glob.glob(os.path.join(TOP, B, "counters-*.profraw")):
        os.remove(old)
    if make("all") != 0:
        sys.exit("coverage: the library could not be built")
    # Programs linked with the archive would want the counters' runtime: they are left out.
    make("unit-tests", "public-tests", *(f"{B}/{h}" for h in HELPERS))
    run(sys.argv[1:])
    objects = [os.path.join(TOP, B, "libphkmalloc.so")] + programs("test/unit") + [
        os.path.join(TOP, B, "test/fault/fault")]
    data = report(objects)
    with open(os.path.join(TOP, B, "lines.txt"), "w", encoding="utf-8") as out:
        for file in data["files"]:
            name = os.path.relpath(file["filename"], TOP)
            if not name.startswith("src/"):
                continue
            s = file["summary"]
            print(f"{name:28} lines {s['lines']['percent']:6.1f} % of {s['lines']['count']:4}   "
                  f"branches {s['branches']['percent']:6.1f} % of {s['branches']['count']:4}")
            with open(file["filename"], encoding="utf-8") as f:
                text = f.read().splitlines()
            for line in unreached(file):
                if line <= len(text):
                    out.write(f"{name}:{line}: {text[line - 1]}\n")
    mine = [f["summary"] for f in data["files"]
            if os.path.relpath(f["filename"], TOP).startswith("src/")]
    for what in ("lines", "branches", "functions"):
        covered = sum(s[what]["covered"] for s in mine)
        count = sum(s[what]["count"] for s in mine)
        print(f"{what}: {covered} of {count}, {100 * covered / count:.1f} %")


if __name__ == "__main__":
    main()
