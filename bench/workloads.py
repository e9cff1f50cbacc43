"""The workloads: what is run, in which group, and what it shows.

A workload is one program that the launcher starts directly (no shell between),
so that the figures are its own. `{n}` in its arguments is its count, times the
scale; `{bin}` where the benchmark programs are, `{real}` the scripts, `{data}`
the generated inputs.
"""

import shutil

GROUPS = (
    ("one", "One thread"),
    ("threads", "Threads"),
    ("memory", "Memory and the kernel"),
    ("real", "Real programs"),
)


class Workload:
    def __init__(self, name, group, about, args, n=0, **more):
        self.name = name
        self.group = group
        self.about = about
        self.args = args.split() if isinstance(args, str) else args
        self.n = n
        self.needs = more.pop("needs", None)        # a program that must be installed
        self.package = more.pop("package", self.needs)
        self.inputs = more.pop("inputs", ())        # of inputs.py
        self.env = more.pop("env", {})
        self.stdin = more.pop("stdin", None)
        self.curve = more.pop("curve", False)       # resident memory over time
        self.optional = more.pop("optional", False)  # only when named
        self.server = more.pop("server", False)
        assert not more, more

    def here(self):
        return self.needs is None or shutil.which(self.needs) is not None

    def command(self, scale, places):
        n = max(1, int(self.n * scale))
        return [a.format(n=n, **places) for a in self.args]


def own(name, group, about, args, n=0, **more):
    return Workload(name, group, about, "{bin}/" + args, n, **more)


OWN = (
    own("tiny", "one", "8 to 48 bytes, most die at once", "tiny {n}", 70e6),
    own("churn", "one", "random slots, random sizes to 1 KiB", "churn {n}", 30e6),
    own("tree", "one", "an ordered map of nodes and strings", "tree {n}", 5e6),
    own("batch", "one", "batches built and taken down in four orders", "batch {n}", 36e6),
    own("grow", "one", "strings and vectors growing by realloc", "grow {n}", 9e6),
    own("zero", "one", "calloc of records and sparse tables", "zero {n}", 12e6),
    own("heap-1m", "one", "replacement at random, 1 MB live", "heap {n} 1", 20e6),
    own("heap-100m", "one", "the same, 100 MB live", "heap {n} 100", 5e6),
    own("heap-10g", "one", "the same, 10 GB live", "heap {n} 10000", 5e6, optional=True),
    own("batch-t2", "threads", "batches in 2 threads", "batch {n} 2", 60e6),
    own("larson-t4", "threads", "a server whose threads are replaced", "larson {n} 4", 14e6),
    own("larson-t1", "threads", "the same, one line of threads", "larson {n} 1", 14e6),
    own("remote-1x1", "threads", "1 producer, 1 consumer, all frees remote", "remote {n} 1 1",
        12e6),
    own("remote-2x2", "threads", "2 producers, 2 consumers", "remote {n} 2 2", 12e6),
    own("remote-1x3", "threads", "1 producer, 3 consumers", "remote {n} 1 3", 12e6),
    own("swap-t2", "threads", "blocks exchanged by 2 threads", "swap {n} 2", 16e6),
    own("swap-t8", "threads", "a storm of remote frees, 8 threads", "swap {n} 8", 16e6),
    own("stress-t2", "threads", "8 B to 1 MiB, 2 like threads", "stress {n} 2", 12e6),
    own("stress-t8", "threads", "8 B to 1 MiB, 8 like threads", "stress {n} 8", 12e6),
    own("stress-asym", "threads", "4 threads of different habits", "stress {n} 4 1", 6e6),
    own("buffers-t2", "threads", "32 to 256 KiB, 2 threads", "buffers {n} 2", 4e6),
    own("share-active", "threads", "false sharing: both threads allocate", "share {n} 2",
        12e6),
    own("share-passive", "threads", "false sharing: blocks given by main", "share {n} 2 1",
        12e6),
    own("large", "memory", "64 KiB to 16 MiB", "large {n}", 20e3),
    own("frag", "memory", "a long run, the sizes change, few survive", "frag {n}", 5e6,
        curve=True),
    own("peak-t4", "memory", "a server after its rush hour", "peak 240 4 4", curve=True),
    own("storm", "memory", "100,000 threads one after another", "storm {n} 4", 100e3),
    own("idle-10k", "memory", "10,000 idle threads, one block each", "idle 10000 1"),
)

