#!/usr/bin/env python3
"""The benchmarks: what they measure, what they say when something is missing, fails or is damaged.

Figures themselves are not looked at, but for instructions, which do not depend on the machine.
"""
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import done, report, skip  # noqa: E402  (not of this folder)

BUILD, LIBRARY = os.environ["B"], os.environ["SO"]
PEER = os.path.join(BUILD, "test/bench/libpeer.so")
QUICK = ["--runs", "2", "--scale", "0.01", "--idle", "0"]


def run(script, *arguments):
    """(exit status, what was printed, errors too)"""
    ran = subprocess.run(["bench/" + script, "--bin", BUILD + "/bench", *arguments], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200)
    return ran.returncode, ran.stdout


def bench(*arguments, subject=LIBRARY):
    return run("run.py", "--subject", subject, *arguments)


def refused(promise, words, ran):
    """It ended at once, with one line of its own that has these words."""
    status, text = ran
    lines = text.strip().split("\n")
    report(status == 1 and lines[-1].startswith("bench: ") and words in lines[-1]
           and "Traceback" not in text, promise, ran)


def built(scratch):
    """From nothing: make builds what it measures."""
    make = os.environ.get("MAKE", "make")
    planned = subprocess.run([make, "-n", "SETUP=no", "B=" + scratch + "/none", "bench"],
                             text=True, capture_output=True)
    report(planned.returncode == 0 and "-o %s/none/libphkmalloc.so" % scratch in planned.stdout
           and "--setup" not in planned.stdout,
           "make bench builds the library, and installs nothing with SETUP=no", planned.stderr)
    refused("without the library it measures nothing", "phkmalloc is not there",
            bench("--out", scratch + "/no", subject=scratch + "/libphkmalloc.so"))
    refused("and counts no instructions", "phkmalloc is not there",
            run("insn.py", "--subject", scratch + "/libphkmalloc.so"))


