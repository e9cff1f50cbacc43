"""The three experiments: what is run, and what becomes of the figures.

Each function takes a Bench and returns rows for the report: a label and, for every allocator, the
medians over the rounds, or why there are none.
"""

import statistics

import pressure
import subjects

MIB = 1 << 20
SIZES = (16, 24, 32, 48, 64, 100, 128, 200, 256, 400, 512, 700, 1024, 1500, 2048, 3000, 4096, 5000,
         8192, 12000, 16384, 24000, 32768, 40000, 65536, 100000, 1048576)
MIXES = (  # label, smallest, largest, kind
    ("16-64", 16, 64, "uniform"), ("200-1000", 200, 1000, "uniform"),
    ("16-4096", 16, 4096, "uniform"), ("4096-16384", 4096, 16384, "uniform"),
    ("16-1024 log", 16, 1024, "log"), ("16-65536 log", 16, 65536, "log"),
)
RATTLE = (  # label, smallest, largest, count, order, every, threads
    ("16-64 B, in order", 16, 64, 500000, "in-order", 1, 1),
    ("16-64 B, random", 16, 64, 500000, "random", 1, 1),
    ("200-1000 B, in order", 200, 1000, 40000, "in-order", 1, 1),
    ("200-1000 B, random", 200, 1000, 40000, "random", 1, 1),
    ("4-16 KB, in order", 4096, 16384, 3000, "in-order", 1, 1),
    ("4-16 KB, random", 4096, 16384, 3000, "random", 1, 1),
    ("2.1-3 KB, every 2nd, in order", 2100, 3000, 12000, "in-order", 2, 1),
    ("2.1-3 KB, every 2nd, random", 2100, 3000, 12000, "random", 2, 1),
    ("16-64 B, in order, 4 threads", 16, 64, 500000, "in-order", 1, 4),
    ("16-64 B, random, 4 threads", 16, 64, 500000, "random", 1, 4),
    ("200-1000 B, in order, 4 threads", 200, 1000, 40000, "in-order", 1, 4),
    ("200-1000 B, random, 4 threads", 200, 1000, 40000, "random", 1, 4),
    ("4-16 KB, in order, 4 threads", 4096, 16384, 3000, "in-order", 1, 4),
    ("4-16 KB, random, 4 threads", 4096, 16384, 3000, "random", 1, 4),
)
# Room for data; the program's own locked tables, 12 bytes an object, come on top.
CORE = 12 * MIB
INTERVALS = 64


class Bench:
    def __init__(self, build, here, rounds, limit, scale=1.0, say=print):
        self.build, self.here, self.rounds, self.limit = build, here, rounds, limit
        self.scale = scale
        self.say = say

    def program(self, name):
        return "%s/revisited/%s" % (self.build, name)

    def count(self, wanted):
        return max(64, int(wanted * self.scale))

    def rounds_of(self, program, arguments, setup=None, rounds=None, limit=None):
        """Every allocator in turn, round by round; name to medians, or to {"failed": why}."""
        runs = {name: [] for name in self.here}
        for r in range(rounds or self.rounds):
            for name in subjects.rotated(tuple(self.here), r):
                if runs[name] and "failed" in runs[name][-1] and "over" in runs[name][-1]["failed"]:
                    continue    # it would take too long again
                try:
                    runs[name].append(subjects.run(self.program(program), arguments,
                                                   self.here[name], limit or self.limit, setup))
                except subjects.Failed as e:
                    runs[name].append({"failed": str(e), "major": e.major})
        return {name: median(found) for name, found in runs.items()}


def median(runs):
    """Of each figure; when half of the runs or more failed, the failure."""
    good = [r for r in runs if "failed" not in r]
    bad = [r for r in runs if "failed" in r]
    if not good or len(bad) * 2 > len(runs):
        worst = bad[0]
        return {"failed": worst["failed"], "major": max(b["major"] for b in bad),
                "of": [len(bad), len(runs)]}
    out = {key: statistics.median_high([r[key] for r in good]) for key in good[0]
           if key not in ("sample", "library")}
    if "free_major" in good[0]:
        out["free_major_most"] = max(r["free_major"] for r in good)
        out["ten_major_most"] = max(r["ten_major"] for r in good)
    out["of"] = [len(bad), len(runs)]
    return out


def waste(bench):
    total = int(32 * MIB * bench.scale)
    out = {"sizes": [], "mixes": [], "total": total}
    for size in SIZES:
        if size * 8 > total:
            continue
        bench.say("waste: %d bytes" % size)
        out["sizes"].append([size, bench.rounds_of("waste", (size, size, "uniform", total))])
    for label, low, high, kind in MIXES:
        bench.say("waste: %s" % label)
        out["mixes"].append([label, bench.rounds_of("waste", (low, high, kind, total))])
    return out


def rattle(bench, swap_file):
    """Under pressure where that can be had; or {"skipped": why}."""
    try:
        with pressure.Pressure(swap_file) as p:
            out = {"how": p.described(), "core": int(CORE * bench.scale), "rows": []}
            for label, *arguments in RATTLE:
                arguments[2] = bench.count(arguments[2])
                # Two more megabytes at least: what a process needs to exist does not scale.
                p.group(max(int(CORE * bench.scale), 2 * MIB) + 12 * arguments[2])
                bench.say("death rattle: " + label)
                out["rows"].append([label, bench.rounds_of("rattle", arguments + [0], p.join)])
            return out
    except pressure.Unavailable as e:
        return {"skipped": str(e)}


def pages(bench):
    """The same without pressure, by the kernel's referenced bits: one thread only."""
    out = {"rows": [], "intervals": INTERVALS}
    for label, *arguments in RATTLE:
        if arguments[5] > 1:
            continue
        arguments[2] = bench.count(arguments[2])
        bench.say("pages referenced: " + label)
        found = bench.rounds_of("rattle", arguments + [INTERVALS], rounds=1)
        if all("clear_refs" in f.get("failed", "") for f in found.values()):
            return {"skipped": next(iter(found.values()))["failed"]}
        out["rows"].append([label, found])
    return out


def game(bench):
    """All at the same time: they sleep most of it, and memory is what counts."""
    players, ticks = bench.count(1500), bench.count(6000)
    arguments = (players, ticks, min(150, ticks), 4000)
    out = {"players": players, "ticks": ticks, "curves": {}, "ends": {}}
    bench.say("game server: all allocators at once, %d ms or more" % (ticks * 4))
    running = {name: subjects.start(bench.program("game"), arguments, path)
               for name, path in bench.here.items()}
    for name, process in running.items():
        try:
            figures = subjects.finish(process, bench.here[name], max(bench.limit, 60) * 5)
            out["curves"][name] = figures.pop("sample")
            out["ends"][name] = figures
        except subjects.Failed as e:
            out["ends"][name] = {"failed": str(e)}
    return out
