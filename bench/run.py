#!/usr/bin/python3
"""Run programs under several allocators in turn, and say how they compare.

In each round every workload runs once under every allocator, one right after
the other, in an order that rotates from round to round. Only ratios of runs of
one round are ever formed, so that a machine whose speed drifts does no harm.
A run that fails, or in which the library was not seen loaded, is reported.
"""

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import allocators
import inputs
import markdown
import page
import results
import servers
import workloads

HERE = os.path.dirname(os.path.abspath(__file__))
CLEAN = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent",
         "GIT_CONFIG_NOSYSTEM": "1"}


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--runs", type=int, default=5, help="rounds (5)")
    p.add_argument("--only", default="", help="workloads, by commas; NAME* matches")
    p.add_argument("--group", default="", help="groups, by commas: one,threads,memory,real")
    p.add_argument("--allocators", default="", help="only these, by commas")
    p.add_argument("--peer", action="append", default=[], metavar="NAME=path.so[,VAR=value]")
    p.add_argument("--baseline", default=allocators.BASELINE)
    p.add_argument("--subject", default="build/libphkmalloc.so", help="the library to judge")
    p.add_argument("--bin", default="build/bench", help="where the programs were built")
    p.add_argument("--out", default="build/bench/out", help="where results go")
    p.add_argument("--scale", type=float, default=1.0, help="times the operations")
    p.add_argument("--idle", type=int, default=2, help="seconds before rss_idle (2)")
    p.add_argument("--timeout", type=int, default=60, help="seconds for one run (60)")
    p.add_argument("--wait", type=int, default=0,
                   help="wait so many seconds for a quiet machine before each run (0)")
    p.add_argument("--list", action="store_true", help="name the workloads and allocators")
    p.add_argument("--setup", action="store_true", help="install what is missing (root)")
    p.add_argument("--report", action="store_true", help="run nothing: show --out again")
    p.add_argument("--update-doc", metavar="FILE", help="put the tables into FILE")
    return p.parse_args()


def split(text):
    return [t for t in text.replace(",", " ").split() if t]


def setup():
    """Install the programs and peers that are missing, if that is allowed."""
    wanted = allocators.packages_missing()
    wanted += [w.package for w in workloads.ALL if not w.here()]
    wanted += ["valgrind"] if shutil.which("valgrind") is None else []
    with tempfile.NamedTemporaryFile("w", prefix="bench") as packages:
        packages.write("\n".join(sorted(set(wanted))))
        packages.flush()
        subprocess.run([HERE + "/../scripts/setup.sh", "--optional", packages.name])


def parse_report(path):
    """`key value` lines; anything else a program prints is not ours."""
    found = {}
    with open(path, errors="replace") as f:
        for line in f:
            words = line.split()
            if len(words) == 2 and words[0] not in found:
                try:
                    found[words[0]] = float(words[1])
                except ValueError:
                    pass
    return found


def status_of(report, complaint):
    if not report:
        return "not started"
    if report["timeout"]:
        return "timeout"
    if report["signal"]:
        return "signal %d" % report["signal"] + complaint
    if report["exit"]:
        return "exit %d" % report["exit"] + complaint
    return "ok" if report["loaded"] else "library not loaded"


