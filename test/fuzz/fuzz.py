#!/usr/bin/env python3
"""Runs the fuzz targets one after another, and says how many inputs each was given.

    fuzz.py --seconds N TARGET...

Each target gets an equal part of the time; the one that has the library in it gets it once for
each set of options. Inputs that find new code are kept beside the targets, and those in
test/fuzz/corpus are where it starts from. What breaks a promise is kept as a file crash-*.
"""
import argparse
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
OPTIONS = ("", "CJ", "S", "F<<<<", "PGE", "W3", "RZ", "T", "H>>")


def run(binary, seconds, options):
    """Returns how many inputs there were, and what libFuzzer says when one is a find."""
    name = os.path.basename(binary)
    folder = os.path.join(os.path.dirname(binary), "corpus", name)
    start = os.path.join(HERE, "corpus", name)
    os.makedirs(folder, exist_ok=True)
    argv = [binary, folder] + ([start] if os.path.isdir(start) else []) + [
        f"-max_total_time={seconds}", "-print_final_stats=1", "-detect_leaks=0", "-timeout=30",
        "-rss_limit_mb=3000", "-malloc_limit_mb=1000",
        "-max_len=2048" if name == "operations" else "-max_len=8192",
        f"-artifact_prefix={os.path.dirname(binary)}/"]
    done = subprocess.run(argv, env=dict(os.environ, MALLOC_OPTIONS=options,
                                         ASAN_OPTIONS="detect_leaks=0"), check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode(errors="replace")
    count = re.search(r"stat::number_of_executed_units: +(\d+)", text)
    return int(count[1]) if count else 0, text if done.returncode != 0 else ""


def main():
    parser = argparse.ArgumentParser(description="runs fuzz targets")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("targets", nargs="+")
    args = parser.parse_args()
    found = 0
    for binary in args.targets:
        sets = OPTIONS if binary.endswith("operations") else ("",)
        seconds = max(1, args.seconds // len(args.targets) // len(sets))
        for options in sets:
            count, trouble = run(binary, seconds, options)
            print(f"{os.path.basename(binary):12}{options:8}{count:10} inputs in {seconds} s"
                  f"{'  FOUND something' if trouble else ''}", flush=True)
            if trouble:
                found += 1
                print(trouble[-6000:])
    return found != 0


if __name__ == "__main__":
    sys.exit(main())
