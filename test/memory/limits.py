#!/usr/bin/env python3
"""Ordinary programs under limits on their memory, with the library preloaded."""
import os
import resource
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import done, report, skip  # noqa: E402  (not of this folder)

PROGRAMS = (
    ("true", ["/bin/true"], None, ""),
    ("python3", ["/usr/bin/python3", "-c",
                 "print(sum(len(str(i)) for i in range(200000)), len([b'x' * 50] * 100000))"],
     None, "1088890 100000\n"),
    ("perl", ["perl", "-e", "my %h; $h{$_} = 'x' x ($_ % 90) for 1..50000; print scalar keys %h"],
     None, "50000"),
    ("sqlite3", ["sqlite3", ":memory:"],
     "create table t(a, b); with recursive c(x) as (select 1 union all select x+1 from c where "
     "x < 50000) insert into t select x, hex(x) from c; create index i on t(b); "
     "select count(*), max(b) from t;", "50000|39393939\n"),
    ("awk", ["awk", "BEGIN { for (i = 0; i < 50000; i++) a[i] = i i; print length(a) }"], None,
     "50000\n"),
)
LIMITS = (
    ("ulimit -v 500000", resource.RLIMIT_AS, 500000 << 10),
    ("ulimit -v 250000", resource.RLIMIT_AS, 250000 << 10),
    ("ulimit -d 200000", resource.RLIMIT_DATA, 200000 << 10),
    ("ulimit -s unlimited", resource.RLIMIT_STACK, resource.RLIM_INFINITY),
)


def run(name, argv, given, want, limit, so):
    """One program under one limit."""
    promise = f"{name} under {limit[0]}"
    if not shutil.which(argv[0]):
        skip(promise, f"{argv[0]} is not installed")
        return
    env = dict(os.environ, LD_PRELOAD=so, PYTHONMALLOC="malloc")

    def before():
        resource.setrlimit(limit[1], (limit[2], limit[2]))

    try:
        done = subprocess.run(argv, input=given, capture_output=True, text=True, env=env,
                              timeout=60, preexec_fn=before, check=False)
        report(done.returncode == 0 and done.stdout == want and done.stderr == "", promise,
               f"status {done.returncode}, output {done.stdout[:200]!r} {done.stderr[:500]!r}")
    except subprocess.TimeoutExpired:
        report(False, promise, "did not end within 60 s")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        skip(promise, f"the limit cannot be set: {error}")


def main():
    so = os.environ.get("SO")
    if not so:
        print("1..0 # SKIP needs SO")
        return 0
    for limit in LIMITS:
        for name, argv, given, want in PROGRAMS:
            run(name, argv, given, want, limit, so)
    tiny = ("ulimit -v 65536", resource.RLIMIT_AS, 65536 << 10)
    run("true", ["/bin/true"], None, "", tiny, so)
    run("awk", PROGRAMS[-1][1], None, PROGRAMS[-1][3], tiny, so)
    return done()


if __name__ == "__main__":
    sys.exit(main())
