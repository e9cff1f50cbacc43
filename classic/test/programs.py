#!/usr/bin/env python3
"""Real programs on the historical allocators: the same output as on libc's malloc. TAP.

Each program runs once as it is and once with each library preloaded; standard output, standard
error and exit status must be the same. B is the build folder.
"""

import os
import shutil
import subprocess
import sys
import tempfile

FOLDER = os.path.abspath(os.path.join(os.environ.get("B", "build"), "classic"))
LIBRARIES = ["kingsley", "firstfit", "phk1996"]

PYTHON = """
import json, re, threading, subprocess, sys, zlib
words = [str(i * 7919 % 10007) * (i % 5 + 1) for i in range(30000)]
table = {w: i for i, w in enumerate(words)}
text = json.dumps(table, sort_keys=True)
assert json.loads(text) == table
print(len(text), zlib.crc32(text.encode()), len(re.findall('77+', text)))
def work(n, out):
    out.append(sum(len(bytearray(k % 5000)) for k in range(n)))
out = []
threads = [threading.Thread(target=work, args=(4000, out)) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(out)
print(subprocess.run([sys.executable, '-c', 'print(2**1000)'], capture_output=True).stdout)
"""

# The library's own word for it that Python runs on it, and that the heap is whole after that.
PYTHON_NAMES = PYTHON + """
import ctypes
library = ctypes.CDLL(None)
library.classic_name.restype = ctypes.c_char_p
print(library.classic_name().decode(), library.classic_check())
"""

PERL = r"""
my %h; my $text = '';
for my $i (1 .. 40000) { $h{"key$i"} = [ $i, "v" x ($i % 50) ]; $text .= "line $i\n"; }
my $sum = 0; $sum += $h{$_}[0] * length $h{$_}[1] for sort keys %h;
my @m = $text =~ /line (\d+)5\n/g; delete $h{"key$_"} for 1 .. 20000;
my $pid = fork(); if (!$pid) { print join(",", map { $_ * 2 } 1 .. 100), "\n"; exit 0 }
waitpid $pid, 0; print scalar(@m), " $sum ", scalar(keys %h), "\n";
"""

SQLITE = """
create table t (id integer primary key, name text, v real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 30000)
insert into t select i, 'name' || (i * 7919 % 10007), i * 0.5 from n;
create index tn on t (name);
delete from t where id % 3 = 0;
select count(*), sum(v), min(name), max(name) from t;
select name, count(*) c from t group by name order by c desc, name limit 10;
select group_concat(name) from (select name from t order by v desc limit 50);
"""

C_SOURCE = "classic/firstfit.c"


def programs(scratch):
    """Name, command, what it reads, and the file that it writes and that must be the same."""
    sql = os.path.join(scratch, "t.sql")
    obj = os.path.join(scratch, "t.s")
    with open(sql, "w", encoding="ascii") as f:
        f.write(SQLITE)
    return [
        ("python3", [os.path.realpath(sys.executable), "-c", PYTHON], None, None),
        ("perl", ["perl", "-e", PERL], None, None),
        ("sqlite3", ["sqlite3", ":memory:"], sql, None),
        ("gcc", ["gcc", "-O2", "-S", "-o", obj, C_SOURCE], None, obj),
        ("clang", ["clang", "-O2", "-S", "-o", obj, C_SOURCE], None, obj),
        ("sort", ["sort", "-R", "--random-source=/bin/sh", C_SOURCE], None, None),
        ("ls", ["ls", "-lR", "/usr/include"], None, None),
    ]


def run(command, preload, stdin, result):
    """All that can be seen of a run."""
    environment = dict(os.environ, PYTHONMALLOC="malloc", PYTHONHASHSEED="1", LC_ALL="C")
    if preload:
        environment["LD_PRELOAD"] = preload
    if result and os.path.exists(result):
        os.unlink(result)
    with open(stdin or os.devnull, "rb") as source:
        done = subprocess.run(command, stdin=source, capture_output=True, env=environment,
                              timeout=60)
    written = None
    if result and os.path.exists(result):
        with open(result, "rb") as f:
            written = f.read()
    return done.returncode, done.stdout, done.stderr, written


class Tap:
    """Counts results and prints them."""

    def __init__(self):
        self.count = self.failed = 0

    def result(self, good, text):
        self.count += 1
        self.failed += not good
        print(f"{'' if good else 'not '}ok {self.count} - {text}")

    def skip(self, text, reason):
        self.count += 1
        print(f"ok {self.count} - {text} # SKIP {reason}")


def tell(expected, got):
    for what, a, b in zip(("status", "stdout", "stderr", "file"), expected, got):
        if a != b:
            print(f"# {what}: expected {str(a)[:300]}, got {str(b)[:300]}")


def main():
    tap = Tap()
    paths = {name: f"{FOLDER}/lib{name}.so" for name in LIBRARIES}
    with tempfile.TemporaryDirectory() as scratch:
        for name, command, stdin, result in programs(scratch):
            if shutil.which(command[0]) is None:
                tap.skip(name, "not installed")
                continue
            expected = run(command, None, stdin, result)
            tap.result(expected[0] == 0, f"{name} runs")
            for library, path in paths.items():
                got = run(command, path, stdin, result)
                tap.result(got == expected, f"{name} on {library}: the same output")
                if got != expected:
                    tell(expected, got)
    python = os.path.realpath(sys.executable)
    for library, path in paths.items():
        got = run([python, "-c", PYTHON_NAMES], path, None, None)
        last = got[1].decode().splitlines()[-1:]
        tap.result(last == [f"{library} 0"], f"{library} was what python3 ran on, heap whole")
        if last != [f"{library} 0"]:
            print(f"# {last} {got[2][:300]}")
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
