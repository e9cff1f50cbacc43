"""Real programs: how their traces are taken, and what is measured when they are played again.

Each is recorded by `phkmalloc record` and made into a script for the player. What they do comes
from the texts below and from files of this repository, so that a trace is much the same again.
Then every allocator plays it three times: on its own, for memory and pages referenced; and under
Valgrind with the tool of lru.c, for the faults of memories of several sizes, once by a program that
does not look at what it frees and once by one that does.
"""

import os
import platform
import shutil
import subprocess
import time

import experiments
import subjects

PYTHON = r"""
import json, re, collections
words = ['%x' % (i * 2654435761 % 1000003) * (i % 4 + 1) for i in range(8000)]
table = {w: [i, {'n': i, 'w': w}] for i, w in enumerate(words)}
text = json.dumps(table, sort_keys=True)
back = json.loads(text)
count = collections.Counter(re.findall('[a-f]+', text))
lines = [' '.join(words[i:i + 9]) for i in range(0, len(words), 3)]
tree = {}
for line in lines:
    at = tree
    for w in line.split()[:4]:
        at = at.setdefault(w[:2], {})
keep = {w: v for w, v in back.items() if v[0] % 7 == 0}
del back, table
report = sorted(((v, k) for k, v in count.items()), reverse=True)[:50]
more = [json.dumps({'k': k, 'v': v, 'l': list(range(v[0] % 40))}) for k, v in keep.items()]
print(len(text), len(tree), len(more), report[0])
"""

PERL = r"""
use strict; my %h; my @rows;
for my $i (1 .. 14000) { $h{"key" . ($i * 7919 % 100003)} = [ $i, "v" x ($i % 60), { n => $i } ]; }
for my $k (sort keys %h) { push @rows, join(":", $k, $h{$k}[0], $h{$k}[1]); }
my %w; for my $r (@rows) { $w{$_}++ for split /[:\d]+/, $r; $w{substr($r, 3, 3)} .= $r; }
delete $h{$_} for grep { length($_) % 2 } keys %h;
my @again = map { [ split /:/, $_ ] } @rows; @again = sort { $a->[1] <=> $b->[1] } @again;
print scalar(@again), " ", scalar(keys %w), " ", scalar(keys %h), "\n";
"""

SQL = """
create table t (id integer primary key, name text, v real);
create table u (t integer, note text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 12000)
insert into t select i, 'name' || (i * 7919 % 10007), i * 0.5 from n;
insert into u select id, hex(randomblob(id % 50)) from t where id % 3 = 0;
create index tn on t (name);
delete from t where id % 5 = 0;
update t set name = name || '-' || id where id % 4 = 0;
select count(*), sum(v), min(name), max(name) from t;
select name, count(*) c from t group by substr(name, 1, 6) order by c desc, name limit 20;
select t.name, u.note from t join u on u.t = t.id where t.v > 4000 order by t.name limit 200;
select group_concat(name) from (select name from t order by v desc limit 500);
drop table u;
select upper(name), replace(name, 'name', 'n'), printf('%08.3f', v) from t where id % 3 = 1;
"""

REDIS = ("set k:__rand_int__ __data__", "lpush l:__rand_int__ a b c d", "get k:__rand_int__",
         "hset h:__rand_int__ f __data__ g 1", "append k:__rand_int__ more", "lpop l:__rand_int__",
         "zadd z:__rand_int__ 1 one 2 two", "del k:__rand_int__", "set k:__rand_int__ x")


class Missing(Exception):
    """Why a program cannot be recorded here."""


def need(name):
    path = shutil.which(name, path="/usr/bin:/bin:/usr/sbin")
    if path is None:
        raise Missing("%s is not installed" % name)
    return path


