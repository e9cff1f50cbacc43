#!/usr/bin/python3
"""What letters of MALLOC_OPTIONS cost, over the default, on a few workloads.

Each round starts a workload without letters and with each of them at the same time on
one core, so that the kernel has them take turns of a few milliseconds and what else
the machine does meets all alike; the figure is the median of the rounds' ratios of
user+system CPU time, with the quartiles. A letter without effect, as A, shows how far
a figure may be off. --instructions counts what valgrind's callgrind executes in user
mode instead, which no other load disturbs. Workloads of one thread only.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import workloads

HERE = os.path.dirname(os.path.abspath(__file__))


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("letters", nargs="+", help="values of MALLOC_OPTIONS")
    p.add_argument("--only", default="python,perl,lua,churn,tiny,batch", help="workloads")
    p.add_argument("--rounds", type=int, default=15)
    p.add_argument("--scale", type=float, default=1.0, help="times the operations")
    p.add_argument("--subject", default="build/libphkmalloc.so")
    p.add_argument("--bin", default="build/bench", help="where the programs were built")
    p.add_argument("--instructions", action="store_true", help="count them with callgrind")
    return p.parse_args()


def environment(options, workload, letters):
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": "/nonexistent",
           "LD_PRELOAD": os.path.abspath(options.subject), **workload.env}
    if letters:
        env["MALLOC_OPTIONS"] = letters
    return env


def command(options, workload):
    places = {"bin": os.path.abspath(options.bin), "real": os.path.join(HERE, "real"),
              "data": "/nonexistent"}
    stdin = workload.stdin and open(workload.stdin.format(**places))
    return workload.command(options.scale, places), stdin


def start(options, workload, letters):
    args, stdin = command(options, workload)
    return subprocess.Popen(args, env=environment(options, workload, letters),
                            stdin=stdin or subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def cpu_seconds(options, workload, chosen):
    """The CPU time of the workload with each of the letters, run at once."""
    order = random.sample(chosen, len(chosen))
    running = [(letters, start(options, workload, letters)) for letters in order]
    took = {}
    for letters, process in running:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit("cost: %s failed with letters '%s'" % (workload.name, letters))
        took[letters] = usage.ru_utime + usage.ru_stime
    return took


def instructions(options, workload, letters):
    args, stdin = command(options, workload)
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "out")
        env = environment(options, workload, letters)
        subprocess.run(["valgrind", "--tool=callgrind", "-q", "--callgrind-out-file=" + out]
                       + args, env=env, check=True, stdin=stdin or subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(out) as f:
            return [int(line.split()[1]) for line in f if line.startswith("totals:")][0]


def ratios(options, workload):
    """For each of the letters its ratios to the default."""
    if options.instructions:
        base = instructions(options, workload, "")
        return {letters: [instructions(options, workload, letters) / base]
                for letters in options.letters}
    out = {letters: [] for letters in options.letters}
    for _ in range(options.rounds):
        took = cpu_seconds(options, workload, [""] + options.letters)
        for letters in options.letters:
            out[letters].append(took[letters] / took[""])
    return out


def shown(figures):
    if len(figures) <= 3:
        return "%.4f" % statistics.median(figures)
    q = statistics.quantiles(figures, n=4)
    return "%.3f (%.3f–%.3f)" % (statistics.median(figures), q[0], q[2])


def main():
    options = arguments()
    chosen = [w for w in workloads.select(options.only.split(","), ()) if w.here()]
    if not options.instructions:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cells = {w.name: ratios(options, w) for w in chosen}
    print("| letters | " + " | ".join(cells) + " |")
    print("|---|" + "--:|" * len(cells))
    for letters in options.letters:
        row = [shown(of[letters]) for of in cells.values()]
        print("| `%s` | " % letters + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
