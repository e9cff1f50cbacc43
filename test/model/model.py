#!/usr/bin/env python3
"""Checks the model of pages between threads with spin: all interleavings, then broken ones.

The first half are sizes in which no interleaving may break a promise; with LONG=yes in the
environment also larger ones, which take minutes and some GB of memory. The second half breaks
the order of two steps at a time, and the model must notice.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LONG = bool(os.environ.get("LONG"))

SIZES = [
    ("two threads free and end in any order", "NT=2"),
    ("three threads free and end in any order", "NT=3"),
    ("two pages wait in one inbox", "NT=2 NP=2 FILLED=2"),
    ("two threads, with allocation and adoption", "NT=2 ALLOCS=1"),
    ("two classes, two inboxes each", "NT=2 NCLASS=2 ALLOCS=1"),
    ("an empty page is kept, and used for either class", "NT=2 NCLASS=2 ALLOCS=1 SPARES=1"),
    ("others give back what an owner keeps", "NT=2 ALLOCS=1 SPARES=1 DECAYS=1"),
    ("memory goes back while the page is used", "NT=2 ALLOCS=1 PURGES=1"),
    ("memory goes back while the page is kept", "NT=2 ALLOCS=1 PURGES=1 SPARES=1"),
    ("the same where plain stores are seen late", "NT=2 ALLOCS=1 PURGES=1 LAG=1"),
    ("a chunk freed by two threads is reported once", "NT=2 DOUBLE=1"),
    ("a chunk freed by three threads is reported twice", "NT=3 DOUBLE=1"),
]
LONG_SIZES = [
    ("three threads, with allocation and adoption", "NT=3 ALLOCS=1"),
    ("two threads and two pages, three allocations", "NT=2 NP=2 ALLOCS=3"),
    ("two allocations, where plain stores are seen late", "NT=2 ALLOCS=2 PURGES=1 LAG=1"),
    ("three threads, and memory goes back", "NT=3 PURGES=1"),
    ("three threads, allocation, and memory goes back", "NT=3 ALLOCS=1 PURGES=1"),
    ("three threads and two pages", "NT=3 NP=2 FILLED=2"),
    ("three threads, two classes, a page that is kept", "NT=3 NCLASS=2 ALLOCS=1 SPARES=1"),
    ("two pages of two classes, kept and given back",
     "NT=2 NP=2 NCLASS=2 FILLED=2 ALLOCS=1 SPARES=1 DECAYS=1"),
    ("kept, given back, memory gone, seen late",
     "NT=2 NCLASS=2 ALLOCS=1 PURGES=1 SPARES=1 DECAYS=1 LAG=1"),
]
# What is broken, in a size that shows it.
BROKEN = [
    ("READ_REMOTE_FIRST", "NT=2"),
    ("CLAIM_FIRST", "NT=2"),
    ("DRAIN_FIRST", "NT=2"),
    ("RELEASE_BLINDLY", "NT=2"),
    ("TRANSFER_BLINDLY", "NT=3 ALLOCS=1"),
    ("NEXT_LATER", "NT=2 NP=2 FILLED=2"),
    ("PURGE_LOOKS_FIRST", "NT=2 ALLOCS=1 PURGES=1"),
    ("CURRENT_LOOKS_FIRST", "NT=2 ALLOCS=1 PURGES=1"),
    ("STATE_OVERTAKES", "NT=2 ALLOCS=2 PURGES=1 LAG=1"),
    ("COLLECT_TRUSTS", "NT=2 DOUBLE=1"),
    ("PUSH_LOOKS_FIRST", "NT=2"),
    ("ADOPT_UNLOCKED", "NT=2"),
    ("PUSHED_CLEARED_LATER", "NT=2 NCLASS=2 ALLOCS=2"),
    ("PUSHED_SAID_FIRST", "NT=2 NCLASS=2 ALLOCS=2"),
    ("SPARE_USED_BLINDLY", "NT=2 NCLASS=2 ALLOCS=1 SPARES=1"),
    ("SPARE_GIVEN_BLINDLY", "NT=2 ALLOCS=1 SPARES=1 DECAYS=1"),
    ("SPARE_STATE_LATER", "NT=2 ALLOCS=1 SPARES=1 DECAYS=1"),
    ("SPARE_FORGOTTEN", "NT=2 ALLOCS=1 SPARES=1"),
    ("SPARES_STAY", "NT=2 ALLOCS=1 SPARES=1"),
    ("DRAIN_ONE", "NT=2 NCLASS=2 ALLOCS=1"),
    ("REUSED_AS_IS", "NT=2 NCLASS=2 ALLOCS=1 SPARES=1"),
]


def run(argv, cwd, env=None):
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def compiled(defines, folder):
    """The search program for a number of threads and pages; made once."""
    defines = [d for d in defines if d.split("=")[0] in ("NT", "NP", "NCLASS", "LAG")]
    name = "-".join(["pan", *defines])
    if not os.path.exists(os.path.join(folder, name)):
        made = run(["spin", "-a", *[f"-D{d}" for d in defines], os.path.join(HERE, "heap.pml")],
                   folder)
        if made.returncode != 0 or "Error" in made.stdout:
            raise RuntimeError(f"spin: {made.stdout}{made.stderr}")
        # For seconds of search it is not worth optimising for many.
        made = run(["cc", "-O1" if LONG else "-O0", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", name,
                    "pan.c"], folder)
        if made.returncode != 0:
            raise RuntimeError(made.stderr)
    return os.path.join(folder, name)


def search(defines, folder):
    """Explores one size: what was broken ("" for nothing) and how many states there were."""
    program = compiled(defines.split(), folder)
    out = run([program, "-m4000000", "-w24", "-n"], folder, dict(
        os.environ, **dict(d.split("=") for d in defines.split()))).stdout
    states = re.search(r"^ *([\d.e+]+) states, stored", out, re.MULTILINE)
    errors = re.search(r"errors: (\d+)", out)
    broken = re.findall(r"^pan:\d+: (.*)$", out, re.MULTILINE)
    # A search that did not come to its end has shown nothing.
    whole = states and errors and "not completed" not in out and "max search depth" not in out
    if not broken and not (whole and errors[1] == "0"):
        broken = [f"the search did not end: {out[-500:]}"]
    return "; ".join(broken), int(float(states[1])) if states else 0


def main():
    if not shutil.which("spin"):
        print("1..0 # SKIP spin is not installed")
        return 0
    numbers = dict(re.findall(r"#define (\w+) (\d+) +/\*",
                              open(os.path.join(HERE, "heap.pml"), encoding="utf-8").read()))
    count = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for promise, defines in SIZES + (LONG_SIZES if LONG else []):
            broken, states = search(defines, folder)
            count += 1
            failed += bool(broken)
            print(f"{'not ' if broken else ''}ok {count} - {promise}: {states} states", flush=True)
            for line in broken.splitlines():
                print("#", line)
        for name, defines in BROKEN:
            broken, _ = search(f"{defines} BREAK={numbers[name]}", folder)
            seen = broken.startswith(("assertion violated", "invalid end state"))
            count += 1
            failed += not seen
            print(f"{'' if seen else 'not '}ok {count} - {name} is noticed: {broken[:90]}",
                  flush=True)
    print(f"1..{count}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
