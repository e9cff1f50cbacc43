#!/usr/bin/env python3
"""Reads the C and C++ with compilers and analysers, in TAP: lint.py [TOOL...], all without one.

The environment has the flags that each folder is compiled with: LINT_src, LINT_classic, and so on;
one without flags is left out. clang is also tried as the newest that Debian has. What clang-tidy
looks for is in .clang-tidy. A file that no line of the table below takes is a fault, too.
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
FOLDERS = {"src": ("src/*/*.c", "src/*/*.cc"), "classic": ("classic/*.c", "classic/test/*.c"),
           "tools": ("tools/*.c", "tools/replay/*.c"), "tools_test": ("tools/test/*.c",),
           "bench": ("bench/*.c", "test/bench/*.c"), "revisited": ("revisited/*.c",),
           "unit": ("test/unit/*.c", "test/fault/*.c"), "fuzz": ("test/fuzz/*.c",),
           "test": ("test/api/*.c", "test/api/*.cc", "test/attack/*.c", "test/life/*.c",
                    "test/misuse/*.c", "test/memory/*.c", "test/port/*.c", "test/property/*.c",
                    "test/stress/*.c", "test/trace/*.c", "test/trace/*.cc",
                    "test/soak/*.c")}
NEWEST = "clang-19"
# A tool of valgrind's, built with its headers; what a benchmark has the compiler read.
ELSEWHERE = ("revisited/lru.c", "bench/real/templates.cc")
# Tests do on purpose what analysers look for.
MISUSE = ("arrayIndexOutOfBounds", "negativeIndex", "memleak", "memleakOnRealloc",
          "leakReturnValNotUsed", "leakNoVarFunctionCall", "ignoredReturnValue", "doubleFree",
          "deallocret", "invalidFree", "uninitdata", "autovarInvalidDeallocation", "deallocuse",
          "nullPointer", "nullPointerRedundantCheck", "nullPointerOutOfMemory",
          "nullPointerOutOfResources", "nullPointerArithmeticOutOfMemory",
          "ctunullpointerOutOfMemory", "returnDanglingLifetime")
CPPCHECK = ["cppcheck", "--quiet", "--std=c11", "--enable=warning,performance,portability",
            "--inline-suppr", "--suppress=missingIncludeSystem", "--template=gcc",
            # Compilers know that better, and build/ has what others generate.
            "--suppress=invalidPrintfArgType_uint", "--suppress=*:build/*",
            # It says how thorough it was.
            "--suppress=normalCheckLevelMaxBranches",
            # Newer ones stumble over __has_include and over registers by name.
            "--suppress=preprocessorErrorDirective:bench/insn.c",
            "--suppress=syntaxError:revisited/lru_test.c",
            # It does not know the word.
            "-D_Noreturn=__attribute__((noreturn))"]
# The same; programs that soon end free nothing, and some look at what is inside of a file.
TIDY_LESS = ("-clang-analyzer-*,-bugprone-implicit-widening-of-multiplication-result,"
             "-bugprone-signal-handler,-bugprone-suspicious-include,"
             "-bugprone-suspicious-realloc-usage,-bugprone-unsafe-functions,"
             "-bugprone-suspicious-memory-comparison,-performance-inefficient-vector-operation")


def units():
    """Each C file with its flags."""
    for name, patterns in FOLDERS.items():
        flags = shlex.split(os.environ.get("LINT_" + name, ""))
        # Words of the preprocessor and of warnings are what matters here, and -O for the latter.
        flags = [f for f in flags if not f.startswith("-fsanitize")]
        if flags:
            for pattern in patterns:
                yield from ((path, flags) for path in sorted(glob.glob(pattern))
                            if path not in ELSEWHERE)


def preprocessor(flags):
    return [f for f in flags if re.match(r"-[DI]", f)]


def command(tool, path, flags):
    if tool == "cppcheck":
        suppress = [f"--suppress={name}" for name in MISUSE
                    if re.search("test/|^bench/|^revisited/", path)]
        return CPPCHECK + suppress + ["-D__x86_64__", "-D__linux__", *preprocessor(flags), path]
    if path.endswith(".cc"):
        flags = [f for f in flags if not re.match("-std=|-Wstrict-proto|-Wmissing-proto", f)]
        flags += ["-std=gnu++17", "-fsized-deallocation"]
    if tool == "clang-tidy":
        standard = [f for f in flags if re.match("-std=|-fsized", f)]
        less = [f"--checks={TIDY_LESS}"] if re.search("test/|^bench/|^revisited/", path) else []
        return ["clang-tidy", "--quiet", *less, path, "--", *standard, *preprocessor(flags)]
    return [tool, "-Wno-unknown-warning-option", *flags, "-fsyntax-only", path]


def faults(tool, job):
    """What a tool says of one file, or that it could not read it."""
    done = subprocess.run(command(tool, *job), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False)
    found = [match[0] for match in FAULT.findall(done.stdout)]
    if done.returncode != 0 and not found:
        found.append(f"{job[0]}: {tool} ended with status {done.returncode}")
    return [fault.replace(os.getcwd() + "/", "") for fault in found]


def forgotten():
    """Files in the tree that the table does not have."""
    patterns = sum(FOLDERS.values(), ())
    return [path for path in sorted(glob.glob("**/*.c", recursive=True) +
                                    glob.glob("**/*.cc", recursive=True))
            if not path.startswith("build/") and path not in ELSEWHERE
            and not any(path in glob.glob(pattern) for pattern in patterns)]


def main():
    tools = sys.argv[1:] or ("gcc", "clang", NEWEST, "cppcheck", "clang-tidy")
    jobs = list(units())
    left = forgotten()
    failed = bool(left)
    print(f"1..{len(tools) + 1}")
    for path in left:
        print("#", path)
    print(f"{'not ' if left else ''}ok 1 - every file of C and C++ is read")
    for number, tool in enumerate(tools, 2):
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
