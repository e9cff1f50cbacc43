"""Results as tables of text, and their places in the document.

The document holds each table between <!-- NAME --> and <!-- /NAME -->; what people wrote around
them is left alone.
"""

import math

import experiments
import subjects

KIB, MIB = 1 << 10, 1 << 20


def table(head, rows):
    lines = ["| %s |" % " | ".join(head), "|%s|" % "|".join(["---"] + ["---:"] * (len(head) - 1))]
    return "\n".join(lines + ["| %s |" % " | ".join(row) for row in rows])


def names_in(rows):
    return [n for n in subjects.NAMES if any(n in found for _, found in rows)]


def grid(rows, cell, first):
    """One row each, one column an allocator."""
    names = names_in(rows)
    return table([first] + names, [[str(label)] + [cell(found.get(n, {"failed": "not here"}))
                                                   for n in names] for label, found in rows])


def ratio(phase, what):
    def cell(f):
        key = "%s_%s" % (phase, what)
        return "%.2f" % (f[key] / f[phase + "_live"]) if key in f else f["failed"]
    return cell


def count(n):
    return "{:,}".format(int(n))


def faults(f):
    if "free_major" in f:
        return count(f["free_major"]) + (" (%d of %d failed)" % (f["bad"], f["runs"])
                                         if f["bad"] else "")
    return ">%s (%s)" % (count(f["major"]), f["failed"]) if f.get("major") else f["failed"]


def seconds(f):
    return "%.3f" % f["free_seconds"] if "free_seconds" in f else "–"


def figure(key, scale=1):
    def cell(f):
        return count(f[key] / scale) if key in f else f["failed"]
    return cell


