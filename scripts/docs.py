#!/usr/bin/env python3
"""Runs the examples of the pages in doc/, in TAP, so that what they say stays true.

A fenced block whose first line is "```c app.c" is a file; "```sh run" is run, in a folder with the
page's files so far; "```sh run needs=cc,ruby" only where these programs are. All other blocks are
for readers only. The environment has SRC, the source, and PHK, the folder of the library (SO).
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^(## [^\n]*)$|^```(\S+) +(\S+)(?: +needs=(\S+))?\n(.*?)^```$",
                   re.MULTILINE | re.DOTALL)
LIMIT_S = 400


def blocks(page):
    """Each marked block: the heading it is under, what it is, what it needs, its text."""
    heading = os.path.basename(page)
    with open(page, encoding="utf-8") as f:
        for title, language, name, needs, text in BLOCK.findall(f.read()):
            if title:
                heading = title[3:]
            elif language != "sh" or name == "run":
                yield heading, name, needs.split(",") if needs else [], text


def run(text, folder, env):
    """Whether an example does what it says; what it printed."""
    # A core is of no use here; a program left running must not outlive its example.
    script = "ulimit -c 0\ntrap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n" + text
    try:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as late:
        return False, (late.stdout or b"") + b"\n(did not end in time)"
    return done.returncode == 0, done.stdout


def main():
    root = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    library = os.path.abspath(os.environ.get("SO", os.path.join(root, "build/libphkmalloc.so")))
    env = {name: value for name, value in os.environ.items()
           if name not in ("LD_PRELOAD", "MALLOC_OPTIONS", "SO", "A")}
    env.update(SRC=root, PHK=os.path.dirname(library))
    count = failed = 0
    for page in sorted(glob.glob(os.path.join(root, "doc/*.md"))):
        with tempfile.TemporaryDirectory() as folder:
            for heading, name, needs, text in blocks(page):
                if name != "run":
                    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                        f.write(text)
                    continue
                count += 1
                what = f"doc/{os.path.basename(page)}, {heading}: {text.splitlines()[0][:60]}"
                lacking = [tool for tool in needs if shutil.which(tool) is None]
                if lacking:
                    print(f"ok {count} - {what} # SKIP {', '.join(lacking)} not installed")
                    continue
                good, output = run(text, folder, env)
                if not good:
                    failed += 1
                    print("# " + output.decode(errors="replace").replace("\n", "\n# "))
                print(f"{'' if good else 'not '}ok {count} - {what}", flush=True)
    print(f"1..{count}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
