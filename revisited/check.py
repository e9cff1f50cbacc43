#!/usr/bin/env python3
"""Tests of the comparison itself, at a size that takes seconds: TAP. B is the build folder.

What is tested: every allocator runs every workload and is the one that was named; the figures add
up; what the design promises holds at this size already; the document has a place for every table;
nothing is left of the memory pressure. What only root can do is skipped with its reason.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
import experiments
import plot
import pressure
import report
import subjects

BUILD = os.path.abspath(os.environ.get("B", "build"))
SCALE = 0.06
FOLDER = tempfile.mkdtemp(prefix="check-", dir=BUILD + "/revisited")
SWAP = FOLDER + "/swap"
counts = [0, 0, 0]


def check(ok, what, detail=""):
    print("%s %d - %s" % ("ok" if ok else "not ok", sum(counts) + 1, what))
    counts[0 if ok else 1] += 1
    if not ok and detail:
        print("# %s" % (detail,))


def skip(what, why):
    print("ok %d - %s # SKIP %s" % (sum(counts) + 1, what, why))
    counts[2] += 1


def failures(rows):
    return {(label, name): f["failed"] for label, found in rows for name, f in found.items()
            if "failed" in f}


def check_waste(part):
    rows = part["sizes"] + part["mixes"]
    check(not failures(rows), "every allocator fills, frees and fills again", failures(rows))
    low = [(label, name) for label, found in rows for name, f in found.items()
           if "failed" not in f and (f["full_memory"] < f["full_live"]
                                     or f["full_space"] < f["full_live"])]
    check(not low, "nobody takes less than was asked for", low)
    kingsley = {size: found["kingsley"] for size, found in part["sizes"]}
    ratio = kingsley[64]["full_memory"] / kingsley[64]["full_live"]
    check(1.9 < ratio < 2.1, "4.2BSD's allocator takes twice 64 bytes, as is known of it", ratio)


def check_pages(part):
    if "skipped" in part:
        skip("pages referenced", part["skipped"])
        return
    label, found = part["rows"][1]
    ours, old = found["phkmalloc"]["free_pages"], found["kingsley"]["free_pages"]
    check(ours * 5 < old, "%s: phkmalloc references a fifth of the pages or less" % label,
          (ours, old))


def check_rattle(part):
    if "skipped" in part:
        skip("faults under pressure", part["skipped"])
        return
    for label, found in part["rows"]:
        f = found["phkmalloc"]
        check("failed" not in f and f["free_major_most"] < 100,
              "phkmalloc, %s: under 100 major faults" % label, f)
    faults = [found["kingsley"].get("free_major", found["kingsley"].get("major", 0))
              for _, found in part["rows"]]
    check(max(faults) > 100, "the pressure is felt at all", faults)


def is_clean(path, cluster):
    return (path not in pressure.read("/proc/swaps") and not os.path.exists(path)
            and pressure.read(pressure.CLUSTER) == cluster)


def check_clean(reason):
    """After the block, and after a signal in the middle of it."""
    if reason:
        skip("nothing stays after a signal", reason)
        return
    cluster = pressure.read(pressure.CLUSTER)
    code = ("import sys, time; sys.path.insert(0, %r); import pressure\n"
            "with pressure.Pressure(%r, 8 << 20):\n"
            "    print('in', flush=True); time.sleep(30)\n"
            % (os.path.dirname(os.path.abspath(__file__)), SWAP))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as p:
        p.stdout.readline()
        there = SWAP in pressure.read("/proc/swaps")
        p.send_signal(signal.SIGTERM)
        p.wait(20)
        left = os.path.exists("%s/%s%d" % (pressure.controllers()[0], pressure.PREFIX, p.pid))
    check(there and is_clean(SWAP, cluster) and not left, "nothing stays after a signal",
          (there, left))


def check_game(part):
    failed = {n: e["failed"] for n, e in part["ends"].items() if "failed" in e}
    check(not failed, "every allocator runs the game server", failed)
    curves = {tuple((s[0], s[1], s[2]) for s in c) for c in part["curves"].values()}
    check(len(curves) == 1, "the game is the same under every allocator")


def check_document(results):
    blocks = report.blocks(results)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../doc/revisited.md")
    with open(path, encoding="utf-8") as f:
        places = set(re.findall(r"<!-- /([a-z-]+) -->", f.read()))
    check(set(blocks) == places, "the document has a place for each table",
          set(blocks) ^ places)
    plot.all_of(results, FOLDER + "/plots")
    drawn = os.listdir(FOLDER + "/plots")
    check("waste.svg" in drawn and "game.svg" in drawn, "the plots are drawn", drawn)


def main():
    start = time.monotonic()
    here, missing = subjects.find(BUILD)
    for name, why in missing.items():
        skip(name, why)
    bench = experiments.Bench(BUILD, here, 1, 10, SCALE, lambda _: None)
    results = {"machine": {"cpu": "", "cpus": 1, "gib": 1, "kernel": "", "versions": {}},
               "rounds": {"rattle": 1}}
    results["waste"] = experiments.waste(bench)
    check_waste(results["waste"])
    results["pages"] = experiments.pages(bench)
    check_pages(results["pages"])
    results["rattle"] = experiments.rattle(bench, SWAP)
    check_rattle(results["rattle"])
    check_clean(results["rattle"].get("skipped"))
    results["game"] = experiments.game(bench)
    check_game(results["game"])
    check_document(results)
    print("1..%d" % sum(counts))
    print("# %.0f s" % (time.monotonic() - start))
    subprocess.run(["rm", "-r", FOLDER], check=True)
    print("%d passed, %d failed, %d skipped" % tuple(counts))
    return counts[1] != 0


if __name__ == "__main__":
    sys.exit(main())
