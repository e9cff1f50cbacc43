"""The results as one HTML file that needs nothing else: style, script and plots inline."""

import os
from html import escape

import charts
import markdown
import results
import svg

HERE = os.path.dirname(os.path.abspath(__file__))


def read_here(name):
    with open(os.path.join(HERE, name)) as f:
        return f.read()


def seconds(v):
    return "%.2f s" % v


def megabytes(v):
    return "%.0f MB" % (v / 1e6) if v >= 1e7 else "%.1f MB" % (v / 1e6)


def count(v):
    return "{:,.0f}".format(v)


def kib(v):
    return "%.0f B" % v if v < 1024 else "%.1f KiB" % (v / 1024)


def rounds(figures):
    return "%d round%s" % (figures.rounds, "" if figures.rounds == 1 else "s")


def section(title, lead, *bodies):
    body = "".join(b for b in bodies if b)
    if not body:
        return ""
    return "<section><h2>%s</h2><p class=lead>%s</p>%s</section>" % (escape(title), lead, body)


def pair(*drawings):
    shown = "".join("<figure>%s</figure>" % d for d in drawings if d)
    return "<div class=grid>%s</div>" % shown if shown else ""


def both(figures, metric, title, limit, show):
    """The patterns and the real programs, each drawn on a scale of their own."""
    drawn = (charts.dots(figures, metric, title, limit, show, real) for real in (False, True))
    return ["<figure>%s</figure>" % d for d in drawn if d]


def legend(figures):
    keys = []
    for a in figures.allocators:
        i = charts.index_of(figures, a)
        d = svg.Drawing(16, 16, a)
        d.mark(8, 8, i, "", 5.5)
        keys.append('<button data-a="a%d" class="key" aria-pressed="false">%s%s</button>'
                    % (i, d.render(), escape(a)))
    return "<nav class=legend aria-label='pick an allocator'>%s</nav>" % "".join(keys)


def tile(big, small):
    return "<div class=tile><b>%s</b><span>%s</span></div>" % (escape(big), escape(small))


def tiles(figures):
    """The subject in four numbers; without it, how much was run."""
    ran = tile(str(len(figures.rows)), "runs: %d workloads, %d allocators, %s" % (
        len(figures.workloads), len(figures.allocators), rounds(figures)))
    if figures.subject is None:
        return "<div class=tiles>%s</div>" % ran
    shown = []
    for metric, what, limit in (("cpu", "user+system CPU", markdown.SPEED_LIMIT),
                                ("peak_rss", "peak RSS", markdown.MEMORY_LIMIT)):
        mine = figures.overall(figures.subject, metric)
        peers = [(figures.overall(a, metric), a) for a in figures.peers(metric)]
        peers = [p for p in peers if p[0] is not None]
        if mine is None or not peers:
            continue
        value, peer = min(peers)
        best = "best peer" if figures.baseline in figures.peers(metric) else "leanest fast peer"
        shown.append(tile("%.2f×" % (mine / value), "%s of %s, the %s overall"
                          % (what, peer, best)))
        against = [figures.against_best(w, metric)[0] for w in figures.measured(metric)]
        against = [r for r in against if r is not None]
        shown.append(tile("%d of %d" % (sum(r <= limit for r in against), len(against)),
                          "workloads within %.2f of the %s there, %s" % (limit, best, what)))
    return "<div class=tiles>%s%s</div>" % ("".join(shown), ran)


def notices(figures, about):
    parts = []
    failed = markdown.failures(figures)
    if failed:
        parts.append("<div class='notice bad'><b>Failed runs</b><ul>%s</ul></div>" % "".join(
            "<li>%s</li>" % escape(line[2:]) for line in failed.strip().split("\n")))
    if about["missing"]:
        parts.append("<div class=notice><b>Not measured</b> %s</div>"
                     % escape("; ".join(about["missing"])))
    if figures.others() > 0.1:
        parts.append("<div class='notice bad'>Other programs took %.0f%% of the machine during "
                     "the median run: the figures are rough.</div>" % (100 * figures.others()))
    return "".join(parts)


