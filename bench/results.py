"""Runs kept in results.csv, one row each, and the figures made of them.

A figure of an allocator is always a ratio to the baseline in the same round,
and the median of those over the rounds; over workloads, the geometric mean of
the medians. A run that failed keeps its row and enters no figure.
"""

import csv
import math
import os
import statistics

FIELDS = ("round", "workload", "allocator", "status", "cpu", "user", "system", "wall",
          "minflt", "majflt", "peak_rss", "mean_rss", "ops", "throughput", "live", "rss_early",
          "rss_end", "rss_idle", "rss_trim", "op_ns", "thread_bytes", "others")
TEXT = {"workload", "allocator", "status"}
LOWEST = {"minflt": 50, "majflt": 50, "cpu": 0.002, "wall": 0.002}  # less says nothing
MORE_IS_BETTER = {"throughput"}


class Log:
    """Appends each run to the file as it ends, so an interrupted run can be shown."""

    def __init__(self, path):
        self.file = open(path, "w", newline="")
        self.out = csv.DictWriter(self.file, FIELDS, lineterminator="\n")
        self.out.writeheader()

    def add(self, run):
        self.out.writerow({k: ("%.6g" % v if isinstance(v, float) else v)
                           for k, v in run.items() if k in FIELDS})
        self.file.flush()


def load(path):
    """The rows of a file that Log wrote. One that is none, or cut short, is named."""
    rows = []
    with open(path, newline="") as f:
        reader = csv.DictReader(f)
        try:
            for row in reader:
                if None in row or None in row.values():     # too many cells, or too few
                    raise ValueError
                rows.append({k: row[k] if k in TEXT else float(row[k]) if row[k] else None
                             for k in FIELDS})
        except (KeyError, ValueError, csv.Error):
            raise SystemExit("bench: %s: line %d is no run" % (path, reader.line_num)) from None
    return rows


def geomean(values):
    return math.exp(statistics.fmean(map(math.log, values))) if values else None


class Results:
    def __init__(self, rows, baseline, subject):
        self.rows = rows
        names = set(r["allocator"] for r in rows)
        first = [a for a in (subject, baseline) if a in names]
        self.allocators = first + sorted(names.difference(first))
        self.workloads = list(dict.fromkeys(r["workload"] for r in rows))
        self.baseline = baseline
        self.subject = subject if subject in self.allocators else None
        self.rounds = int(max((r["round"] for r in rows), default=0))
        self.by = {}
        for r in rows:
            self.by.setdefault((r["workload"], r["allocator"]), {})[r["round"]] = r

    def others(self):
        """Median share of the machine that other programs took during a run."""
        shares = [r["others"] for r in self.rows if r.get("others") is not None]
        return statistics.median(shares) if shares else 0.0

    def failures(self):
        return [r for r in self.rows if r["status"] != "ok"]

    def values(self, workload, allocator, metric):
        runs = self.by.get((workload, allocator), {})
        return {n: r[metric] for n, r in runs.items()
                if r["status"] == "ok" and r[metric] is not None}

    def median(self, workload, allocator, metric):
        values = self.values(workload, allocator, metric)
        return statistics.median(values.values()) if values else None

    def ratios(self, workload, allocator, metric, against=None):
        """One ratio for each round in which both runs are good."""
        mine = self.values(workload, allocator, metric)
        base = self.values(workload, against or self.baseline, metric)
        low = LOWEST.get(metric, 1e-9)
        return [max(mine[n], low) / max(base[n], low) for n in mine if n in base]

    def ratio(self, workload, allocator, metric, against=None):
        values = self.ratios(workload, allocator, metric, against)
        return statistics.median(values) if values else None

    def measured(self, metric, workloads=None):
        """The workloads on which this metric exists at all."""
        return [w for w in workloads or self.workloads
                if any(self.values(w, a, metric) for a in self.allocators)]

    def common(self, metric):
        """The workloads on which every allocator has this figure: only over these
        are geometric means of one allocator comparable with another's."""
        return [w for w in self.measured(metric)
                if all(self.ratio(w, a, metric) is not None for a in self.allocators)]

    def overall(self, allocator, metric):
        return geomean([self.ratio(w, allocator, metric) for w in self.common(metric)])

    def peers(self, metric):
        """Who the subject is held against: for peak RSS, who is lean and fast."""
        memory = metric == "peak_rss"
        return [a for a in self.allocators
                if not self.is_subject(a) and not (memory and a == self.baseline)]

    def is_subject(self, allocator):
        return self.subject is not None and allocator.startswith(self.subject)

    def best_peer(self, workload, metric):
        known = [(self.ratio(workload, a, metric), a) for a in self.peers(metric)]
        known = [k for k in known if k[0] is not None]
        return min(known) if known else (None, None)

    def against_best(self, workload, metric):
        """(ratio of the subject to the best peer there, that peer)"""
        _, peer = self.best_peer(workload, metric)
        if peer is None or self.subject is None:
            return None, peer
        return self.ratio(workload, self.subject, metric, peer), peer


def read_curve(directory, workload, allocator):
    """Resident memory over time, [(seconds, KiB)], or nothing."""
    path = os.path.join(directory, "curves", "%s.%s" % (workload, allocator))
    if not os.path.isfile(path):
        return []
    with open(path) as f:
        return [(float(a), int(b)) for a, b in (line.split() for line in f)]
