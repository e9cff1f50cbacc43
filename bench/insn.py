#!/usr/bin/python3
"""Count the instructions of malloc and free on their fast paths, with callgrind.

Each case runs under valgrind with the library preloaded; what is counted is what
is executed inside the one function called, its `ret` included, as a mean over
many calls in a steady state. The counts do not depend on the machine's speed or
load, so two runs of one library agree and a regression shows.
"""

import argparse
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import allocators
import markdown

COUNT = 10000


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--subject", default="build/libphkmalloc.so")
    p.add_argument("--bin", default="build/bench", help="where the programs were built")
    p.add_argument("--peer", action="append", default=[], metavar="NAME=path.so[,VAR=value]")
    p.add_argument("--allocators", default="", help="only these, by commas")
    p.add_argument("--only", default="", help="cases that begin with this")
    p.add_argument("--update-doc", metavar="FILE", help="put the table into FILE")
    p.add_argument("--check", metavar="FILE",
                   help="fail if the subject needs more than FILE's table says")
    return p.parse_args()


def collected(program, allocator, case, empty, scratch):
    """Instructions between the gates, for one call; None if the program failed."""
    out = os.path.join(scratch, "callgrind.out")
    env = dict(os.environ, LD_PRELOAD=allocator.path, BENCH_EXPECT=allocator.path,
               **allocator.env)
    command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "-q",
               "--callgrind-out-file=" + out, program, case, str(COUNT)]
    done = subprocess.run(command + (["empty"] if empty else []), env=env,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print("bench: %s under %s: status %d %s" % (
            case, allocator.name, done.returncode, done.stderr.strip()[-200:]),
            file=sys.stderr)
        return None
    with open(out) as f:
        for line in f:
            if line.startswith("totals:"):
                return int(line.split()[1]) / COUNT
    return None


def measure(options, found):
    """{case: {allocator name: instructions or None}}, in the order of the program."""
    program = os.path.join(options.bin, "insn")
    listed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    cases = [line.split("\t") for line in listed.splitlines()]
    plain = next(a for a in found if a.name == allocators.BASELINE)
    table, gates = {}, {}
    with tempfile.TemporaryDirectory(prefix="bench") as scratch:
        for case, shape in cases:
            if not case.startswith(options.only):
                continue
            if shape not in gates:
                gates[shape] = collected(program, plain, case, True, scratch)
            table[case] = {}
            for a in found:
                count = collected(program, a, case, False, scratch)
                # the empty function's one instruction stands for the real one's ret
                table[case][a.name] = None if count is None else count - gates[shape] + 1
            print("%-26s %s" % (case, "  ".join(
                "%s %s" % (n, markdown.number(c, "%.1f")) for n, c in table[case].items())),
                flush=True)
    return table


def as_markdown(table, found):
    names = [a.name for a in found]
    rows = [[case] + [markdown.number(counts[n], "%.1f") for n in names]
            for case, counts in table.items()]
    versions = ", ".join("%s %s" % (a.name, a.version) for a in found)
    return ("Instructions in one call, mean of %d calls in a steady state (x86-64 counts "
            "compare only with themselves). %s.\n\n" % (COUNT, versions)
            + markdown.table(["call"] + names, rows))


def check(path, table):
    """Compare with the kept table; more than half an instruction is a regression."""
    kept, column = {}, None
    with open(path) as f:
        for line in f:
            cells = [c.strip() for c in line.strip().strip("|").split("|")]
            if cells[0] == "call" and allocators.SUBJECT in cells:
                column = cells.index(allocators.SUBJECT)
            elif column and len(cells) > column and cells[0] in table:
                kept[cells[0]] = float(cells[column])
    worse = 0
    for case, counts in table.items():
        now, old = counts.get(allocators.SUBJECT), kept.get(case)
        if now is None or old is None:
            print("bench: %s: nothing to compare" % case)
        elif now > old + 0.5:
            print("bench: %s: %.1f instructions, were %.1f" % (case, now, old))
            worse += 1
    if not kept:
        raise SystemExit("bench: %s keeps no counts of %s" % (path, allocators.SUBJECT))
    return worse


def main():
    options = arguments()
    found, missing = allocators.find(options.subject, options.peer,
                                     options.allocators.replace(",", " ").split())
    allocators.take_over(found, missing, options.bin, (allocators.SUBJECT, allocators.BASELINE))
    table = measure(options, found)
    text = as_markdown(table, found)
    print("\n" + text)
    if options.update_doc:
        markdown.put_section(options.update_doc, "instructions", text)
    if options.check and check(options.check, table):
        return 1
    return 1 if any(None in counts.values() for counts in table.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
