"""Results as tables of text, and their places in the document.

The document holds each table between <!-- NAME --> and <!-- /NAME -->; what people wrote around
them is left alone.
"""

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
        if "failed" in f:
            return f["failed"]
        return "%.2f" % (f["%s_%s" % (phase, what)] / f[phase + "_live"])
    return cell


def count(n):
    return "{:,}".format(int(n))


def faults(f):
    if "failed" in f:
        return ">%s (%s)" % (count(f["major"]), f["failed"]) if f.get("major") else f["failed"]
    return count(f["free_major"])


def seconds(f):
    return "–" if "failed" in f else "%.3f" % f["free_seconds"]


def figure(key, scale=1):
    def cell(f):
        return f["failed"] if "failed" in f else count(f[key] / scale)
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
    lost = [label for label, f in worst if "failed" in f]
    good = [f["free_major_most"] for _, f in worst if "failed" not in f]
    text = ("phkmalloc of today: at most %s major faults in any run of any row"
            % max(good, default="?"))
    if lost:
        text += "; no figures for " + "; ".join(lost)
    return {"rattle": grid(rows, faults, "freed"),
            "rattle-seconds": grid(rows, seconds, "freed"),
            "rattle-ten": grid(every, figure("ten_major"), "ten mallocs of 16,000 B after"),
            "rattle-worst": text + "."}


def machine_text(results):
    m = results["machine"]
    text = "%s, %d processors, %d GiB, Linux %s; Debian's packages: %s." % (
        m["cpu"], m["cpus"], m["gib"], m["kernel"],
        ", ".join("%s %s" % pair for pair in m["versions"].items()))
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
        out["waste-sizes"] = grid(w["sizes"], ratio("full", "memory"), "bytes")
        out["waste-mixes"] = grid(w["mixes"], ratio("full", "memory"), "bytes")
        out["waste-space"] = grid(w["mixes"], ratio("full", "space"), "bytes")
        out["waste-tenth"] = grid(w["mixes"], ratio("tenth", "memory"), "bytes")
        out["waste-again"] = grid(w["mixes"], ratio("again", "memory"), "bytes")
    if "rattle" in results:
        out.update(rattle_blocks(results["rattle"]))
    if "pages" in results:
        p = results["pages"]
        out["pages"] = "Skipped: %s." % p["skipped"] if "skipped" in p else \
            grid(p["rows"], figure("free_pages"), "freed")
    if "game" in results:
        out["game"] = game_table(results["game"]) if results["game"]["curves"] else "No figures."
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
