"""The experiments: what is run, and what becomes of the figures.

Each function takes a Bench and returns rows for the report: a label and, for every allocator, the
medians over the rounds, or why there are none.
"""

import statistics
import subprocess

import pressure
import subjects

MIB = 1 << 20
SIZES = (16, 24, 32, 48, 64, 100, 128, 200, 256, 400, 512, 700, 1024, 1500, 2048, 3000, 4096, 5000,
         8192, 12000, 16384, 24000, 32768, 40000, 65536, 100000, 1048576)
# The plot has more: eight to a doubling, and what is just more than a power of two.
PLOT_SIZES = tuple(sorted({*SIZES, *(round(2 ** (k / 8)) for k in range(32, 137)),
                           *(2 ** k + 1 for k in range(4, 17))}))
MIXES = (  # label, smallest, largest, kind
    ("16-64", 16, 64, "uniform"), ("200-1000", 200, 1000, "uniform"),
    ("16-4096", 16, 4096, "uniform"), ("4096-16384", 4096, 16384, "uniform"),
    ("16-1024 log", 16, 1024, "log"), ("16-65536 log", 16, 65536, "log"),
)
SMALL, MIDDLE, BIG = (16, 64, 500000), (200, 1000, 40000), (4096, 16384, 3000)
RATTLE = tuple(     # label, smallest, largest, count, order, every, threads, whose
    ("%s, %s%s" % (sizes, how, "" if order == "in-order" else ", random"),
     *numbers, order, every, threads, whose)
    for how, every, threads, whose, kinds in (
        ("all", 1, 1, "own", (("16-64 B", SMALL), ("200-1000 B", MIDDLE), ("4-16 KB", BIG))),
        ("every 2nd", 2, 1, "own", (("16-64 B", SMALL), ("200-1000 B", MIDDLE),
                                    ("2.1-3 KB", (2100, 3000, 12000)), ("4-16 KB", BIG))),
        ("4 threads, own", 1, 4, "own", (("16-64 B", SMALL), ("200-1000 B", MIDDLE),
                                         ("4-16 KB", BIG))),
        ("4 threads, others'", 1, 4, "other", (("16-64 B", SMALL), ("200-1000 B", MIDDLE),
                                               ("4-16 KB", BIG))))
    for sizes, numbers in kinds
    for order in ("in-order", "random"))
# Room for data; the program's own locked tables, 12 bytes an object, come on top.
CORE = 12 * MIB
INTERVALS = 64
REST = 2000         # milliseconds, in which an allocator may give memory back


class Bench:
    def __init__(self, build, here, rounds, limit, scale=1.0, say=print):
        self.build, self.here, self.rounds, self.limit = build, here, rounds, limit
        self.scale = scale
        self.say = say

    def only(self, *names):
        """The same with some of the allocators."""
        here = {name: path for name, path in self.here.items() if name in names}
        return Bench(self.build, here, self.rounds, self.limit, self.scale, self.say)

    def program(self, name):
        return "%s/revisited/%s" % (self.build, name)

    def count(self, wanted):
        return max(64, int(wanted * self.scale))

    def rounds_of(self, program, arguments, setup=None, rounds=None, limit=None):
        """Every allocator in turn, round by round; name to medians."""
        runs = {name: [] for name in self.here}
        for r in range(rounds or self.rounds):
            for name in subjects.rotated(tuple(self.here), r):
                if runs[name] and "over" in runs[name][-1].get("failed", ""):
                    continue    # it would take too long again
                runs[name].append(subjects.run(self.program(program), arguments,
                                               self.here[name], limit or self.limit, setup))
        return {name: median(found) for name, found in runs.items()}


def median(runs):
    """Of each figure that half of the runs have; `failed` if half of them failed."""
    bad = [r for r in runs if "failed" in r]
    out = {"runs": len(runs), "bad": len(bad)}
    for key in dict.fromkeys(key for r in runs for key in r):
        found = [r[key] for r in runs if key in r]
        if key == "unreferenced":
            out[key] = found[0]
            continue
        if key in ("sample", "library") or 2 * len(found) < len(runs):
            continue
        if key == "failed":
            out[key] = found[0]
        elif key == "major":
            out[key] = max(found)
        else:
            out[key] = statistics.median_high(found)
            out[key + "_most"] = max(found)
    return out


def waste(bench, sizes=PLOT_SIZES, mixes=MIXES):
    """Sizes are filled once: there is no time in them, and no chance."""
    total = int(16 * MIB * bench.scale)
    out = {"sizes": [], "mixes": [], "total": total}
    for size in sizes:
        bench.say("waste: %d bytes" % size)
        out["sizes"].append([size, bench.rounds_of("waste", (size, size, "uniform", total, "full"),
                                                   rounds=1)])
    for label, low, high, kind in mixes:
        bench.say("waste: %s" % label)
        out["mixes"].append([label, bench.rounds_of("waste", (low, high, kind, total,
                                                          int(REST * bench.scale)))])
    return out


def rattle(bench, swap_file, rows=RATTLE):
    """Under pressure where that can be had; or {"skipped": why}. The size is not scaled."""
    try:
        with pressure.Pressure(swap_file) as p:
            out = {"how": p.described(), "core": CORE, "rows": []}
            for label, *arguments in rows:
                p.group(CORE + 12 * arguments[2])
                bench.say("death rattle: " + label)
                out["rows"].append([label, bench.rounds_of("rattle", arguments + [0], p.join)])
            return out
    except pressure.Unavailable as e:
        return {"skipped": str(e)}


def unreferenced(found):
    """Why pages referenced cannot be counted, as each run finds out for itself; or None."""
    return next((f["unreferenced"] for f in found.values() if f.get("unreferenced")), None)


def pages(bench, rows=RATTLE):
    """The same without pressure, by the kernel's referenced bits."""
    out = {"rows": [], "intervals": INTERVALS}
    for label, *arguments in rows:
        bench.say("pages referenced: " + label)
        found = bench.rounds_of("rattle", arguments + [INTERVALS], rounds=1)
        why = unreferenced(found)
        if why:
            return {"skipped": why}
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
        figures = subjects.finish(process, bench.here[name], max(bench.limit, 60) * 5)
        out["curves"][name] = figures.pop("sample")
        out["ends"][name] = figures
    return out


def fate(status, out, err, library):
    """What a wrong pointer led to, in a word."""
    if "library=" + library not in out:
        return "failed"
    if err.strip():
        return "told"
    return {0: "unseen", 9: "overlap"}.get(status, "crash" if status < 0 else "failed")


def wrong(bench):
    """Every mistake with every allocator; one run, as there is no chance in it."""
    names = subprocess.run([bench.program("wrong")], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    out = []
    for number, mistake in enumerate(names):
        bench.say("wrong pointers: " + mistake)
        found = {}
        for name, library in bench.here.items():
            process = subjects.start(bench.program("wrong"), (number,), library)
            try:
                text, err = process.communicate(timeout=min(bench.limit, 5))
                found[name] = {"fate": fate(process.returncode, text, err, library)}
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                found[name] = {"fate": "hangs"}
        out.append([mistake, found])
    return {"rows": out}
