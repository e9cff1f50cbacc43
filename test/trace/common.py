"""What the tests of traces share: TAP, the command, and programs that are recorded.

TOOL is the command, SUBJECTS the folder of the programs, SO the library.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import done, report, skip  # noqa: E402  (not of this folder)

TOOL, SUBJECTS, SO = (os.environ[x] for x in ("TOOL", "SUBJECTS", "SO"))
SUBJECT = os.path.join(SUBJECTS, "subject")


def with_option(argv, letters="U", preload=SO, trace="t.trace", **more):
    """Runs a program with the option alone."""
    env = dict(os.environ, MALLOC_OPTIONS=letters, LD_PRELOAD=preload)
    if trace:
        env["MALLOC_TRACE_FILE"] = trace
        if os.path.exists(trace):
            os.unlink(trace)
    return subprocess.run([str(x) for x in argv], env=env, capture_output=True, text=True,
                          timeout=60, **more)


def tool(*argv, **more):
    return subprocess.run([TOOL, *map(str, argv)], capture_output=True, text=True, timeout=100,
                          **more)


def summary(trace="t.trace", *choice):
    r = tool("trace", "--json", *choice, trace)
    return json.loads(r.stdout) if r.returncode == 0 else {"error": r.stderr}


def processes(trace="t.trace"):
    """Number, command and what forked it, of each process."""
    lines = tool("trace", "--list", trace).stdout.splitlines()[1:]
    rows = [re.match(r" *(\d+) +\d+ +\d+ +(\S+) +(\S+) +(\S+)  (.*)", x).groups() for x in lines]
    return [{"number": int(a), "forked": b, "operations": int(c.replace(",", "")), "command": e}
            for a, b, c, d, e in rows]


def whole(s):
    """Nothing is missing, and each free is of something allocated before it."""
    return not any(s.get(x, 1) for x in ("unknown", "unseen", "lost", "missing_blocks",
                                         "damaged_blocks"))


def main(names):
    """Runs each function that is called test_something, in a folder of its own."""
    for test in [f for name, f in sorted(names.items()) if name.startswith("test_")]:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            test()
            os.chdir("/")
    sys.exit(done())