def busy_seconds():
    """CPU time the whole machine has spent, but idle, since it was started."""
    with open("/proc/stat") as f:
        ticks = [int(n) for n in f.readline().split()[1:]]
    return (sum(ticks[:8]) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def wait_until_quiet(limit):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        before = busy_seconds()
        time.sleep(0.2)
        if busy_seconds() - before <= 0.02:
            return


class Runner:
    def __init__(self, options, scratch):
        self.options = options
        self.scratch = scratch
        self.places = {"bin": os.path.abspath(options.bin), "real": HERE + "/real",
                       "data": os.path.abspath(options.bin) + "/data"}
        os.makedirs(os.path.join(options.out, "curves"), exist_ok=True)

    def run(self, workload, allocator):
        """One run: a dictionary with `status` and whatever was measured."""
        scratch = self.scratch
        report, output, errors = (os.path.join(scratch, n) for n in ("report", "out", "err"))
        curve = os.path.join(self.options.out, "curves",
                             "%s.%s" % (workload.name, allocator.name))
        command = [self.places["bin"] + "/launch", report, allocator.path,
                   str(self.options.timeout)] + ([curve] if workload.curve else [])
        command += ["--"] + workload.command(self.options.scale, self.places)
        env = {**CLEAN, "BENCH_IDLE": str(self.options.idle),
               "BENCH_EXPECT": allocator.path, **workload.env, **allocator.env}
        for path in (report, output):
            open(path, "w").close()
        stdin = workload.stdin.format(**self.places) if workload.stdin else os.devnull
        # a real program's output is not wanted; ours print a few lines
        to = os.devnull if workload.needs else output
        wait_until_quiet(self.options.wait)
        busy = busy_seconds()
        with open(stdin) as i, open(to, "w") as o, open(errors, "w") as e:
            process = subprocess.Popen(command, stdin=i, stdout=o, stderr=e, env=env)
            found = servers.drive(workload, self) if workload.server else {}
            process.wait()
        with open(errors, errors="replace") as e:
            complaint = e.read(200).strip().replace("\n", " | ")
        measured = parse_report(report)
        run = {**measured, **parse_report(output), **found}
        run["status"] = run.get("status") or status_of(measured, complaint and ": " + complaint)
        if "user" in run:
            run["cpu"] = run["user"] + run["system"]
            if not workload.server:     # whose clients are no strangers
                others = busy_seconds() - busy - run["cpu"]
                run["others"] = max(0.0, others / run["wall"] / os.cpu_count())
        if run.get("ops") and "throughput" not in run:
            run["throughput"] = run["ops"] / run["wall"]
        if workload.curve and os.path.isfile(curve):
            samples = results.read_curve(self.options.out, workload.name, allocator.name)
            if samples:
                run["mean_rss"] = 1024.0 * sum(kib for _, kib in samples) / len(samples)
        return run


def measure(options, chosen, found):
    """All rounds. Prints a line for each workload and round."""
    inputs.make([name for w in chosen for name in w.inputs],
                os.path.join(options.bin, "data"))
    log = results.Log(os.path.join(options.out, "results.csv"))
    started = time.time()
    with tempfile.TemporaryDirectory(prefix="bench") as scratch:
        runner = Runner(options, scratch)
        for n in range(options.runs):
            for workload in chosen:
                # Not in turn: who comes after one that uses huge pages finds them at hand.
                order = random.Random("%s %d" % (workload.name, n)).sample(found, len(found))
                shown = []
                for allocator in order:
                    run = runner.run(workload, allocator)
                    log.add({"round": n + 1, "workload": workload.name,
                             "allocator": allocator.name, **run})
                    shown.append((allocator.name, "%.2f s %d M" % (
                        run["cpu"], run["peak_rss"] / 1e6) if run["status"] == "ok"
                        else "FAILED: " + run["status"]))
                shown.sort(key=lambda s: [a.name for a in found].index(s[0]))
                print("%5.0f s  round %d  %-14s %s" % (
                    time.time() - started, n + 1, workload.name,
                    "   ".join("%s %s" % s for s in shown)), flush=True)


def repeat_command(options):
    """As `make bench`; of a peer's path only the file's name, it lies elsewhere elsewhere."""
    peers = []
    for spec in options.peer:
        name, _, rest = spec.partition("=")
        path, comma, env = rest.partition(",")
        peers.append("%s=%s%s" % (name, os.path.basename(path), comma + env))
    words = ["make bench RUNS=%d" % options.runs]
    words += ["%s=%s" % (key, value) for key, value, default in (
        ("IDLE", options.idle, 2), ("SCALE", options.scale, 1.0), ("ONLY", options.only, ""),
        ("GROUP", options.group, ""), ("ALLOCATORS", options.allocators, ""))
        if value != default]
    return " ".join(words + (['PEERS="%s"' % " ".join(peers)] if peers else []))


def machine():
    model = ""
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) / (1 << 20)
    return "%s, %d cores, %.0f GiB, Linux %s" % (
        model or platform.machine(), os.cpu_count(), memory, platform.release())


def say_what_is_here(chosen, found, missing):
    for group, title in workloads.GROUPS:
        print(title)
        for w in workloads.ALL:
            if w.group == group:
                print("  %-14s %s%s%s" % (w.name, w.about,
                      "" if w.here() else "  (%s is not installed)" % w.package,
                      "  (only when named)" if w.optional else ""))
    print("Allocators")
    for a in found:
        print("  %-14s %s" % (a.name, a.version))
    for line in missing:
        print("  missing: " + line)


def write_reports(options):
    path = os.path.join(options.out, "about.json")
    with open(path) as f:
        try:
            about = json.load(f)
        except ValueError as e:
            raise SystemExit("bench: %s: %s" % (path, e)) from None
    rows = results.load(os.path.join(options.out, "results.csv"))
    if not rows:
        raise SystemExit("bench: no run to report in " + options.out)
    figures = results.Results(rows, about["baseline"], allocators.SUBJECT)
    text = markdown.summary(figures, about)
    with open(os.path.join(options.out, "summary.md"), "w") as f:
        f.write(text)
    with open(os.path.join(options.out, "index.html"), "w") as f:
        f.write(page.render(figures, about, options.out))
    print("\n" + text)
    print("results: " + ", ".join(os.path.join(options.out, n) for n in
                                  ("results.csv", "summary.md", "index.html")))
    if options.update_doc:
        markdown.put_section(options.update_doc, "benchmarks", text)
    return figures


def main():
    options = arguments()
    if options.setup:
        setup()
        if len(sys.argv) == 2:
            return 0
    if options.report:
        write_reports(options)
        return 0
    found, missing = allocators.find(options.subject, options.peer, split(options.allocators))
    chosen = workloads.select(split(options.only), split(options.group))
    if options.list:
        say_what_is_here(chosen, found, missing)
        return 0
    missing += ["%s: package %s is not installed" % (w.name, w.package)
                for w in chosen if not w.here()]
    chosen = [w for w in chosen if w.here()]
    asked_for = split(options.allocators) or [allocators.SUBJECT]
    allocators.take_over(found, missing, options.bin,
                         [n for n in asked_for if n == allocators.SUBJECT])
    if options.baseline not in [a.name for a in found] or not chosen:
        raise SystemExit("bench: nothing to compare")
    os.makedirs(options.out, exist_ok=True)
    about = {"machine": machine(), "date": time.strftime("%Y-%m-%d"), "runs": options.runs,
             "scale": options.scale, "idle": options.idle, "baseline": options.baseline,
             "missing": missing, "command": repeat_command(options),
             "allocators": [a.described() for a in found]}
    with open(os.path.join(options.out, "about.json"), "w") as f:
        json.dump(about, f, indent=1)
    try:
        measure(options, chosen, found)
    except KeyboardInterrupt:
        print("bench: interrupted; what was measured is reported", file=sys.stderr)
    return 1 if write_reports(options).failures() else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as problem:
        sys.exit("bench: %s" % problem)
