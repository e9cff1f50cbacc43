#!/usr/bin/env python3
"""Reads the C with compilers and analysers, in TAP: gcc, clang, cppcheck, clang-tidy.

The environment has the flags that each folder is compiled with: LINT_src, LINT_classic, LINT_tools;
one without flags is left out. What clang-tidy looks for is in .clang-tidy.
"""
import concurrent.futures
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

FAULT = re.compile(r"^(\S+?:\d+:(\d+:)? (fatal error|warning|error|portability|performance|style):"
                   r".*)$", re.MULTILINE)
FOLDERS = {"src": "src/*/*.c", "classic": "classic/*.c", "tools": "tools/*.c"}
CPPCHECK = ["cppcheck", "--quiet", "--std=c11", "--enable=warning,performance,portability",
            "--inline-suppr", "--suppress=missingIncludeSystem", "--template=gcc"]


def units():
    """Each C file with its flags."""
    for name, pattern in FOLDERS.items():
        flags = shlex.split(os.environ.get("LINT_" + name, ""))
        # Words of the preprocessor and of warnings are what matters here, and -O for the latter.
        flags = [f for f in flags if not f.startswith("-fsanitize")]
        if flags:
            yield from ((path, flags) for path in sorted(glob.glob(pattern)))


def preprocessor(flags):
    return [f for f in flags if re.match(r"-[DI]", f)]


def command(tool, path, flags):
    if tool == "cppcheck":
        return CPPCHECK + ["-D__x86_64__", "-D__linux__", *preprocessor(flags), path]
    if tool == "clang-tidy":
        return ["clang-tidy", "--quiet", path, "--", "-std=gnu17", *preprocessor(flags)]
    return [tool, *flags, "-fsyntax-only", path]


def faults(tool, job):
    """What a tool says of one file, or that it could not read it."""
    done = subprocess.run(command(tool, *job), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False)
    found = [match[0] for match in FAULT.findall(done.stdout)]
    if done.returncode != 0 and not found:
        found.append(f"{job[0]}: {tool} ended with status {done.returncode}")
    return [fault.replace(os.getcwd() + "/", "") for fault in found]


def main():
    tools = ("gcc", "clang", "cppcheck", "clang-tidy")
    jobs = list(units())
    failed = 0
    print(f"1..{len(tools)}")
    for number, tool in enumerate(tools, 1):
        what = f"{tool} has nothing to say of {len(jobs)} files"
        if shutil.which(tool) is None:
            print(f"ok {number} - {what} # SKIP {tool} is not installed")
            continue
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            found = sorted(set(sum(pool.map(lambda job, tool=tool: faults(tool, job), jobs), [])))
        for fault in found:
            print("#", fault)
        print(f"{'not ' if found or not jobs else ''}ok {number} - {what}", flush=True)
        failed += bool(found) or not jobs
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
