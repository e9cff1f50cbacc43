#!/usr/bin/env python3
"""What recording costs: CPU time over that of the same library without, and bytes an operation.

    make bench-trace            TRACE_ARGS="--rounds 5 --only python,churn"

Each workload of the benchmarks runs in turns without the option, with U, with UU (stacks), and
under `record`, whose own time for compression is counted too. The ratios are medians of those of
each round, of user and system time.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench")
sys.dont_write_bytecode = True
sys.path.insert(0, BENCH)
import inputs  # noqa: E402  (of the benchmarks)
import workloads  # noqa: E402

DEFAULT = "python,perl,sqlite,gcc,churn,tree,swap-t2,larson-t4"
SCALES = {"churn": .1, "tree": .1, "swap-t2": .1, "larson-t4": .1, "tiny": .05, "python": .5,
          "perl": .3}


def cpu(command, env, stdin):
    """User and system seconds of a command and what it waited for."""
    with open(stdin) if stdin else open(os.devnull) as f:
        child = subprocess.Popen(command, env=env, stdin=f, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = status
    if status != 0:
        sys.exit(f"{command}: status {status}")
    return used.ru_utime + used.ru_stime


class Runs:
    def __init__(self, args, workload, folder):
        places = {"bin": os.path.join(args.build, "bench"), "real": os.path.join(BENCH, "real"),
                  "data": os.path.join(args.build, "bench/data")}
        self.command = workload.command(SCALES.get(workload.name, 1) * args.scale, places)
        self.env = dict(os.environ, LD_PRELOAD=os.path.join(args.build, "libphkmalloc.so"),
                        MALLOC_TRACE_FILE=os.path.join(folder, "t.trace"), **workload.env)
        self.stdin = workload.stdin.format(**places) if workload.stdin else None
        self.tool = os.path.join(args.build, "phkmalloc")
        self.trace = os.path.join(folder, "t.trace")
        self.packed = os.path.join(folder, "r.trace")

    def plain(self, letters):
        if os.path.exists(self.trace):
            os.unlink(self.trace)
        return cpu(self.command, dict(self.env, MALLOC_OPTIONS=letters), self.stdin)

    def recorded(self):
        env = dict(self.env, MALLOC_OPTIONS="")
        del env["LD_PRELOAD"]
        return cpu([self.tool, "record", "-o", self.packed, "--", *self.command], env, self.stdin)

    def figures(self):
        text = subprocess.run([self.tool, "trace", "--json", self.packed], capture_output=True,
                              text=True, check=True).stdout
        return json.loads(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--only", default=DEFAULT)
    args = parser.parse_args()
    # Ended by a signal it takes its files away, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    args.build = os.path.abspath(args.build)
    print("| workload | operations | CPU: `U` | `UU` | `record` | bytes an operation "
          "| in the file |\n|---|--:|--:|--:|--:|--:|--:|")
    for w in workloads.select(args.only.split(","), None):
        if not w.here():
            print(f"| {w.name} | {w.needs} is not installed |")
            continue
        inputs.make(w.inputs, os.path.join(args.build, "bench/data"))
        with tempfile.TemporaryDirectory(dir=args.build) as folder:
            runs, ratios = Runs(args, w, folder), []
            for _ in range(args.rounds):
                base = runs.plain("")
                ratios.append([x / base for x in (runs.plain("U"), runs.plain("UU"),
                                                  runs.recorded())])
            u, uu, rec = (statistics.median(r[i] for r in ratios) for i in range(3))
            s = runs.figures()
        print(f"| {w.name} | {s['operations']:,} | {u:.2f} | {uu:.2f} | {rec:.2f} | "
              f"{s['bytes'] / s['operations']:.2f} | {s['file_bytes'] / s['operations']:.2f} |",
              flush=True)


if __name__ == "__main__":
    main()
