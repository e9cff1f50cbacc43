#!/usr/bin/env python3
"""Tests of the comparison itself, at a size that takes seconds: TAP. B is the build folder.

What is tested: every allocator runs every workload and is the one that was named; the figures add
up; today's phkmalloc has under 100 major faults in every row of the death rattle, at full size;
the document has a place for every table; nothing is left of the memory pressure, however a run
ends, and where there can be none the reason is the right one. What only root can do is skipped
with its reason.
"""

import atexit
import os
import re
import shutil
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
import traces

BUILD = os.path.abspath(os.environ.get("B", "build"))
SCALE = 0.06
FOLDER = tempfile.mkdtemp(prefix="check-", dir=BUILD + "/revisited")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
SWAP = FOLDER + "/swap"
IN_ORDER = [row for row in experiments.RATTLE if row[0] in
            ("16-64 B, all", "200-1000 B, all", "4-16 KB, all")]
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
            if f["bad"]}


def check_waste(part):
    rows = part["sizes"] + part["mixes"]
    check(not failures(rows), "every allocator fills, frees and fills again", failures(rows))
    # Some have touched memory before the program starts, which it then has for nothing.
    low = [(label, name) for label, found in rows for name, f in found.items()
           if min(f.get("full_memory", 0), f.get("full_space", 0)) + (256 << 10)
           < f.get("full_live", 0)]
    check(not low, "nobody takes less than was asked for", low)
    kingsley = {size: found["kingsley"] for size, found in part["sizes"]}
    ratio = kingsley[256]["full_memory"] / kingsley[256]["full_live"]
    check(1.9 < ratio < 2.1, "4.2BSD's allocator takes twice 256 bytes, as is known of it", ratio)


def check_pages(part):
    if "skipped" in part:
        skip("pages referenced", part["skipped"])
        return
    for label, found in part["rows"]:
        ours, old = found["phkmalloc"]["free_pages"], found["kingsley"]["free_pages"]
        check(ours * 2 < old, "%s: phkmalloc references half of the pages or less" % label,
              (ours, old))


def check_unreferenced(bench):
    """Where the kernel does not clear its bits, or cannot, that is found and said."""
    cases = (("does not clear", "/dev/null", "not exact"), ("cannot clear", "/dev/full", "has no"))
    for what, instead, words in cases:
        what = "pages referenced: a kernel that %s its bits is found" % what
        command = ["unshare", "-m", "sh", "-c",
                   "mount --bind %s /proc/$$/clear_refs && exec \"$@\"" % instead, "sh",
                   bench.program("rattle"), "16", "64", "100", "in-order", "1", "1", "own", "4"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            skip(what, (done.stderr.strip().split("\n") or ["?"])[-1])
            continue
        found = {"rattle": subjects.parse(done.stdout)}
        check(words in (experiments.unreferenced(found) or ""), what, done.stdout)


def check_rattle(part, old):
    if "skipped" in part:
        skip("faults under pressure", part["skipped"])
        return
    for label, found in part["rows"]:
        f = found["phkmalloc"]
        check(not f["bad"] and f["free_major_most"] < 100,
              "phkmalloc, %s: under 100 major faults" % label, f)
    for label, found in old["rows"]:
        f = found["kingsley"]
        check(f.get("free_major", f.get("major", 0)) > 1000,
              "kingsley, %s: the pressure is felt" % label, f)


def is_clean(cluster, pid):
    """Nothing of a run with that number is left; the keeper needs a moment after a kill."""
    for _ in range(100):
        left = [SWAP in pressure.read("/proc/swaps"), os.path.exists(SWAP),
                pressure.read(pressure.CLUSTER) != cluster,
                os.path.exists("%s/%s%d" % (pressure.controllers()[0], pressure.PREFIX, pid))]
        if not any(left):
            return True, left
        time.sleep(0.1)
    return False, left


def check_clean(reason):
    """After a signal in the middle of it, also one to the whole process group."""
    endings = (("a signal", lambda pid: os.kill(pid, signal.SIGTERM)),
               ("a kill of the process group", lambda pid: os.killpg(pid, signal.SIGKILL)))
    for what, end in endings:
        if reason:
            skip("nothing stays after " + what, reason)
            continue
        cluster = pressure.read(pressure.CLUSTER)
        code = ("import subprocess, sys, time; sys.path.insert(0, %r); import pressure\n"
                "with pressure.Pressure(%r, 8 << 20) as p:\n"
                "    subprocess.Popen(['sleep', '30'], preexec_fn=p.join)\n"
                "    print('in', flush=True); time.sleep(30)\n"
                % (os.path.dirname(os.path.abspath(__file__)), SWAP))
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                              start_new_session=True) as p:
            p.stdout.readline()
            there = SWAP in pressure.read("/proc/swaps")
            end(p.pid)
        clean, left = is_clean(cluster, p.pid)
        check(there and clean, "nothing stays after " + what, (there, left))