def measured(out):
    status, text = bench(*QUICK, "--out", out, "--only", "tiny,remote-1x1,frag",
                         "--allocators", "phkmalloc,glibc,other,dies",
                         "--peer", "other=%s,PEER_LIMIT=0" % PEER,
                         "--peer", "dies=%s,PEER_LIMIT=300000" % PEER)
    with open(out + "/results.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    report(len(rows) == 3 * 4 * 2, "a row for each run", len(rows))
    good = [r for r in rows if r["allocator"] != "dies"]
    report(all(r["status"] == "ok" for r in good), "good runs are good",
           [r["status"] for r in good])
    report(all(float(r["cpu"]) > 0 and float(r["wall"]) > 0 and float(r["peak_rss"]) > 100e3
               and float(r["minflt"]) > 0 and float(r["ops"]) > 0 for r in good),
           "with time, memory, faults and operations")
    died = [r for r in rows if r["allocator"] == "dies" and r["status"] != "ok"]
    report(status == 1 and died and all(r["status"].startswith("signal 6") for r in died),
           "a run that crashed is a failure", [r["status"] for r in died])
    lost = set(r["workload"] for r in died)
    with open(out + "/summary.md") as f:
        summary = f.read()
    report("%d of 3" % (3 - len(lost)) in summary and all(
               "- %s under dies: signal 6" % w in summary for w in lost),
           "which is named, and leaves its workload out of all overall figures", summary)
    report(all(name in summary for name in ("PEER_LIMIT=300000", "make bench RUNS=2 IDLE=0",
                                            "SCALE=0.01", "other=libpeer.so")),
           "how to repeat it is said", summary)
    with open(out + "/index.html") as f:
        page = f.read()
    elsewhere = re.findall(r'(?:src|href)="(?!#|data:)[^"]*"|@import|url\((?!#|data:)', page)
    report("<svg" in page and not elsewhere, "the page has plots and needs no other file",
           elsewhere)
    return summary


def baseline_fails(out):
    status, text = bench(*QUICK, "--out", out, "--only", "tiny", "--allocators",
                         "phkmalloc,dies", "--baseline", "dies", "--peer",
                         "dies=%s,PEER_LIMIT=300000" % PEER)
    with open(out + "/summary.md") as f:
        summary = f.read()
    report(status == 1 and "Traceback" not in text and "- tiny under dies: signal 6" in summary
           and os.path.getsize(out + "/index.html") > 1000,
           "where what is compared with fails that is said", text)


def again(out, scratch, summary):
    document = scratch + "/doc.md"
    with open(document, "w") as f:
        f.write("before\n<!-- benchmarks:begin -->\nold\n<!-- benchmarks:end -->\nafter\n")
    status, text = bench("--report", "--out", out, "--update-doc", document)
    with open(document) as f:
        written = f.read()
    report(status == 0 and written.startswith("before\n") and written.endswith("after\n")
           and summary.strip() in written and "old" not in written,
           "the same tables again, put into a document", text)
    refused("a document without a place for them is left alone", "has no section",
            bench("--report", "--out", out, "--update-doc", "LICENSE"))


def wrong(out, scratch):
    refused("an unknown workload", "no workload nonesuch", bench("--only", "nonesuch"))
    refused("a peer that is not there", "--peer wants NAME=path.so",
            bench("--peer", "gone=" + scratch + "/gone.so"))
    refused("two of one name", "two allocators of one name", bench("--peer", "glibc=" + PEER))
    refused("no allocator to compare with", "nothing to compare",
            bench("--allocators", "phkmalloc", "--out", out))
    refused("results where there are none", "about.json",
            bench("--report", "--out", scratch + "/nowhere"))
    refused("results nowhere to be put", "Not a directory", bench("--out", "LICENSE/out"))
    full = scratch + "/full"
    os.mkdir(full)
    os.symlink("/dev/full", full + "/results.csv")
    refused("a full disk", "No space left", bench(*QUICK, "--only", "tiny", "--out", full))
    damaged = scratch + "/damaged"
    shutil.copytree(out, damaged)
    with open(damaged + "/results.csv") as f:
        lines = f.readlines()
    for what, line in (("cut short", lines[5][:len(lines[5]) // 2]),
                       ("not a number", lines[5].replace("ok,", "ok,x"))):
        with open(damaged + "/results.csv", "w") as f:
            f.writelines(lines[:5] + [line])
        refused("a row that is " + what, "line 6 is no run", bench("--report", "--out", damaged))
    with open(damaged + "/results.csv", "w") as f:
        f.write(lines[0])
    refused("results without a run", "no run to report", bench("--report", "--out", damaged))
    with open(damaged + "/about.json", "w") as f:
        f.write("{")
    refused("a description that is damaged", "about.json", bench("--report", "--out", damaged))


def not_bound(out):
    status, text = bench(*QUICK, "--out", out, "--only", "tiny", "--allocators",
                         "phkmalloc,glibc,nothing", "--peer",
                         "nothing=/lib/%s-linux-gnu/libm.so.6" % os.uname().machine)
    report(status == 0 and "skipped: nothing does not take over malloc" in text,
           "a library that has no malloc is left out, and that is said", text)


def instructions(scratch):
    if shutil.which("valgrind") is None:
        skip("instructions", "valgrind is not installed")
        return
    counting = ["--subject", LIBRARY, "--allocators", "phkmalloc,glibc", "--only", "malloc 64"]
    document = scratch + "/insn.md"
    section = "<!-- instructions:begin -->\n<!-- instructions:end -->\n"
    with open(document, "w") as f:
        f.write(section)
    status, text = run("insn.py", *counting, "--update-doc", document)
    with open(document) as f:
        written = f.read()
    row = re.search(r"\| malloc 64 \| ([0-9.]+) \| ([0-9.]+) \|", written)
    report(status == 0 and row, "instructions are counted", text)
    status, text = run("insn.py", *counting, "--check", document)
    report(status == 0, "twice the same", text)
    if row:
        with open(document, "w") as f:
            f.write(written.replace(row[0], "| malloc 64 | %.1f | %s |" % (
                float(row[1]) - 1, row[2])))
        status, text = run("insn.py", *counting, "--check", document)
        report(status == 1 and "malloc 64: %s instructions, were" % row[1] in text,
               "one more is a regression", text)


def main():
    with tempfile.TemporaryDirectory(prefix="benchtest") as scratch:
        built(scratch)
        out = scratch + "/out"
        summary = measured(out)
        baseline_fails(scratch + "/baseline")
        again(out, scratch, summary)
        wrong(out, scratch)
        not_bound(scratch + "/bound")
        instructions(scratch)
    return done()


if __name__ == "__main__":
    sys.exit(main())
