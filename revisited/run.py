#!/usr/bin/env python3
"""The comparison with 1996, made again. Runs the experiments, keeps the figures, writes the report.

    revisited/run.py [--build build] [--rounds 3] [--limit 10] [--scale 1]
                     [--parts waste,rattle,pages,game,wrong,traces] [--doc doc/revisited.md] [--old]

Parts that are not run keep the figures of the last time. --old runs nothing and only writes.
"""

import argparse
import json
import os
import platform
import sys
import time

import experiments
import plot
import report
import subjects
import traces

PARTS = ("waste", "rattle", "pages", "game", "wrong", "traces")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":", 1)[1].strip() for line in f
                      if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(),
            "gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)),
            "versions": subjects.versions()}


def load(file):
    if not os.path.exists(file):
        return {}
    with open(file, encoding="utf-8") as f:
        return json.load(f)


def run_part(part, bench, folder):
    if part == "rattle":
        return experiments.rattle(bench, folder + "/swap")
    if part == "traces":
        os.makedirs(folder + "/traces", exist_ok=True)
        return traces.measured(bench, folder + "/traces")
    return getattr(experiments, part)(bench)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=10, help="seconds of one run")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--doc")
    parser.add_argument("--old", action="store_true")
    o = parser.parse_args()
    folder = os.path.abspath(o.build) + "/revisited"
    file = folder + "/results.json"
    here, missing = subjects.find(o.build)
    for name, why in missing.items():
        print("revisited: without %s: %s" % (name, why))
    results = load(file)
    start = time.monotonic()
    bench = experiments.Bench(os.path.abspath(o.build), here, o.rounds, o.limit, o.scale,
                              lambda what: print("%4.0f s  %s" % (time.monotonic() - start, what),
                                                 flush=True))
    for part in [] if o.old else o.parts.split(","):
        if part not in PARTS:
            raise SystemExit("revisited: no part " + part)
        figures = run_part(part, bench, folder)
        results = load(file)
        results[part] = figures
        results["machine"] = machine()
        results.setdefault("rounds", {})[part] = o.rounds
        with open(file, "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1)
        if "skipped" in results[part]:
            print("revisited: %s skipped: %s" % (part, results[part]["skipped"]))
        if "unreferenced" in results[part]:
            print("revisited: pages referenced skipped: " + results[part]["unreferenced"])
    blocks = report.blocks(results)
    for block in blocks.values():
        print("\n" + block)
    if o.doc:
        report.update(o.doc, blocks)
        plot.all_of(results, os.path.splitext(o.doc)[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
