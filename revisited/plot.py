"""The plots of the report: SVG that needs no other file, readable on white and on print."""

import math
import os
from html import escape

import subjects

COLOURS = {"kingsley": "#8c564b", "firstfit": "#7f7f7f", "phk1996": "#e8a33d", "glibc": "#1f77b4",
           "mimalloc": "#9467bd", "jemalloc": "#17becf", "tcmalloc": "#2ca02c",
           "phkmalloc": "#d62728"}
FONT = 'font-family="sans-serif" font-size="12"'
MIB = 1 << 20


class Plot:
    def __init__(self, width, height, title):
        self.width, self.height, self.title = width, height, title
        self.parts = []

    def line(self, x1, y1, x2, y2, colour="#ddd"):
        self.parts.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>'
                          % (x1, y1, x2, y2, colour))

    def text(self, x, y, text, anchor="start", colour="#222"):
        self.parts.append('<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>'
                          % (x, y, anchor, colour, escape(text)))

    def curve(self, points, name, tip=""):
        width = 2.6 if name == "phkmalloc" else 1.4
        self.parts.append('<polyline fill="none" stroke="%s" stroke-width="%.1f" points="%s">'
                          '<title>%s</title></polyline>'
                          % (COLOURS[name], width, " ".join("%.1f,%.1f" % p for p in points),
                             escape(tip or name)))

    def dot(self, x, y, name, tip, hollow=False):
        self.parts.append('<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s" stroke="%s" '
                          'stroke-width="1.5" fill-opacity="%s"><title>%s</title></circle>'
                          % (x, y, 6 if name == "phkmalloc" else 4.5, COLOURS[name],
                             COLOURS[name], "0" if hollow else "0.9", escape(tip)))

    def legend(self, names, x, y):
        for i, name in enumerate(names):
            self.dot(x + 86 * i, y - 4, name, name)
            self.text(x + 86 * i + 9, y, name)

    def write(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" %s role="img">\n'
                    '<title>%s</title>\n<rect width="100%%" height="100%%" fill="white"/>\n%s\n'
                    '</svg>\n' % (self.width, self.height, FONT, escape(self.title),
                                  "\n".join(self.parts)))


def waste(part, path):
    """Memory over bytes asked, by size: both axes by doubling."""
    rows = part["sizes"]
    p = Plot(820, 420, "Memory taken over bytes asked for, by size of the object")
    left, right, top, bottom, most = 50, 800, 50, 380, 4

    def x(size):
        low, high = math.log(rows[0][0]), math.log(rows[-1][0])
        return left + (right - left) * (math.log(size) - low) / (high - low)

    def y(value):
        return bottom - (bottom - top) * math.log(min(max(value, 0.97), most) / 0.97) \
            / math.log(most / 0.97)

    for tick in (1, 1.1, 1.25, 1.5, 2, 2.5, 3, 4):
        p.line(left, y(tick), right, y(tick))
        p.text(left - 6, y(tick) + 4, "%g" % tick, "end")
    size = 16
    while size <= rows[-1][0]:
        p.line(x(size), top, x(size), bottom)
        p.text(x(size), bottom + 18, "%dK" % (size >> 10) if size >= 1024 else str(size), "middle")
        size *= 4
    names = [n for n in subjects.NAMES if n in rows[0][1]]
    for name in names:
        points = [(x(s), y(f[name]["full_memory"] / f[name]["full_live"])) for s, f in rows
                  if "full_memory" in f.get(name, {})]
        if points:
            p.curve(points, name)
    p.text(left, 16, p.title)
    p.legend(names, left + 6, 36)
    p.text(right, bottom + 34, "bytes of one object", "end")
    p.write(path)


