"""The plots of the results page, each a function from results to a drawing."""

import markdown
import workloads
from svg import CHAR, Drawing, Linear, Log, plain, spread

ROW = 23
COLOURS = 10
HEIGHT = 270     # of the small plots, so that two stand side by side
SHORT = {"rss_end": "at once", "rss_idle": "idle", "rss_trim": "trimmed"}


def index_of(figures, allocator):
    """Colour 0 is the subject's, 1 the baseline's, whether or not they are there."""
    others = [a for a in figures.allocators if a not in (figures.subject, figures.baseline)]
    if allocator == figures.subject:
        return 0
    return 1 if allocator == figures.baseline else 2 + others.index(allocator) % COLOURS


def in_front(figures):
    """Drawing order: the subject last, so that no other mark hides it."""
    return sorted(figures.allocators, key=lambda a: -index_of(figures, a))


def grouped(names):
    for group, title in workloads.GROUPS:
        mine = [w for w in names if w in markdown.KNOWN and markdown.KNOWN[w].group == group]
        if mine:
            yield title, mine


def axis_top(d, scale, y, bottom, form="%s"):
    for t in scale.ticks():
        x = scale(t)
        d.line(x, y + 6, x, bottom, "one" if t == 1 else "grid")
        d.text(x, y, form % plain(t), "tick", "middle")


def landscape(figures):
    """CPU against peak RSS, one mark an allocator: down and left is better."""
    points = []
    for a in figures.allocators:
        x, y = figures.overall(a, "cpu"), figures.overall(a, "peak_rss")
        if x is not None and y is not None:
            points.append((a, x, y))
    if not points:
        return ""
    d = Drawing(620, 400, "user+system CPU against peak RSS")
    sx = Log([p[1] for p in points], 70, 500)
    sy = Log([p[2] for p in points], 335, 30)
    for t in sx.ticks(7):
        d.line(sx(t), 20, sx(t), 345, "one" if t == 1 else "grid")
        d.text(sx(t), 363, plain(t), "tick", "middle")
    for t in sy.ticks(7):
        d.line(60, sy(t), 515, sy(t), "one" if t == 1 else "grid")
        d.text(52, sy(t) + 4, plain(t), "tick", "end")
    d.text(288, 390, "← faster · user+system CPU, ratio to %s" % figures.baseline, "axis",
           "middle")
    d.add('<text transform="translate(16 180) rotate(-90)" class="axis" text-anchor="middle">'
          "← leaner · peak RSS</text>")
    places = spread([(sy(y) + 4, (a, x, y)) for a, x, y in points], 15)
    for label, (a, x, y) in places:
        i = index_of(figures, a)
        d.text(sx(x) + 13, label, a, "name m a%d" % i)
    for a, x, y in sorted(points, key=lambda p: -index_of(figures, p[0])):
        d.mark(sx(x), sy(y), index_of(figures, a),
               "%s: CPU %.2f, peak RSS %.2f" % (a, x, y), 8)
    return d.render()


def overall_bars(figures, metric, title):
    known = [(figures.overall(a, metric), a) for a in figures.allocators]
    known = sorted((k for k in known if k[0] is not None), reverse=False)
    if not known:
        return ""
    d = Drawing(440, 38 + 27 * len(known), title)
    d.text(0, 14, title, "head")
    scale = Linear([v for v, _ in known] + [1], 104, 390)
    d.line(scale(1), 24, scale(1), d.height - 4, "one")
    for n, (value, a) in enumerate(known):
        y, i = 28 + 27 * n, index_of(figures, a)
        d.text(96, y + 14, a, "name m a%d" % i, "end")
        d.rect(scale(0), y + 2, scale(value) - scale(0), 17, "m bar a%d" % i,
               "%s: %s %.3f" % (a, title, value))
        d.text(scale(value) + 7, y + 15, "%.2f" % value, "value")
    return d.render()


def verdict(figures, workload, metric, limit, show):
    """Right of a row: the subject against the best peer there, if that is a goal."""
    if limit is None:
        value = figures.subject and figures.median(workload, figures.subject, metric)
        return ("" if value is None else show(value)), ""
    ratio, peer = figures.against_best(workload, metric)
    if ratio is None:
        return "", ""
    css = "good" if ratio <= 1.0 else "even" if ratio <= limit else "bad"
    return "%.2f of %s" % (ratio, peer), css