def check_reasons(available):
    """Where there can be no pressure it is said why, and nothing is left either."""
    probe = [sys.executable, pressure.__file__]
    cases = [
        ("without root", ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], SWAP,
         "needs root", os.geteuid() == 0),
        ("on a file system that cannot swap", [], "/dev/shm/phkmalloc-check-%d" % os.getpid(),
         "swapon: ", available),
        ("in a container", ["unshare", "-Ur"], SWAP, "Operation not permitted|Permission denied",
         available),
    ]
    for what, before, swap, words, applies in cases:
        if not applies:
            skip("the reason %s" % what, "needs root and memory pressure")
            continue
        done = subprocess.run(before + probe + [swap], capture_output=True, text=True)
        if before and not done.stdout and before[0] in done.stderr:
            skip("the reason %s" % what, done.stderr.strip())
            continue
        check(done.returncode == 1 and re.search(words, done.stdout) is not None
              and not os.path.exists(swap), "the reason %s" % what, (done.stdout, done.stderr))


def check_kinds():
    """What is found and written where there are control groups of kind 2, or none: in a folder."""
    fake = FOLDER + "/cgroup"
    os.makedirs(fake + "/group")
    saved = pressure.V1, pressure.V2
    pressure.V1, pressure.V2 = FOLDER + "/none", fake
    reasons = []
    try:
        for controllers in (None, "cpu io", "cpu memory"):
            if controllers is not None:
                pressure.write(fake + "/cgroup.controllers", controllers)
                pressure.write(fake + "/cgroup.subtree_control", "cpu")
            try:
                found = pressure.controllers()
            except pressure.Unavailable as e:
                reasons.append(str(e))
        check(len(reasons) == 2 and "has none" in reasons[0] and "no controller" in reasons[1],
              "no control group: the reason", reasons)
        p = pressure.Pressure(SWAP)
        p.root, p.is_v2 = found
        p.folder = fake + "/group"
        p.group(12345)
        written = [pressure.read(fake + name) for name in
                   ("/cgroup.subtree_control", "/group/memory.max", "/group/memory.swap.max")]
        check(found == (fake, True) and written == ["+memory", "12345", "max"],
              "control groups of kind 2: what is written", written)
    finally:
        pressure.V1, pressure.V2 = saved


def check_game(part):
    failed = {n: e["failed"] for n, e in part["ends"].items() if "failed" in e}
    check(not failed, "every allocator runs the game server", failed)
    curves = {tuple((s[0], s[1], s[2]) for s in c) for c in part["curves"].values()}
    check(len(curves) == 1, "the game is the same under every allocator")


def check_wrong(part):
    rows = dict(part["rows"])
    fates = {n: f["fate"] for n, f in rows.pop("none").items()}
    check(set(fates.values()) == {"unseen"}, "without a mistake there is nothing to be seen", fates)
    for name in ("phk1996", "phkmalloc"):
        silent = [mistake for mistake, found in rows.items() if found[name]["fate"] != "told"]
        check(not silent, "%s tells of every wrong pointer" % name, silent)
    told = [mistake for mistake, found in rows.items() if found["kingsley"]["fate"] == "told"]
    check(not told, "4.2BSD's allocator tells of none", told)


def check_lru(reason):
    """The tool for Valgrind against what a memory of each size does by definition."""
    if reason:
        skip("faults of a memory run by least recently used", reason)
        return
    for seed in (1, 2, 3):
        sizes = ["1", "3", "8", "20", "40", "100"]
        test = [BUILD + "/revisited/lru_test", str(seed)] + sizes
        log = FOLDER + "/lru.log"
        done = subprocess.run(["valgrind", "-q", "--tool=lru", "--sizes=" + ",".join(sizes),
                               "--own=" + traces.OWN, "--log-file=" + log] + test,
                              env=dict(os.environ, VALGRIND_LIB=BUILD + "/revisited/valgrind"),
                              capture_output=True, text=True)
        with open(log, encoding="ascii") as f:
            counted = [line for line in f.read().splitlines() if line.startswith("faults")]
        check(len(counted) == len(sizes) and counted == done.stdout.splitlines(),
              "the tool counts the faults of every size of memory, seed %d" % seed,
              (counted, done.stdout, done.stderr))


