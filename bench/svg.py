"""Plots as SVG text, drawn to be read: few lines, labels at the marks.

Every mark of the allocator with index i has the classes `m` and `a<i>`; colours
come from the page's style sheet, so one drawing serves light and dark. A mark's
`data-tip` is shown by the page when the pointer is on it.
"""

import math
from html import escape

SHAPES = "circle square diamond up down cross ring box".split()
CHAR = 6.6      # mean width of a character at the size of the labels


class Drawing:
    def __init__(self, width, height, title):
        self.width = width
        self.height = height
        self.title = title
        self.parts = []

    def add(self, text):
        self.parts.append(text)

    def line(self, x1, y1, x2, y2, css):
        self.add('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>'
                 % (x1, y1, x2, y2, css))

    def text(self, x, y, text, css="", anchor="start"):
        self.add('<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>'
                 % (x, y, css, anchor, escape(text)))

    def rect(self, x, y, w, h, css, tip=""):
        self.add('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" class="%s"%s/>'
                 % (x, y, max(w, 0.5), h, css, tip_of(tip)))

    def mark(self, x, y, index, tip, size=5.0, css=""):
        """The shape of allocator `index`, so that colour is not all that tells."""
        shape = SHAPES[index % len(SHAPES)]
        attributes = 'class="m a%d %s"%s' % (index, css, tip_of(tip))
        if shape in ("circle", "ring"):
            if shape == "ring":
                attributes = attributes.replace('class="m', 'class="hollow m')
            self.add('<circle cx="%.1f" cy="%.1f" r="%.1f" %s/>' % (x, y, size, attributes))
            return
        if shape == "box":
            attributes = attributes.replace('class="m', 'class="hollow m')
        self.add('<path d="%s" %s/>' % (outline(shape, x, y, size), attributes))

    def path(self, points, css, tip=""):
        d = "M" + "L".join("%.1f,%.1f" % p for p in points)
        self.add('<path d="%s" class="%s" fill="none"%s/>' % (d, css, tip_of(tip)))

    def open_row(self, y, height):
        self.add('<g class="row"><rect x="0" y="%.1f" width="%.1f" height="%.1f" '
                 'class="band"/>' % (y, self.width, height))

    def close_row(self):
        self.add("</g>")

    def render(self):
        return ('<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s" '
                'style="max-width:%.0fpx">%s</svg>'
                % (self.width, self.height, escape(self.title), self.width,
                   "".join(self.parts)))


def tip_of(text):
    return ' data-tip="%s"' % escape(text) if text else ""


def outline(shape, x, y, r):
    s, d = r * 0.88, r * 1.2
    corners = {
        "square": ((-s, -s), (s, -s), (s, s), (-s, s)),
        "box": ((-s, -s), (s, -s), (s, s), (-s, s)),
        "diamond": ((0, -d), (d, 0), (0, d), (-d, 0)),
        "up": ((0, -d), (d, s), (-d, s)),
        "down": ((0, d), (d, -s), (-d, -s)),
        "cross": ((-d, -d / 2), (-d / 2, -d), (0, -d / 2), (d / 2, -d), (d, -d / 2), (d / 2, 0),
                  (d, d / 2), (d / 2, d), (0, d / 2), (-d / 2, d), (-d, d / 2), (-d / 2, 0)),
    }[shape]
    return "M" + "L".join("%.1f,%.1f" % (x + a, y + b) for a, b in corners) + "Z"


class Log:
    """Values to places, by their logarithm, with ends that stand off from the data."""

    STEPS = ([i / 20 for i in range(20, 200)], [i / 10 for i in range(10, 100)],
             (1, 1.2, 1.4, 1.7, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 5, 7),
             (1, 2, 5), (1, 3), (1,))     # finest first

    def __init__(self, values, start, end, low=1 / 64, high=64):
        self.low = max(low, min(values) / 1.08)
        self.high = min(high, max(values) * 1.08)
        if self.high / self.low < 1.25:
            self.low, self.high = self.low / 1.1, self.high * 1.1
        self.start, self.end = start, end

    def __call__(self, value):
        value = min(max(value, self.low), self.high)
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + (self.end - self.start) * share

    def beyond(self, value):
        return value > self.high or value < self.low

    def ticks(self, count=9):
        """Round values, as few as keep them apart."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in self.STEPS:
            found = [s * 10.0 ** d for d in decades for s in steps]
            found = [t for t in found if self.low <= t <= self.high]
            if len(found) <= count:
                break
        return found


class Linear:
    def __init__(self, values, start, end, zero=True):
        self.low = 0 if zero else min(values)
        self.high = max(values) * 1.05 or 1
        self.start, self.end = start, end

    def __call__(self, value):
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def ticks(self, count=6):
        raw = (self.high - self.low) / count
        step = 10.0 ** math.floor(math.log10(raw))
        step *= next((m for m in (1, 2, 5) if m * step >= raw), 10)
        first = math.ceil(self.low / step)
        return [step * i for i in range(first, int(self.high / step) + 1)]


def plain(value):
    return "%.3g" % value if value < 1000 else "{:,.0f}".format(value)


def spread(places, gap):
    """Move labels apart, keeping their order: pairs (place wanted, thing)."""
    places = sorted(places, key=lambda p: p[0])
    out = []
    for want, thing in places:
        out.append([max(want, out[-1][0] + gap) if out else want, thing])
    shift = sum(o[0] - p[0] for o, p in zip(out, places)) / max(len(out), 1)
    return [(o[0] - shift, o[1]) for o in out]
