"""What tests of real programs share: TAP, and one program run without and with the library.

A program passes when it ends as it does without, prints the same, and was really served by the
library: the statistics that MALLOC_OPTIONS=D writes at exit are looked at for that. Not a test
itself: without `SO` in the environment, or when started alone, it has nothing to say.
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import done, report as ok, skip  # noqa: F401  (for those who import this)

SO = os.environ.get("SO")
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
OPERATIONS = re.compile(r"^operations: (\d+) ", re.M)


def missing(promise, *programs):
    """Skips the promise when a program is not there."""
    for program in programs:
        if not shutil.which(program):
            skip(promise, f"{program} is not installed")
            return True
    return False


def environment(preload, extra=None):
    env = dict(os.environ, LC_ALL="C", PYTHONHASHSEED="1", PYTHONMALLOC="malloc",
               PYTHONDONTWRITEBYTECODE="1")
    for name in ("LD_PRELOAD", "MALLOC_OPTIONS"):
        env.pop(name, None)
    if preload:
        env["LD_PRELOAD"] = SO
    env.update(extra or {})
    return env


def run(argv, given=None, preload=True, cwd=None, extra=None, limit=120):
    """Returns exit status, output and standard error, both as bytes."""
    try:
        end = subprocess.run(argv, input=given, capture_output=True, cwd=cwd, timeout=limit,
                             env=environment(preload, extra), check=False)
    except subprocess.TimeoutExpired as error:
        return "time-out", error.stdout or b"", error.stderr or b""
    return end.returncode, end.stdout, end.stderr


def operations(argv, given=None, cwd=None, extra=None, limit=120):
    """How often a program that ends well called malloc, by the library's own count; 0: never."""
    with tempfile.TemporaryFile() as errors:
        try:
            subprocess.run(argv, input=given, stdout=subprocess.DEVNULL, stderr=errors, cwd=cwd,
                           env=environment(True, dict(extra or {}, MALLOC_OPTIONS="D")),
                           timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            return 0
        errors.seek(0)
        found = OPERATIONS.findall(errors.read().decode(errors="replace"))
    return max(map(int, found), default=0)


def brief(text):
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    if len(text) > 1500:
        text = f"{text[:700]}\n[...]\n{text[-700:]}"
    return text


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def same(promise, argv, given=None, least=1000, files=(), extra=None, stderr=True):
    """A program does the same with the library as without.

    It runs in a new directory each time; `files` names what it leaves there to be compared, and
    `least` is how many allocations it must have made with the library.
    """
    if missing(promise, argv[0]):
        return
    ends = []
    for preload in (False, True):
        with tempfile.TemporaryDirectory() as cwd:
            end = run(argv, given, preload, cwd, extra)
            left = []
            for name in files:
                path = os.path.join(cwd, name)
                left.append(open(path, "rb").read() if os.path.exists(path) else None)
            ends.append((end[0], end[1], end[2] if stderr else b"", left))
    with tempfile.TemporaryDirectory() as cwd:
        count = operations(argv, given, cwd, extra)
    good = ends[0][0] == 0 and ends[0] == ends[1] and count >= least and None not in ends[1][3]
    ok(good, f"{promise} ({count} allocations)",
       f"without: status {ends[0][0]}, output {digest(ends[0][1])}\n"
       f"with:    status {ends[1][0]}, output {digest(ends[1][1])}\n"
       f"files left are {'equal' if ends[0][3] == ends[1][3] else 'different'}\n"
       f"output without:\n{brief(ends[0][1])}\noutput with:\n{brief(ends[1][1])}\n"
       f"standard error without:\n{brief(ends[0][2])}\nwith:\n{brief(ends[1][2])}")


def start():
    """Says that there is nothing to test when there is no library."""
    if SO and os.path.exists(SO):
        return True
    print("1..0 # SKIP the environment variable SO does not name a library")
    return False


if __name__ == "__main__":
    print("1..0 # SKIP shared by the tests beside it")