def dots(figures, metric, title, limit, show, real):
    """A row a workload, a mark an allocator, the baseline as the line at 1.

    Real programs differ less than the patterns made to tell allocators apart, so
    they get a drawing, and with it a scale, of their own.
    """
    names = [w for w in figures.measured(metric)
             if (markdown.KNOWN[w].group == "real") == real]
    ratios = {(w, a): figures.ratio(w, a, metric) for w in names for a in figures.allocators}
    values = [r for r in ratios.values() if r is not None]
    if not values:
        return ""
    groups = list(grouped(names))
    height = 46 + sum(34 + ROW * len(ws) for _, ws in groups)
    d = Drawing(1040, height, title + (", real programs" if real else ""))
    scale = Log(values, 250, 820, 1 / 16, 16)
    axis_top(d, scale, 14, height - 8, "%s×")
    d.text(100, 14, "workload", "tick", "end")
    d.text(176, 14, figures.baseline, "tick", "end")
    if figures.subject:
        d.text(1036, 14, figures.subject + (" / best peer" if limit else ""), "tick", "end")
    y = 26
    for group, members in groups:
        d.text(0, y + 22, group, "head")
        y += 32
        for w in members:
            dot_row(d, figures, scale, w, metric, ratios, y, show)
            text, css = verdict(figures, w, metric, limit, show)
            d.text(1036, y + 16, text, "value " + css, "end")
            d.close_row()
            y += ROW
        y += 2
    return d.render()


def dot_row(d, figures, scale, w, metric, ratios, y, show):
    d.open_row(y, ROW)
    middle = y + ROW / 2
    d.add('<text x="100" y="%.1f" class="name" text-anchor="end"%s>%s</text>'
          % (middle + 4, ' data-tip="%s"' % markdown.KNOWN[w].about, w))
    base = figures.median(w, figures.baseline, metric)
    d.text(176, middle + 4, show(base) if base is not None else "", "value faint", "end")
    known = [r for a in figures.allocators if (r := ratios[w, a]) is not None]
    if known:
        d.line(scale(min(known)), middle, scale(max(known)), middle, "span")
    failed = 0
    for a in in_front(figures):
        ratio, i = ratios[w, a], index_of(figures, a)
        if ratio is None:
            d.text(846 + 11 * failed, middle + 4, "✕", "m a%d failed" % i)
            failed += 1
            continue
        each = figures.ratios(w, a, metric)
        if i == 0 and len(each) > 1:
            d.line(scale(min(each)), middle, scale(max(each)), middle, "m whisker a0")
        tip = "%s, %s: %.2f× (%s), rounds %.2f to %.2f" % (
            w, a, ratio, show(figures.median(w, a, metric)), min(each), max(each))
        d.mark(scale(ratio), middle, i, tip, 6.2 if i == 0 else 4.6)
        if scale.beyond(ratio):
            d.text(scale(ratio) + (9 if ratio > 1 else -9), middle + 4,
                   "%s× ▸" % plain(ratio) if ratio > 1 else "◂ %.2g×" % ratio,
                   "value m a%d" % i, "start" if ratio > 1 else "end")


def after_peak(figures, workload):
    """Resident memory at once, after idling, trimmed: three marks on one line."""
    metrics = [m for m in SHORT if figures.measured(m, [workload])]
    rows = {a: {m: figures.median(workload, a, m) for m in metrics}
            for a in figures.allocators}
    values = [v / 1e6 for r in rows.values() for v in r.values() if v is not None]
    if not values:
        return ""
    d = Drawing(500, HEIGHT, "RSS after the peak of " + workload)
    step = min(36, (HEIGHT - 56) / len(rows))
    scale = Linear(values, 92, 480)
    d.text(0, 14, workload, "head")
    d.text(CHAR * len(workload) + 24, 14, markdown.KNOWN[workload].about, "tick")
    for t in scale.ticks(5):
        d.line(scale(t), 42, scale(t), d.height - 6, "grid")
        d.text(scale(t), 36, plain(t) + " MB", "tick", "middle")
    live = next((v for a in rows if (v := figures.median(workload, a, "live"))), None)
    if live:
        d.line(scale(live / 1e6), 42, scale(live / 1e6), d.height - 6, "live")
    for n, (a, row) in enumerate(rows.items()):
        y, i = 48 + step * (n + 0.5), index_of(figures, a)
        d.text(84, y + 4, a, "name m a%d" % i, "end")
        places = [scale(v / 1e6) for v in row.values() if v is not None]
        if places:
            d.line(min(places), y, max(places), y, "m stem a%d" % i)
        for size, (m, v) in zip((4.5, 6.0, 4.5), row.items()):
            if v is None:
                continue
            css = {"rss_end": "solid", "rss_idle": "half", "rss_trim": "open"}[m]
            d.add('<circle cx="%.1f" cy="%.1f" r="%.1f" class="m a%d %s" data-tip="%s"/>'
                  % (scale(v / 1e6), y, size, i, css, "%s, %s, %s: %.1f MB"
                     % (workload, a, SHORT[m], v / 1e6)))
    return d.render()