REAL = (
    Workload("python", "real", "objects, text, JSON", "/usr/bin/python3 {real}/python.py {n}",
             8, needs="/usr/bin/python3", package="python3",
             env={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}),
    Workload("sqlite", "real", "a database in memory", "sqlite3 :memory:", needs="sqlite3",
             stdin="{real}/sqlite.sql"),
    Workload("redis", "real", "server: fill, query, delete nine of ten", [
             "redis-server", "--port", "0", "--unixsocket", "{data}/redis.sock", "--save", "",
             "--appendonly", "no", "--jemalloc-bg-thread", "no", "--dir", "{data}"],
             300e3, needs="redis-server", server=True, curve=True),
    Workload("gcc", "real", "a C file of 300 functions", "gcc -O1 -c {data}/big.c -o /dev/null",
             needs="gcc", inputs=("big.c",)),
    Workload("clang", "real", "a C++ file of the standard library",
             "clang++ -std=c++17 -O0 -c {real}/templates.cc -o /dev/null", needs="clang++",
             package="clang"),
    Workload("perl", "real", "hashes, strings, expressions", "perl {real}/perl.pl {n}", 25,
             needs="perl", env={"PERL_HASH_SEED": "0"}),
    Workload("lua", "real", "tables, trees, strings", "lua5.4 {real}/lua.lua {n}", 20,
             needs="lua5.4"),
    Workload("ruby", "real", "objects, strings, hashes", "ruby {real}/ruby.rb {n}", 30,
             needs="ruby"),
    Workload("node", "real", "buffers, JSON, compression", "node {real}/node.js {n}", 40,
             needs="node", package="nodejs"),
    Workload("gawk", "real", "words counted in associative arrays",
             "gawk -f {real}/gawk.awk {data}/words.txt", needs="gawk", inputs=("words.txt",)),
    Workload("jq", "real", "a JSON document rewritten",
             "jq -c -f {real}/jq.jq {data}/items.json", needs="jq", inputs=("items.json",)),
    Workload("xmllint", "real", "an XML document parsed and queried",
             ["xmllint", "--xpath", "count(//item[@kind > 20]/tag)", "{data}/items.xml"],
             needs="xmllint", package="libxml2-utils", inputs=("items.xml",)),
    Workload("z3", "real", "a solver", "z3 {data}/puzzle.smt2", needs="z3",
             inputs=("puzzle.smt2",)),
    Workload("gs", "real", "PostScript rendered to pages",
             "gs -q -dBATCH -dNOPAUSE -sDEVICE=ppmraw -r72 -sOutputFile=/dev/null {data}/pages.ps",
             needs="gs", package="ghostscript", inputs=("pages.ps",)),
    Workload("git-repack", "real", "a repository packed anew",
             "git -C {data}/repo.git repack -a -d -f -q --threads=2 --window=20",
             needs="git", inputs=("repo.git",)),
    Workload("git-log", "real", "its history with changes",
             "git -C {data}/repo.git --no-pager log -p --stat", needs="git",
             inputs=("repo.git",)),
    Workload("xz", "real", "compression, 2 threads", "xz -T2 -2 -k -c {data}/mixed.bin",
             needs="xz", package="xz-utils", inputs=("mixed.bin",)),
    Workload("zstd", "real", "compression, 2 threads",
             "zstd -q -T2 -15 -k -c {data}/mixed.bin", needs="zstd", inputs=("mixed.bin",)),
)

ALL = OWN + REAL


def select(only, groups):
    """The workloads named (a trailing * matches), or all but the optional ones."""
    if not only:
        return [w for w in ALL if not w.optional and (not groups or w.group in groups)]
    chosen = []
    for name in only:
        hits = [w for w in ALL if w.name == name
                or name.endswith("*") and w.name.startswith(name[:-1])
                and not w.optional]
        if not hits:
            raise SystemExit("bench: no workload %s; --list names them" % name)
        chosen += [w for w in hits if w not in chosen]
    return chosen