def run(recorder, command, env=None, stdin=None):
    done = subprocess.run(recorder + command, env=env, input=stdin, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
    if done.returncode != 0:
        raise Missing("it failed: " + (done.stderr.strip().split("\n")[-1:] or ["?"])[0])


def python3(recorder, _bench, _folder):
    # Its own pools would hide its objects from malloc.
    run(recorder, [need("python3"), "-c", PYTHON],
        dict(os.environ, PYTHONMALLOC="malloc", PYTHONHASHSEED="1"))


def gcc(recorder, _bench, folder):
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../classic/phk1996.c")
    run(recorder, [need("gcc"), "-O2", "-c", "-o", folder + "/gcc.o", source])


def sqlite3(recorder, _bench, _folder):
    run(recorder, [need("sqlite3"), ":memory:"], stdin=SQL)


def perl(recorder, _bench, _folder):
    run(recorder, [need("perl"), "-e", PERL], dict(os.environ, PERL_HASH_SEED="0"))


def redis(recorder, _bench, folder):
    """The server alone is recorded; its clients are not."""
    client, socket = need("redis-benchmark"), folder + "/redis.sock"
    command = [need("redis-server"), "--port", "0", "--unixsocket", socket, "--save", "",
               "--appendonly", "no", "--dir", folder, "--io-threads", "1"]
    server = subprocess.Popen(recorder + command, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if os.path.exists(socket) or server.poll() is not None:
                break
            time.sleep(0.1)
        for size, requests in zip((20, 200, 900), REDIS[:3]):
            for request in (requests,) + REDIS[3:]:
                subprocess.run([client, "-s", socket, "-n", "1500", "-r", "4000", "-c", "10",
                                "-d", str(size), "-q"] + request.split(), check=True,
                               stdout=subprocess.DEVNULL, timeout=120)
        subprocess.run([need("redis-cli"), "-s", socket, "shutdown", "nosave"], check=False,
                       stdout=subprocess.DEVNULL, timeout=20)
        server.wait(20)
    except (OSError, subprocess.SubprocessError) as e:
        raise Missing(str(e)) from e
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait()


def game(recorder, bench, _folder):
    run(recorder, [bench.program("game"), "500", "1800", "10", "0"])


PROGRAMS = (python3, gcc, sqlite3, perl, redis, game)


INTERVALS = 200
# Sizes of memory in percent of what was asked for at the most.
PERCENT = (10, 15, 20, 25, 30, 40, 50, 60, 75, 90, 100, 110, 125, 150, 175, 200)
OWN = "40000000000,1000000000"      # addresses that do not count; play.c says what is there
LIMIT = 300                         # seconds


def script(bench, take, folder):
    """Records a program; the path of its script and what is known of it."""
    trace, path = "%s/%s.trace" % (folder, take.__name__), "%s/%s.script" % (folder, take.__name__)
    take([os.path.join(bench.build, "phkmalloc"), "record", "-o", trace, "--"], bench, folder)
    done = subprocess.run([bench.program("script"), trace, path], capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing("its trace cannot be read: " + done.stderr.strip())
    about = dict(line.split("=", 1) for line in done.stdout.splitlines())
    about = {k: int(v) if v.isdigit() else v for k, v in about.items() if k != "command"}
    about["nbytes"] = os.path.getsize(trace)
    return path, about


def tool_folder(bench):
    return os.path.join(bench.build, "revisited", "valgrind")


def no_tool(bench):
    """Why there can be no curves, or None."""
    if platform.machine() != "x86_64":
        return "the tool for Valgrind is for x86-64"
    if not os.path.exists(tool_folder(bench) + "/lru-amd64-linux"):
        return "Valgrind's libraries (package valgrind) were not there when this was built"
    return None


def memory_of(bench, path, library):
    """Per interval: bytes asked for, memory, pages referenced. Or the failure."""
    figures = subjects.run(bench.program("play"), (path, INTERVALS, "kernel"), library, LIMIT)
    if "failed" in figures:
        return {"failed": figures["failed"]}
    return {"sample": figures["sample"], "seconds": figures["seconds"],
            "unreferenced": figures.get("unreferenced")}


def faults_of(bench, path, library, sizes, log, *looks):
    """Faults by size of memory, and pages made of zeros. Or the failure."""
    env = dict(subjects.environment(library), VALGRIND_LIB=tool_folder(bench))
    command = ["valgrind", "-q", "--tool=lru", "--sizes=" + ",".join(map(str, sizes)),
               "--own=" + OWN, "--log-file=" + log,
               bench.program("play"), path, str(INTERVALS), "lru", *looks]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return {"failed": "over %d s" % LIMIT}
    if done.returncode != 0 or "library=" + library not in done.stdout:
        return {"failed": (done.stderr.strip().split("\n") or ["?"])[-1]}
    out = {"faults": [], "touched": [], "resident": []}
    with open(log, encoding="ascii") as f:
        for line in f:
            key, _, value = line.strip().partition("=")
            if key == "faults":
                out[key].append(int(value.split()[1]))
            elif key == "interval":
                out["touched"].append(int(value.split()[0]))
                out["resident"].append(int(value.split()[1]))
            elif key in ("zero", "uses"):
                out[key] = int(value)
    return out


def measured(bench, folder, programs=PROGRAMS):
    """For each program what is known of its trace and, by allocator, what was measured."""
    for name in (bench.build + "/phkmalloc", bench.program("script")):
        if not os.path.exists(name):
            return {"skipped": "the phkmalloc command was not built"}
    out = {"percent": PERCENT, "intervals": INTERVALS, "programs": {}, "missing": {}}
    why = no_tool(bench)
    if why:
        out["no_faults"] = why
    for take in programs:
        bench.say("trace: " + take.__name__)
        try:
            path, about = script(bench, take, folder)
        except Missing as e:
            out["missing"][take.__name__] = str(e)
            continue
        sizes = [max(i + 1, about["peak_pages"] * p // 100) for i, p in enumerate(PERCENT)]
        row = {"about": about, "memory": {}, "faults": {}, "looks": {}}
        log = folder + "/lru.log"
        for name, library in bench.here.items():
            row["memory"][name] = memory_of(bench, path, library)
            if not why:
                row["faults"][name] = faults_of(bench, path, library, sizes, log)
                row["looks"][name] = faults_of(bench, path, library, sizes, log, "look")
        if experiments.unreferenced(row["memory"]):
            out["unreferenced"] = experiments.unreferenced(row["memory"])
        out["programs"][take.__name__] = row
    return out