def rattle(part, path):
    """Major faults of the free phase, a row each, by powers of ten; 0 stands at the left."""
    rows = part["rows"]
    top, step, left, right = 60, 20, 250, 790
    p = Plot(820, top + step * len(rows) + 44, "Major page faults while only freeing")
    bottom = top + step * len(rows)

    def x(value):
        return left + (right - left) * math.log10(value + 1) / 6

    for power in range(1, 7):
        p.line(x(10 ** power), top, x(10 ** power), bottom)
        p.text(x(10 ** power), bottom + 18, short(10 ** power), "middle")
    p.line(x(0), top, x(0), bottom, "#888")
    p.text(x(0), bottom + 18, "0", "middle")
    p.parts.append('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#d62728" '
                   'stroke-dasharray="4 4"/>' % (x(100), top, x(100), bottom))
    names = [n for n in subjects.NAMES if any(n in f for _, f in rows)]
    for i, (label, found) in enumerate(rows):
        y = top + step * (i + 0.5)
        p.line(left, y, right, y, "#eee")
        p.text(left - 8, y + 4, label, "end")
        for name in names:
            f = found.get(name, {})
            if "free_major" in f:
                p.dot(x(f["free_major"]), y, name, "%s: %d" % (name, f["free_major"]))
            elif f.get("major"):
                p.dot(x(f["major"]), y, name, "%s: %s after %d" % (name, f["failed"], f["major"]),
                      hollow=True)
    p.text(10, 16, p.title)
    p.legend(names, left - 150, 40)
    p.text(right, bottom + 36,
           "hollow: stopped after so many; dashed: the goal, 100", "end")
    p.write(path)


