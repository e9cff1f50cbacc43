#!/usr/bin/python3
"""What letters of MALLOC_OPTIONS cost, over the default, on a few workloads.

Each round runs every workload with and without the letters, one right after the
other, in an order that alternates; the figure is the median of the rounds' ratios
of user+system CPU time, with the quartiles. --instructions counts what valgrind's
callgrind executes in user mode instead, which no other load disturbs.
"""

import argparse
import os
import resource
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


def cpu_seconds(options, workload, letters):
    args, stdin = command(options, workload)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(args, env=environment(options, workload, letters), check=True,
                   stdin=stdin or subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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


def ratios(options, workload, letters):
    """A round's ratio to the default, for each round."""
    if options.instructions:
        return [instructions(options, workload, letters)
                / instructions(options, workload, "")]
    out = []
    for i in range(options.rounds):
        order = ("", letters) if i % 2 == 0 else (letters, "")
        took = {o: cpu_seconds(options, workload, o) for o in order}
        out.append(took[letters] / took[""])
    return out


def main():
    options = arguments()
    chosen = [w for w in workloads.select(options.only.split(","), ()) if w.here()]
    print("| letters | " + " | ".join(w.name for w in chosen) + " |")
    print("|---|" + "--:|" * len(chosen), flush=True)
    for letters in options.letters:
        row = []
        for w in chosen:
            r = ratios(options, w, letters)
            if len(r) > 3:
                q = statistics.quantiles(r, n=4)
                row.append("%.3f (%.3f–%.3f)" % (statistics.median(r), q[0], q[2]))
            else:
                row.append("%.4f" % statistics.median(r))
        print("| `%s` | " % letters + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
