#!/usr/bin/env python3
"""Parts of python3's own test suite (in Debian 12 libpython3.11-testsuite), with the library
preloaded and every object allocated by it. What fails without it too says nothing about it."""
import os
import re
import subprocess
import sys
import tempfile

PYTHON = "/usr/bin/python3"
LIMIT = 300
MODULES = """
test_list test_dict test_set test_tuple test_deque test_bytes test_array test_memoryview test_struct
test_gc test_weakref test_json test_re test_long test_thread test_threading test_threadsignals
test_fork1 test_queue test_zlib test_lzma test_bz2 test_hashlib
test_generators test_itertools test_collections test_heapq test_mmap test_pickle test_csv
test_contextlib test_sqlite3 test_ctypes
""".split()


def run(module, work, so):
    """Exit status and output of one module; None when it does not end."""
    env = dict(os.environ, PYTHONMALLOC="malloc", HOME=work)
    if so:
        env["LD_PRELOAD"] = so
    argv = [PYTHON, "-m", "test", "--timeout", str(LIMIT), module]
    try:
        done = subprocess.run(argv, cwd=work, env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT,
                              check=False)
        return done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as error:
        return None, (error.stdout or b"").decode(errors="replace")


def exists(module):
    code = f"import importlib.util as u; raise SystemExit(u.find_spec('test.{module}') is None)"
    done = subprocess.run([PYTHON, "-c", code], stderr=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def main():
    so = os.environ.get("SO")
    if not so or not os.path.exists(PYTHON):
        print("1..0 # SKIP needs SO and " + PYTHON)
        return 0
    if not exists("test_list"):
        print("1..0 # SKIP python3's test suite is not installed, as libpython3.11-testsuite")
        return 0
    failed = 0
    modules = [module for module in MODULES if exists(module)]
    with tempfile.TemporaryDirectory() as work:
        for no, module in enumerate(modules, 1):
            promise = f"python3's {module}"
            status, output = run(module, work, so)
            if status == 0:
                # Of no test at all it says the same as of many.
                print(f"ok {no} - {promise}", flush=True)
                continue
            if re.search(r"^1 test skipped", output, re.MULTILINE):
                print(f"ok {no} - {promise} # SKIP it skips itself", flush=True)
                continue
            alone, _ = run(module, work, None)
            if alone != 0:
                print(f"ok {no} - {promise} # SKIP it fails without the library too", flush=True)
                continue
            failed += 1
            print(f"not ok {no} - {promise}", flush=True)
            print("".join(f"# {line}\n" for line in output[-4000:].splitlines()), end="")
    print(f"1..{len(modules)}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
