"""The results as Markdown tables, and putting them into a document."""

import workloads

KNOWN = {w.name: w for w in workloads.ALL}
SPEED_LIMIT, MEMORY_LIMIT, AFTER_LIMIT = 1.10, 1.05, 0.70   # beyond, it counts as lost


def number(value, form="%.2f"):
    return "–" if value is None else form % value


def megabytes(value):
    return "–" if value is None else "%.1f MB" % (value / 1e6)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" + "--:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(r) + " |" for r in rows]) + "\n"


def overview(figures):
    columns = [("CPU", "cpu"), ("wall", "wall"), ("peak RSS", "peak_rss"),
               ("RSS at the end", "rss_end"), ("idle", "rss_idle"),
               ("trimmed", "rss_trim"), ("minor faults", "minflt")]
    columns = [(title, m) for title, m in columns if figures.common(m)]
    over = [str(len(figures.common(m))) + " of %d" % len(figures.measured(m))
            for _, m in columns]
    rows = []
    for a in figures.allocators:
        cells = []
        for _, metric in columns:
            cells.append(number(figures.overall(a, metric)))
        failed = sum(r["allocator"] == a for r in figures.failures())
        rows.append([a] + cells + [str(failed)])
    rows.append(["*workloads all have*"] + over + [""])
    return table(["allocator"] + [t for t, _ in columns] + ["failed runs"], rows)


def per_workload(figures, metric, show):
    names = figures.measured(metric)
    rows = []
    for w in names:
        ratios = {a: figures.ratio(w, a, metric) for a in figures.allocators}
        known = [r for r in ratios.values() if r is not None]
        cells = []
        for a in figures.allocators:
            cell = number(ratios[a])
            if known and ratios[a] == min(known):
                cell = "**%s**" % cell
            if a == figures.baseline and ratios[a] is not None:
                cell += " (%s)" % show(figures.median(w, a, metric))
            cells.append(cell)
        rows.append([w] + cells)
    last = [number(figures.overall(a, metric)) for a in figures.allocators]
    return table(["workload"] + figures.allocators, rows + [["*geometric mean*"] + last])


def against_peers(figures, metric, limit, what):
    """The subject against the best single peer overall, and where it loses."""
    known = [(figures.overall(a, metric), a) for a in figures.peers(metric)]
    known = [k for k in known if k[0] is not None]
    mine = figures.overall(figures.subject, metric)
    if not known or mine is None:
        return ""
    value, peer = min(known)
    lines = ["- %s: %.2f of %s, the best peer over all workloads." % (what, mine / value, peer)]
    lost = []
    for w in figures.measured(metric):
        ratio, best = figures.against_best(w, metric)
        if ratio is not None and ratio > limit:
            lost.append((ratio, w, best))
    for ratio, w, best in sorted(lost, reverse=True):
        lines.append("  - %s: %.2f of %s" % (w, ratio, best))
    if not lost:
        lines.append("  - on no workload more than %.2f of the best peer there" % limit)
    return "\n".join(lines) + "\n"


def scale_table(figures):
    rows = []
    for title, workload, metric, form in (
            ("bytes kept for an idle thread", "idle-10k", "thread_bytes", "%.0f"),
            ("RSS after 100,000 threads / after a tenth", "storm", None, None),
            ("ns a replacement, 1 MB live", "heap-1m", "op_ns", "%.0f"),
            ("ns a replacement, 100 MB live", "heap-100m", "op_ns", "%.0f"),
            ("ns a replacement, 10 GB live", "heap-10g", "op_ns", "%.0f"),
            ("redis: requests a second", "redis", "throughput", "%.0f")):
        if workload not in figures.workloads:
            continue
        if metric:
            cells = [number(figures.median(workload, a, metric), form)
                     for a in figures.allocators]
        else:
            cells = ["%s / %s" % tuple(megabytes(figures.median(workload, a, m))
                                       for m in ("rss_end", "rss_early"))
                     for a in figures.allocators]
        rows.append([title] + cells)
    return table(["figure"] + figures.allocators, rows) if rows else ""


def failures(figures):
    lines = {}
    for r in figures.failures():
        lines.setdefault((r["workload"], r["allocator"], r["status"]), []).append(r)
    return "".join("- %s under %s: %s (%d of %d runs)\n" % (*key, len(runs), figures.rounds)
                   for key, runs in lines.items())


def summary(figures, about):
    versions = ", ".join(a["name"] + (" " + a["version"] if a["version"] else "")
                         + (" (%s)" % a["env"] if a["env"] else "")
                         for a in about["allocators"])
    parts = [
        "%s. %s: %d round(s), %d workloads, one run of each under each allocator a round.\n"
        % (about["machine"], about["date"], figures.rounds, len(figures.workloads)),
        "Allocators: %s. Repeat with `%s`.\n" % (versions, about["command"]),
        "Other programs took %.0f%% of the machine during the median run%s.\n" % (
            100 * figures.others(), " (too much: repeat on a quiet machine)"
            if figures.others() > 0.1 else ""),
        "Ratios to %s (lower is better): medians over the rounds, each ratio of two runs of "
        "one round; geometric means over the workloads.\n" % figures.baseline,
        overview(figures)]
    if figures.subject:
        parts.append("".join(against_peers(figures, *goal) for goal in (
            ("cpu", SPEED_LIMIT, "user+system CPU"),
            ("peak_rss", MEMORY_LIMIT, "peak RSS (%s apart)" % figures.baseline),
            ("rss_idle", AFTER_LIMIT, "RSS after %d s idle" % about["idle"]),
            ("rss_trim", AFTER_LIMIT, "RSS after a trim"))))
    seconds = "{:.2f} s".format
    for title, metric, show in (
            ("User+system CPU", "cpu", seconds), ("Wall time", "wall", seconds),
            ("Peak RSS", "peak_rss", megabytes), ("RSS at the end", "rss_end", megabytes),
            ("RSS after %d s idle" % about["idle"], "rss_idle", megabytes),
            ("RSS after a trim", "rss_trim", megabytes),
            ("Minor faults", "minflt", "{:.0f}".format)):
        if figures.measured(metric):
            parts.append("### %s\n" % title)
            parts.append(per_workload(figures, metric, show))
    scale = scale_table(figures)
    if scale:
        parts += ["### Scale\n", scale]
    if figures.failures():
        parts += ["### Failed runs\n", failures(figures)]
    if about["missing"]:
        parts += ["Not measured: %s.\n" % "; ".join(about["missing"])]
    return "\n".join(parts)


def put_section(path, name, text):
    """Replace what is between <!-- name:begin --> and <!-- name:end -->."""
    begin, end = "<!-- %s:begin -->" % name, "<!-- %s:end -->" % name
    with open(path) as f:
        old = f.read()
    if old.count(begin) != 1 or old.count(end) != 1:
        raise SystemExit("bench: %s has no section %s" % (path, begin))
    head, rest = old.split(begin)
    tail = rest.split(end)[1]
    with open(path, "w") as f:
        f.write(head + begin + "\n\n" + text.strip() + "\n\n" + end + tail)
    print("updated %s in %s" % (name, path))
