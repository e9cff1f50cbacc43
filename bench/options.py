#!/usr/bin/python3
"""What each option of MALLOC_OPTIONS costs: CPU time and memory over no option.

Runs bench/run.py with the library under each letter, and puts the tables into doc/options.md and
man/malloc.conf.5. Ratios of runs of one round, medians over the rounds, as ever.
"""

import argparse
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True

import results

LETTERS = ("B", "C", "E", "F", "G", "H", "J", "JJ", "K", "M", "P", "R", "S", "T", "V", "W", "Z",
           "<<<", ">>>")
WORKLOADS = ("python", "perl", "lua", "churn", "stress-t2")
DOC, MAN = "doc/options.md", "man/malloc.conf.5"


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--runs", type=int, default=3, help="rounds (3)")
    p.add_argument("--scale", type=float, default=1.0, help="times the operations")
    p.add_argument("--subject", default="build/libphkmalloc.so")
    p.add_argument("--bin", default="build/bench")
    p.add_argument("--out", default="build/bench/options")
    p.add_argument("--report", action="store_true", help="run nothing: write the pages again")
    return p.parse_args()


def measure(options):
    command = ["bench/run.py", "--subject", options.subject, "--bin", options.bin, "--out",
               options.out, "--runs", str(options.runs), "--scale", str(options.scale),
               "--only", ",".join(WORKLOADS),
               "--baseline", "phkmalloc", "--idle", "0",
               "--allocators", ",".join(("phkmalloc",) + LETTERS)]
    for letters in LETTERS:
        command += ["--peer", "%s=%s,MALLOC_OPTIONS=%s" % (letters, options.subject, letters)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        if "FAILED" in line:
            print(line)
    return done.returncode


def cells(figures, letters):
    """CPU and memory on each workload, as text."""
    found = [figures.ratio(w, letters, m) for m in ("cpu", "peak_rss") for w in figures.workloads]
    return ["%.2f" % f if f is not None else "-" for f in found]


def replace(path, begin, end, text):
    with open(path, encoding="utf-8") as f:
        page = f.read()
    new = re.sub(re.escape(begin) + "\n.*?" + re.escape(end),
                 lambda m: begin + "\n" + text + end, page, flags=re.S)
    if begin not in page:
        raise SystemExit("%s: %s is not there" % (path, begin))
    with open(path, "w", encoding="utf-8") as f:
        f.write(new)


def write(figures):
    names = figures.workloads
    head = ["letters"] + ["CPU: " + names[0]] + names[1:] + ["memory: " + names[0]] + names[1:]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (2 * len(names))]
    lines += ["| " + " | ".join(["`%s`" % x] + cells(figures, x)) + " |" for x in LETTERS]
    text = "\n".join(lines) + "\n\n%d interleaved rounds; other programs took %.0f%% of the " \
        "machine.\n" % (figures.rounds, 100 * figures.others())
    replace(DOC, "<!-- begin costs -->", "<!-- end costs -->", text)
    names = [n.split("-")[0] for n in names]
    widths = " ".join('"%s"' % ("0" * max(len(n), 4)) for n in names)
    lines = ['.Bl -column "letters" %s %s' % (widths, widths),
             ".It Sy letters Ta Sy CPU" + " Ta" * len(names) + " Sy memory" +
             " Ta" * (len(names) - 1),
             ".It Ta " + " Ta ".join(names + names)]
    lines += [".It Cm %s Ta " % x + " Ta ".join(cells(figures, x)) for x in LETTERS]
    replace(MAN, '.\\" begin costs', '.\\" end costs', "\n".join(lines) + "\n.El\n")


def main():
    options = arguments()
    failed = 0 if options.report else measure(options)
    rows = results.load(os.path.join(options.out, "results.csv"))
    write(results.Results(rows, "phkmalloc", "phkmalloc"))
    return failed


if __name__ == "__main__":
    sys.exit(main())