def html_table(figures, metric, show):
    head = "".join("<th>%s</th>" % escape(a) for a in figures.allocators)
    rows = []
    for w in figures.measured(metric):
        medians = {a: figures.median(w, a, metric) for a in figures.allocators}
        ratios = {a: figures.ratio(w, a, metric) for a in figures.allocators}
        pick = max if metric in results.MORE_IS_BETTER else min
        best = pick((r for r in ratios.values() if r is not None), default=None)
        cells = "".join(
            "<td%s>%s <small>%s</small></td>" % (
                " class=best" if ratios[a] is not None and ratios[a] == best else "",
                markdown.number(ratios[a]), "" if medians[a] is None else show(medians[a]))
            for a in figures.allocators)
        rows.append("<tr><th scope=row>%s</th>%s</tr>" % (escape(w), cells))
    return "<div class=scroll><table><thead><tr><th></th>%s</tr></thead>%s</table></div>" % (
        head, "".join(rows))


def tables(figures):
    parts = []
    for title, metric, show in (
            ("User+system CPU", "cpu", seconds), ("Wall time", "wall", seconds),
            ("Throughput", "throughput", lambda v: count(v) + "/s"),
            ("Peak RSS", "peak_rss", megabytes), ("RSS at the end", "rss_end", megabytes),
            ("RSS after idling", "rss_idle", megabytes),
            ("RSS after a trim", "rss_trim", megabytes),
            ("Minor faults", "minflt", count), ("Major faults", "majflt", count)):
        if figures.measured(metric):
            parts.append("<details><summary>%s</summary>%s</details>"
                         % (title, html_table(figures, metric, show)))
    return "".join(parts)


def memory_section(figures, out):
    def read(workload, allocator):
        return results.read_curve(out, workload, allocator)

    peaks = [w for w in ("frag", "peak-t4", "redis") if w in figures.workloads]
    plots = []
    for w in peaks:
        plots += [charts.after_peak(figures, w), charts.curves(figures, w, read)]
    return section(
        "After the peak", "What stays resident when most of the memory has been freed: "
        "<i class=solid></i> at once, <i class=half></i> after idling, <i class=open></i> after "
        "an explicit trim. The dashed line is what the program still holds.", pair(*plots))


def render(figures, about, out):
    base = escape(figures.baseline)
    names = ", ".join((a["name"] + " " + a["version"]).strip() for a in about["allocators"])
    lead_cpu = ("A mark an allocator, as a ratio to %s in the same round; the median of %s. "
                "Left is better. A pale bar through the mark of %s is the range of the rounds." % (
                    base, rounds(figures), escape(figures.subject or "the subject")))
    body = [
        "<header><h1>Memory allocators, side by side</h1><p class=lead>%s. %s.</p>%s%s</header>"
        % (escape(about["machine"]), escape(about["date"]), tiles(figures),
           notices(figures, about)),
        legend(figures),
        section("Overall", "Geometric means over the %d workloads on which every allocator ran, "
                "ratio to %s. Below and left is better." % (len(figures.common("cpu")), base),
                "<div class=hero><figure>%s</figure><figure>%s%s</figure></div>" % (
                    charts.landscape(figures),
                    charts.overall_bars(figures, "cpu", "user+system CPU"),
                    charts.overall_bars(figures, "peak_rss", "peak RSS"))),
        section("User+system CPU", lead_cpu, *both(
            figures, "cpu", "user+system CPU", markdown.SPEED_LIMIT, seconds)),
        section("Peak RSS", "The largest process of each run, as the kernel accounts it.", *both(
            figures, "peak_rss", "peak RSS", markdown.MEMORY_LIMIT, megabytes)),
        memory_section(figures, out),
        section("Scale", "Many threads, many thread lives, large heaps.", pair(
            charts.bars(figures, "idle-10k", "thread_bytes", "Kept for each of 10,000 "
                            "idle threads", kib, (16384, "16 KiB")),
            charts.heap_sizes(figures),
            charts.bars(figures, "storm", "rss_end", "RSS after 100,000 thread lives",
                            megabytes),
            charts.bars(figures, "redis", "throughput", "redis: requests a second "
                            "(more is better)", lambda v: "%.0f k" % (v / 1e3)))),
        section("Minor faults", "First touches of memory the kernel had to supply.",
                *both(figures, "minflt", "minor faults", None, count)),
        section("All figures", "Ratio, and the median itself. The best of a row is marked. "
                "Absolute times mean little on a shared machine.", tables(figures)),
        "<footer><p>%s.</p><p>Repeat with <code>%s</code></p></footer>" % (
            escape(names), escape(about["command"])),
        "<div id=tip hidden></div>"]
    return ("<!doctype html><html lang=en><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width,initial-scale=1'>"
            "<title>Memory allocators, side by side</title><style>%s</style><body>%s"
            "<script>%s</script></body></html>\n"
            % (read_here("page.css"), "\n".join(b for b in body if b), read_here("page.js")))
