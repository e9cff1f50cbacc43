#!/usr/bin/env python3
"""What surrounds the command: each subcommand and option is in the help, in the manual page and in
the shell's completion. TOOL is the command, HEAP a process on the library SO.
"""
import os
import re
import subprocess
import sys

TOOL, HEAP, SO = os.environ["TOOL"], os.environ["HEAP"], os.environ["SO"]
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
COMPLETION = os.path.join(ROOT, "share/bash-completion/completions/phkmalloc")
COUNT = 0
FAILED = 0


def report(kept, promise, detail=""):
    global COUNT, FAILED
    COUNT += 1
    FAILED += not kept
    print(f"{'' if kept else 'not '}ok {COUNT} - {promise}", flush=True)
    if not kept:
        print("# " + str(detail).replace("\n", "\n# "), flush=True)


def help_of(*args):
    return subprocess.run([TOOL, *args, "--help"], capture_output=True, text=True,
                          check=True).stdout


def complete(*words):
    """What the shell offers for the last word."""
    script = (f"source {COMPLETION}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _phkmalloc; "
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    r = subprocess.run(["bash", "-c", script, "bash", TOOL, *words], capture_output=True, text=True,
                       cwd=ROOT, check=False)
    return sorted(x for x in r.stdout.split("\n") if x)


def options_of(text):
    usage, _, rest = text.partition("\n")
    rows = "\n".join(x for x in rest.split("\n") if x.startswith("  -"))
    return sorted(set(re.findall(r"(?:^|(?<=[\[ ]))--?[A-Za-z][a-z-]*", usage + "\n" + rows)))


def main():
    commands = re.findall(r"^  ([a-z]+) ", help_of(), re.M)
    report(len(commands) >= 5, "the help lists subcommands", commands)
    with open(os.path.join(ROOT, "man/phkmalloc.1"), encoding="utf-8") as f:
        page = f.read()
    for name in commands:
        text = help_of(name)
        options = options_of(text)
        macros = re.sub(r"\n", " ", page)
        missing = [x for x in options if not re.search(
            rf"Fl (?:\S+ \| )*{re.escape(x[1:])}\b", macros)]
        report(f".It Cm {name}\n" in page and f".Cm {name}\n" in page and not missing,
               f"{name} and its options are in the manual page", missing)
        report(set(options) <= set(complete(name, "-")), f"the shell completes options of {name}",
               f"{options} {complete(name, '-')}")
    report(complete("") == sorted([*commands, "--help"]), "the shell completes subcommands",
           complete(""))
    p = subprocess.Popen([HEAP, "quiet", "1"], env=dict(os.environ, LD_PRELOAD=SO),
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdout.readline()
    metrics = set(re.findall(r"^# TYPE (\S+)", subprocess.run(
        [TOOL, "stat", "--openmetrics", str(p.pid)], capture_output=True, text=True,
        check=True).stdout, re.M))
    section = page.partition(".Sh METRICS")[2].partition(".Sh ")[0]
    told = set(re.findall(r"phkmalloc_\w+", section))
    report(metrics == told, "the manual page tells of each metric and of no other",
           metrics ^ told)
    for name in ("stat", "map", "top"):
        report(str(p.pid) in complete(name, ""), f"the shell completes processes for {name}",
               complete(name, ""))
    p.kill()
    p.wait()
    report("ls" in complete("run", "-o", "X", "ls") and "Makefile" in complete("run", "ls", "Make"),
           "programs and their arguments for run", complete("run", "ls", "Make"))
    report(complete("core", "Make") == ["Makefile"] and
           complete("core", "x", "") == ["map", "stat"],
           "files and what to do with them for core", complete("core", "x", ""))
    print(f"1..{COUNT}")
    return FAILED > 0


if __name__ == "__main__":
    sys.exit(main())