def game_rows(game):
    """Peak, night and end over what was asked for then, the mean of it all, and the time."""
    out = []
    for name in subjects.NAMES:
        end = game["ends"].get(name)
        if end is None or "failed" in end:
            out.append([name] + [(end or {}).get("failed", "not here")] + ["–"] * 6)
            continue
        curve = game["curves"][name]
        peak = max(curve, key=lambda s: s[3])
        night = min(curve[len(curve) // 3:], key=lambda s: s[2])
        mean = sum(s[3] for s in curve) / sum(s[2] for s in curve)
        out.append([name, "%.1f" % (peak[3] / MIB), "%.2f" % (peak[3] / max(s[2] for s in curve)),
                    "%.1f" % (night[3] / MIB), "%.2f" % (night[3] / night[2]), "%.2f" % mean,
                    "%.1f" % (max(s[4] for s in curve) / MIB), "%.2f" % end["seconds"]])
    return out


def game_table(game):
    live = next(iter(game["curves"].values()))
    night = min(live[len(live) // 3:], key=lambda s: s[2])
    note = "Asked for: %.1f MiB at the peak, %.1f MiB in the night." % (
        max(s[2] for s in live) / MIB, night[2] / MIB)
    return note + "\n\n" + table(
        ["", "peak MiB", "peak / asked", "night MiB", "night / asked", "mean / asked",
         "address space MiB", "CPU s"], game_rows(game))


def rattle_blocks(part):
    if "skipped" in part:
        return {name: "Skipped: %s." % part["skipped"]
                for name in ("rattle", "rattle-seconds", "rattle-ten", "rattle-worst")}
    rows = part["rows"]
    every = [(label, f) for label, f in rows if "every" in label]
    worst = [(label, f["phkmalloc"]) for label, f in rows if "phkmalloc" in f]
    lost = [label for label, f in worst if f["bad"]]
    good = [f["free_major_most"] for _, f in worst if "free_major_most" in f]
    text = ("phkmalloc of today: at most %s major faults in any run of any row"
            % max(good, default="?"))
    if lost:
        text += "; runs failed in " + "; ".join(lost)
    return {"rattle": grid(rows, faults, "freed"),
            "rattle-seconds": grid(rows, seconds, "freed"),
            "rattle-ten": grid(every, figure("ten_major"), "ten mallocs of 16,000 B after"),
            "rattle-worst": text + "."}


def whole(part, of, cell):
    """A row for each program; what has no figures says why."""
    rows = [[program, row[of]] for program, row in part["programs"].items()]
    return grid(rows, lambda f: cell(f) if "failed" not in f else f["failed"], "")


def column(f, i):
    return [s[i] for s in f["sample"]]


def traces_about(part):
    rows = [[program, count(a["steps"]), count(a["allocations"]), "%.1f" % (a["peak_live"] / MIB),
             "%.2f" % (a["nbytes"] / a["steps"])]
            for program, a in ((n, row["about"]) for n, row in part["programs"].items())]
    text = table(["", "operations", "allocations", "asked for at the most, MiB",
                  "bytes of trace an operation"], rows)
    return text + "".join("\n\nWithout %s: %s." % pair for pair in part["missing"].items())


def traces_faults(part, of, sizes):
    """A row for each program and size of memory, in percent."""
    if "no_faults" in part:
        return "Skipped: %s." % part["no_faults"]
    rows = []
    for program, row in part["programs"].items():
        for percent in sizes:
            at = part["percent"].index(percent)
            rows.append(["%s, %d %%" % (program, percent),
                         {n: {"n": f["faults"][at]} if "failed" not in f else f
                          for n, f in row[of].items()}])
    return grid(rows, lambda f: count(f["n"]) if "n" in f else f["failed"], "memory")


def traces_ratio(part):
    """Geometric means over the programs of faults over those of phkmalloc, 1 added to both."""
    if "no_faults" in part:
        return "Skipped: %s." % part["no_faults"]
    rows = []
    for percent in (100, 75, 50, 25):
        at = part["percent"].index(percent)
        found = {}
        for name in subjects.NAMES:
            both = [(row["faults"].get(name, {}), row["faults"].get("phkmalloc", {}))
                    for row in part["programs"].values()]
            if both and all("faults" in f for pair in both for f in pair):
                found[name] = {"n": math.exp(sum(
                    math.log((one["faults"][at] + 1) / (ours["faults"][at] + 1))
                    for one, ours in both) / len(both))}
        rows.append(["%d %%" % percent, found])
    return grid(rows, lambda f: "%.2f" % f["n"] if "n" in f else "–", "memory")


TRACES = ("about", "peak", "mean", "resident", "touched", "faults", "ratio", "looks")


def traces_blocks(part):
    if "skipped" in part:
        return {"traces-" + name: "Skipped: %s." % part["skipped"] for name in TRACES}

    def ratio_of(pick):
        return lambda f: "%.2f" % (pick(column(f, 1)) / pick(column(f, 0)))

    return {"traces-about": traces_about(part),
            "traces-peak": whole(part, "memory", ratio_of(max)),
            "traces-mean": whole(part, "memory", ratio_of(sum)),
            "traces-resident": whole(part, "memory",
                                     lambda f: count(max(column(f, 1)) / 4096)),
            "traces-touched": "Skipped: %s." % part["unreferenced"] if "unreferenced" in part else
                              whole(part, "memory",
                                    lambda f: count(sum(column(f, 2)) / len(f["sample"]))),
            "traces-faults": traces_faults(part, "faults", (100, 75, 50, 25)),
            "traces-ratio": traces_ratio(part),
            "traces-looks": traces_faults(part, "looks", (50,))}


def wrong_table(part):
    """The control row is left out; the last one counts."""
    rows = [row for row in part["rows"] if row[0] != "none"]
    told = {n: {"fate": "%d of %d" % (sum(f.get(n, {}).get("fate") == "told" for _, f in rows),
                                      len(rows))} for n in names_in(rows)}
    return grid(rows + [["told", told]], lambda f: f["fate"] if "fate" in f else f["failed"], "")


def machine_text(results):
    m = results["machine"]
    text = "%s, %d processors, %d GiB, Linux %s; Debian's packages: %s." % (
        m["cpu"], m["cpus"], m["gib"], m["kernel"],
        ", ".join("%s %s" % pair for pair in m["versions"].items()))
    if "rows" in results.get("pages", {}):
        text += " The kernel's referenced bits: exact in the probe of each run."
    if "how" in results.get("rattle", {}):
        text += " Death rattle: %s; limit %d MiB and the program's own tables; %d rounds." % (
            results["rattle"]["how"], results["rattle"]["core"] // MIB,
            results["rounds"]["rattle"])
    return text


def blocks(results):
    out = {}
    if "machine" in results:
        out["machine"] = machine_text(results)
    if "waste" in results:
        w = results["waste"]
        sizes = [row for row in w["sizes"] if row[0] in experiments.SIZES]
        out["waste-sizes"] = grid(sizes, ratio("full", "memory"), "bytes")
        out["waste-mixes"] = grid(w["mixes"], ratio("full", "memory"), "bytes")
        out["waste-space"] = grid(w["mixes"], ratio("full", "space"), "bytes")
        for phase in ("tenth", "rest", "trim"):
            out["waste-" + phase] = grid(w["mixes"], ratio(phase, "memory"), "bytes")
        out["waste-again"] = grid(w["mixes"], ratio("again", "memory"), "bytes")
    if "rattle" in results:
        out.update(rattle_blocks(results["rattle"]))
    if "pages" in results:
        p = results["pages"]
        out["pages"] = "Skipped: %s." % p["skipped"] if "skipped" in p else \
            grid(p["rows"], figure("free_pages"), "freed")
    if "game" in results:
        out["game"] = game_table(results["game"]) if results["game"]["curves"] else "No figures."
    if "wrong" in results:
        out["wrong"] = wrong_table(results["wrong"])
    if "traces" in results:
        out.update(traces_blocks(results["traces"]))
    return out


def update(path, found):
    """Puts the blocks in their places; a block without a place is a mistake."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for name, block in found.items():
        start, end = "<!-- %s -->" % name, "<!-- /%s -->" % name
        if text.count(start) != 1 or text.count(end) != 1:
            raise SystemExit("%s: no place for %s" % (path, name))
        head, rest = text.split(start)
        text = head + start + "\n" + block + "\n" + end + rest.split(end)[1]
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
