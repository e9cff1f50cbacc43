#!/usr/bin/env python3
"""Runs test programs that print TAP, and counts.

    run.py [--preload LIB] [--static LIB] [--limit SECONDS] [--jobs N] PROGRAM...

Each program prints "ok N - promise", "not ok N - promise" or "ok N - promise # SKIP why", and a
plan "1..N". Programs run with LD_PRELOAD=LIB; scripts (.py) run without and find it in the
environment variable SO, the static library in A. Failures are shown with all their program
printed, skips with their reason. The last line is exactly "N passed, N failed, N skipped". A
crash, a time-out, a wrong plan or an exit status that denies the lines counts as a failure.
"""
import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import time

LINE = re.compile(r"^(not ok|ok)\b\s*\d*\s*-?\s*(.*)$")
SKIP = re.compile(r"^(.*?)#\s*SKIP\b\s*(.*)$", re.IGNORECASE)
PLAN = re.compile(r"^1\.\.(\d+)(?:\s*#\s*(.*))?\s*$")
OUTPUT_MAX = 20000


class Result:
    """What one program promised."""

    def __init__(self, program):
        self.program = program
        self.passed = 0
        self.failures = []
        self.skips = []
        self.output = ""
        self.seconds = 0.0


def command(program, args):
    """The command line and environment of a program."""
    env = dict(os.environ)
    env.pop("LD_PRELOAD", None)
    env.pop("MALLOC_OPTIONS", None)
    for name, path in (("SO", args.preload), ("A", args.static)):
        if path:
            env[name] = os.path.abspath(path)
    if program.endswith(".py"):
        return [sys.executable, program], env
    if args.preload:
        env["LD_PRELOAD"] = os.path.abspath(args.preload)
    return [os.path.abspath(program)], env


def execute(program, args):
    """Runs to the end or the limit; returns the wait status (None: time-out) and the output."""
    argv, env = command(program, args)
    # A session of its own, so that children of a test do not outlive its time.
    child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, start_new_session=True)
    try:
        output = child.communicate(timeout=args.limit)[0]
        return child.returncode, output.decode(errors="replace")
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        output = child.communicate()[0]
        return None, output.decode(errors="replace")


def read_tap(result):
    """Counts the lines; returns how many there were and the plan, None without one."""
    lines, plan = 0, None
    for line in result.output.splitlines():
        match = PLAN.match(line)
        if match:
            plan = int(match.group(1))
            if plan == 0:
                result.skips.append(("everything", match.group(2) or "no reason given"))
            continue
        match = LINE.match(line)
        if not match:
            continue
        lines += 1
        skip = SKIP.match(match.group(2))
        if match.group(1) == "not ok":
            result.failures.append(match.group(2))
        elif skip:
            result.skips.append((skip.group(1).strip(), skip.group(2)))
        else:
            result.passed += 1
    return lines, plan


def run(program, args):
    """One program, judged."""
    result = Result(program)
    start = time.monotonic()
    status, result.output = execute(program, args)
    result.seconds = time.monotonic() - start
    lines, plan = read_tap(result)
    if status is None:
        result.failures.append(f"did not end within {args.limit} s")
    elif status < 0:
        result.failures.append(f"was killed by {signal.Signals(-status).name}")
    elif status != 0 and not result.failures:
        result.failures.append(f"exit status {status} though no line says why")
    elif status == 0 and result.failures:
        result.failures.append("exit status 0 though promises are broken")
    if plan is None:
        result.failures.append("printed no plan")
    elif plan != lines:
        result.failures.append(f"planned {plan} lines and printed {lines}")
    return result


def show(result):
    """One line when all is well, everything there is when not."""
    name = os.path.relpath(result.program)
    word = "FAIL" if result.failures else "ok"
    print(f"{word:4} {name}: {result.passed} passed, {len(result.failures)} failed, "
          f"{len(result.skips)} skipped ({result.seconds:.1f} s)")
    for promise, why in result.skips:
        print(f"     skipped: {promise} ({why})")
    for promise in result.failures:
        print(f"     broken: {promise}")
    if result.failures:
        text = result.output
        if len(text) > OUTPUT_MAX:
            text = text[:OUTPUT_MAX // 2] + "\n[...]\n" + text[-OUTPUT_MAX // 2:]
        for line in text.splitlines():
            print(f"     | {line}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description="runs programs that print TAP")
    parser.add_argument("--preload", help="library for LD_PRELOAD and the variable SO")
    parser.add_argument("--static", help="static library, for the variable A")
    parser.add_argument("--limit", type=float, default=400, help="seconds for each program")
    parser.add_argument("--jobs", type=int, default=2, help="programs at a time")
    parser.add_argument("programs", nargs="+")
    args = parser.parse_args()
    passed = failed = skipped = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for result in pool.map(lambda program: run(program, args), args.programs):
            show(result)
            passed += result.passed
            failed += len(result.failures)
            skipped += len(result.skips)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