def curves(figures, workload, read):
    """Resident memory over the run, a line an allocator."""
    lines = {a: [(s, k / 1024) for s, k in read(workload, a)] for a in in_front(figures)}
    lines = {a: thin(points[:-3]) for a, points in lines.items() if len(points) > 9}
    if not lines:
        return ""
    d = Drawing(500, HEIGHT, "RSS over time of " + workload)
    sx = Linear([p[0] for ps in lines.values() for p in ps], 44, 410)
    sy = Linear([p[1] for ps in lines.values() for p in ps], 240, 24)
    d.text(0, 14, workload + ": RSS over the run", "head")
    for t in sy.ticks(4):
        d.line(44, sy(t), 412, sy(t), "grid")
        d.text(38, sy(t) + 4, plain(t), "tick", "end")
    d.text(412, 20, "MiB", "tick", "end")
    for t in sx.ticks(5):
        d.text(sx(t), 258, plain(t) + " s", "tick", "middle")
    for a, points in lines.items():
        i = index_of(figures, a)
        d.path([(sx(s), sy(m)) for s, m in points], "m curve a%d" % i, a)
    ends = [(sy(ps[-1][1]) + 4, a) for a, ps in lines.items()]
    for y, a in spread(ends, 14):
        d.text(420, y, a, "name m a%d" % index_of(figures, a))
    return d.render()


def thin(points, most=240):
    step = max(1, len(points) // most)
    return points[::step] + points[-1:]


def bars(figures, workload, metric, title, show, guide=None):
    """Medians of one metric on one workload; with a guide, on a scale of logarithms."""
    known = [(figures.median(workload, a, metric), a) for a in figures.allocators]
    known = [(max(v, 1), a) for v, a in known if v is not None]
    if not known:
        return ""
    d = Drawing(500, HEIGHT, title)
    d.text(0, 14, title, "head")
    values = [v for v, _ in known]
    scale = Linear(values, 92, 410)
    if guide:
        scale = Log([min(values) / 2, guide[0]] + values, 92, 410, 0, float("inf"))
        d.line(scale(guide[0]), 44, scale(guide[0]), d.height - 8, "live")
        d.text(scale(guide[0]), 38, guide[1], "tick", "middle")
    step = min(36, (HEIGHT - 56) / len(known))
    for n, (value, a) in enumerate(sorted(known)):
        y, i = 48 + step * (n + 0.5), index_of(figures, a)
        d.text(84, y + 4, a, "name m a%d" % i, "end")
        d.rect(92, y - 8, scale(value) - 92, 16, "m bar a%d" % i, "%s: %s" % (a, show(value)))
        d.text(scale(value) + 7, y + 4, show(value), "value")
    return d.render()


def heap_sizes(figures):
    """Nanoseconds a replacement against the size of the heap."""
    sizes = [(w, t) for w, t in (("heap-1m", "1 MB"), ("heap-100m", "100 MB"),
                                 ("heap-10g", "10 GB")) if w in figures.workloads]
    points = {a: [figures.median(w, a, "op_ns") for w, _ in sizes] for a in figures.allocators}
    points = {a: p for a, p in points.items() if None not in p}
    if len(sizes) < 2 or not points:
        return ""
    d = Drawing(500, HEIGHT, "cost of a replacement against heap size")
    d.text(0, 14, "Nanoseconds a replacement, by live heap", "head")
    sy = Linear([v for p in points.values() for v in p], 230, 30)
    x = [70 + 330 * n / (len(sizes) - 1) for n in range(len(sizes))]
    for t in sy.ticks(5):
        d.line(50, sy(t), 410, sy(t), "grid")
        d.text(42, sy(t) + 4, plain(t), "tick", "end")
    for place, (_, title) in zip(x, sizes):
        d.text(place, 254, title, "tick", "middle")
    for a in [a for a in in_front(figures) if a in points]:
        i = index_of(figures, a)
        d.path([(place, sy(v)) for place, v in zip(x, points[a])], "m curve a%d" % i)
        for place, v in zip(x, points[a]):
            d.mark(place, sy(v), i, "%s: %.0f ns" % (a, v), 4.5)
    for y, a in spread([(sy(p[-1]) + 4, a) for a, p in points.items()], 14):
        i = index_of(figures, a)
        d.text(412, y, a, "name m a%d" % i)
    return d.render()