def game(part, path):
    """Memory in time; the grey area is what the program asked for."""
    curves = part["curves"]
    p = Plot(820, 420, "Game server: memory in time")
    left, right, top, bottom = 60, 800, 50, 380
    some = next(iter(curves.values()))
    most = max(s[3] for c in curves.values() for s in c) * 1.05
    last = some[-1][0]

    def place(tick, value):
        return left + (right - left) * tick / last, bottom - (bottom - top) * value / most

    area = [place(0, 0)] + [place(s[0], s[2]) for s in some] + [place(last, 0)]
    p.parts.append('<polygon fill="#e4e4e4" points="%s"/>'
                   % " ".join("%.1f,%.1f" % q for q in area))
    step = 25 * MIB
    while most > 6 * step:
        step *= 2
    for value in range(0, int(most), step):
        y = place(0, value)[1]
        p.line(left, y, right, y)
        p.text(left - 6, y + 4, "%d MiB" % (value // MIB), "end")
    for name in subjects.NAMES:
        if name in curves:
            p.curve([place(s[0], s[3]) for s in curves[name]], name)
    p.text(left, 16, p.title + " (grey: asked for)")
    p.legend([n for n in subjects.NAMES if n in curves], left, 36)
    p.text(right, bottom + 20, "ticks: evening, night, evening", "end")
    p.write(path)


# -- real traces: a panel for each program --

PANEL_WIDTH, PANEL_HEIGHT, COLUMNS = 272, 216, 3


class Panel:
    """One of several axes in a plot, with the programs side by side."""

    def __init__(self, plot, number, title, across, up):
        """`across` and `up` turn figures into parts of 1."""
        self.plot, self.across, self.up = plot, across, up
        self.left = 46 + PANEL_WIDTH * (number % COLUMNS)
        self.right = self.left + PANEL_WIDTH - 56
        self.top = 74 + PANEL_HEIGHT * (number // COLUMNS)
        self.bottom = self.top + PANEL_HEIGHT - 58
        plot.text((self.left + self.right) / 2, self.top - 8, title, "middle")

    def place(self, x, y):
        return (self.left + (self.right - self.left) * self.across(x),
                self.bottom - (self.bottom - self.top) * self.up(y))

    def x_tick(self, x, text):
        at = self.place(x, 0)[0]
        self.plot.line(at, self.top, at, self.bottom)
        self.plot.text(at, self.bottom + 16, text, "middle")

    def y_tick(self, y, text):
        at = self.bottom - (self.bottom - self.top) * self.up(y)
        self.plot.line(self.left, at, self.right, at)
        self.plot.text(self.left - 5, at + 4, text, "end")

    def curve(self, points, name, tip=""):
        self.plot.curve([self.place(x, y) for x, y in points], name, tip)


def panels(part, title, note):
    programs = part["programs"]
    rows = (len(programs) + COLUMNS - 1) // COLUMNS
    p = Plot(COLUMNS * PANEL_WIDTH + 16, 50 + PANEL_HEIGHT * rows, title)
    p.text(14, 18, title)
    p.text(COLUMNS * PANEL_WIDTH, 18, note, "end", "#555")
    p.legend([n for n in subjects.NAMES
              if any(n in row["memory"] for row in programs.values())], 20, 44)
    return p


def short(n):
    for unit, letter in ((10 ** 6, "M"), (10 ** 3, "k")):
        if n >= unit:
            return "%g%s" % (n / unit, letter)
    return "%g" % n


def faults(part, path):
    """Faults of an LRU memory by its size: the ordinate by powers of ten, 0 at the bottom."""
    p = panels(part, "Page faults of a memory run by least recently used",
               "memory in % of the most that was asked for")
    percent = part["percent"]
    low, high = math.log(percent[0]), math.log(percent[-1])
    for i, (program, row) in enumerate(part["programs"].items()):
        panel = Panel(p, i, program, lambda x: (math.log(x) - low) / (high - low),
                      lambda y: math.log10(y + 1) / 8)
        for x in (10, 25, 50, 75, 100, 200):
            panel.x_tick(x, "%d" % x if x != 75 else "")
        panel.y_tick(0, "0")
        for power in (1, 2, 3, 4, 5, 6, 7, 8):
            panel.y_tick(10 ** power, short(10 ** power))
        for name in subjects.NAMES:
            found = row["faults"].get(name, {}).get("faults")
            if found:
                panel.curve(list(zip(percent, found)), name)
    p.write(path)


def smooth(values, width=4):
    """Means of so many neighbours: half as many points are enough for a panel."""
    return [sum(values[i:i + width]) / len(values[i:i + width])
            for i in range(0, len(values), width)]


def nice_step(most):
    step = 1
    while most > 5 * step:
        step *= 2 if str(step)[0] in "15" else 2.5
    return int(step)


def traces_memory(part, path):
    """Memory in time, in MiB; grey is what was asked for."""
    p = panels(part, "Memory of the programs in time (grey: asked for)", "MiB; across: operations")
    for i, (program, row) in enumerate(part["programs"].items()):
        good = {n: m["sample"] for n, m in row["memory"].items() if m.get("sample")}
        if not good:
            continue
        asked = smooth([s[0] / MIB for s in next(iter(good.values()))])
        most = max(max(s[1] for s in c) for c in good.values()) / MIB * 1.03
        panel = Panel(p, i, program, lambda x, n=len(asked) - 1: x / n,
                      lambda y, most=most: y / most)
        area = [panel.place(x, y) for x, y in enumerate(asked)]
        area += [panel.place(len(asked) - 1, 0), panel.place(0, 0)]
        p.parts.append('<polygon fill="#e4e4e4" points="%s"/>'
                       % " ".join("%.1f,%.1f" % q for q in area))
        step = nice_step(most)
        for value in range(0, int(most) + 1, step):
            panel.y_tick(value, "%d" % value)
        for name in subjects.NAMES:
            if name in good:
                panel.curve(list(enumerate(smooth([s[1] / MIB for s in good[name]]))), name)
    p.write(path)


def traces_touched(part, path):
    """Pages referenced per interval: the ordinate by powers of ten."""
    p = panels(part, "OS pages referenced in an interval",
               "%d intervals; across: operations" % part["intervals"])
    for i, (program, row) in enumerate(part["programs"].items()):
        good = {n: smooth([s[2] for s in m["sample"]]) for n, m in row["memory"].items()
                if m.get("sample")}
        if not good:
            continue
        low = math.log10(max(1, min(min(c) for c in good.values())))
        high = math.log10(max(max(c) for c in good.values()) * 1.1 + 1)
        panel = Panel(p, i, program,
                      lambda x, n=len(next(iter(good.values()))) - 1: x / n,
                      lambda y, low=low, high=high: (math.log10(max(y, 1)) - low) / (high - low))
        for power in range(5):
            for times in (1, 3):
                if low <= math.log10(times * 10 ** power) <= high:
                    panel.y_tick(times * 10 ** power, short(times * 10 ** power))
        for name in subjects.NAMES:
            if name in good:
                panel.curve(list(enumerate(good[name])), name)
    p.write(path)


def all_of(results, folder):
    if "waste" in results:
        waste(results["waste"], folder + "/waste.svg")
    if "rows" in results.get("rattle", {}):
        rattle(results["rattle"], folder + "/rattle.svg")
    if results.get("game", {}).get("curves"):
        game(results["game"], folder + "/game.svg")
    if results.get("traces", {}).get("programs"):
        traces_memory(results["traces"], folder + "/traces-memory.svg")
        if "unreferenced" not in results["traces"]:
            traces_touched(results["traces"], folder + "/traces-touched.svg")
        if "no_faults" not in results["traces"]:
            faults(results["traces"], folder + "/traces-faults.svg")