def check_traces(part):
    if "skipped" in part:
        skip("traces", part["skipped"])
        return
    for program, why in part["missing"].items():
        skip("the trace of " + program, why)
    for program, row in part["programs"].items():
        memory, faults, looks = row["memory"], row["faults"], row["looks"]
        failed = {n: f["failed"] for of in (memory, faults, looks) for n, f in of.items()
                  if "failed" in f}
        check(not failed, "%s: every allocator plays it" % program, failed)
        if failed:
            continue
        check(len({tuple(s[0] for s in f["sample"]) for f in memory.values()}) == 1,
              "%s: it asks every allocator for the same" % program)
        peak = max(s[0] for s in memory["phkmalloc"]["sample"])
        # Samples are taken now and then, and may miss the highest moment.
        check(0.8 * row["about"]["peak_live"] <= peak <= row["about"]["peak_live"],
              "%s: and for as much as its trace says" % program, (peak, row["about"]))
        if "no_faults" in part:
            skip("%s: page faults" % program, part["no_faults"])
            continue
        bad = [n for n, f in faults.items() if len(f["faults"]) != len(part["percent"])
               or sorted(f["faults"], reverse=True) != f["faults"] or f["zero"] == 0]
        check(not bad, "%s: more memory is never more faults" % program, bad)
        less = {n: (sum(f["faults"]), sum(faults[n]["faults"])) for n, f in looks.items()
                if f["uses"] <= faults[n]["uses"] or sum(f["faults"]) < sum(faults[n]["faults"])}
        check(not less, "%s: who looks at what it frees uses more pages" % program, less)
        if "unreferenced" in part:
            skip("%s: pages referenced" % program, part["unreferenced"])
            continue
        # Valgrind sees the constants of libraries too, the kernel what is written for a sample:
        # each a page or two in an interval. Where bits are missing it is half and more.
        bad = {n: (sum(s[2] for s in memory[n]["sample"]), sum(faults[n]["touched"]))
               for n in faults}
        bad = {n: pair for n, pair in bad.items() if not 0.75 < pair[0] / pair[1] < 1.33}
        check(not bad, "%s: the kernel and Valgrind see as many pages used" % program, bad)


def check_document(results):
    blocks = report.blocks(results)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../doc/revisited.md")
    with open(path, encoding="utf-8") as f:
        places = set(re.findall(r"<!-- /([a-z-]+) -->", f.read()))
    check(set(blocks) == places, "the document has a place for each table",
          set(blocks) ^ places)
    plot.all_of(results, FOLDER + "/plots")
    drawn = os.listdir(FOLDER + "/plots")
    check({"waste.svg", "game.svg"} <= set(drawn), "the plots are drawn", drawn)


def main():
    start = time.monotonic()
    here, missing = subjects.find(BUILD)
    for name, why in missing.items():
        skip(name, why)
    bench = experiments.Bench(BUILD, here, 1, 60, SCALE, lambda _: None)
    results = {"machine": {"cpu": "", "cpus": 1, "gib": 1, "kernel": "", "versions": {}},
               "rounds": {"rattle": 1}}
    results["waste"] = experiments.waste(experiments.Bench(BUILD, here, 1, 60, 0.25, bench.say),
                                         (256, 1024, 40000),
                                         (("200-1000", 200, 1000, "uniform"),))
    check_waste(results["waste"])
    some = bench.only("kingsley", "phkmalloc")
    results["pages"] = experiments.pages(some, IN_ORDER)
    check_pages(results["pages"])
    check_unreferenced(bench)
    results["rattle"] = experiments.rattle(bench.only("phkmalloc"), SWAP)
    check_rattle(results["rattle"], experiments.rattle(bench.only("kingsley"), SWAP, IN_ORDER))
    check_clean(results["rattle"].get("skipped"))
    check_reasons("skipped" not in results["rattle"])
    check_kinds()
    results["game"] = experiments.game(bench)
    check_game(results["game"])
    results["wrong"] = experiments.wrong(bench.only("kingsley", "phk1996", "phkmalloc"))
    check_wrong(results["wrong"])
    check_lru(traces.no_tool(bench))
    results["traces"] = traces.measured(bench.only("kingsley", "glibc", "phkmalloc"), FOLDER,
                                        (traces.sqlite3,))
    check_traces(results["traces"])
    check_document(results)
    print("1..%d" % sum(counts))
    print("# %.0f s" % (time.monotonic() - start))
    print("%d passed, %d failed, %d skipped" % tuple(counts))
    return counts[1] != 0


if __name__ == "__main__":
    sys.exit(main())
