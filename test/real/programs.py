#!/usr/bin/env python3
"""Real programs: what they print with the library preloaded is what they print without it."""
import hashlib
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import done, report, skip  # noqa: E402  (not of this folder)

LIMIT = 400

PYTHON = r"""
import collections, json, random, re, threading
random.seed(7)
words = ["".join(random.choice("abcdefgh") for _ in range(random.randint(1, 30)))
         for _ in range(40000)]
count = collections.Counter(w[:3] for w in words)
tree = {}
for w in words:
    node = tree
    for c in w:
        node = node.setdefault(c, {})
text = json.dumps([words, sorted(count.items())])
back = json.loads(text)
big = 1
for i in range(1, 2000):
    big *= i
results = []
def work(n):
    results.append((n, sum(len(str(i) * 3) for i in range(20000))))
threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(text), back[0] == words, len(re.findall("abc+", text)), len(tree), big % 1000003)
print(sorted(results))
"""
SQL = """
create table t(a integer primary key, b text, c real);
with recursive n(x) as (select 1 union all select x + 1 from n where x < 60000)
insert into t select x, hex(zeroblob(x % 20)) || printf('%08d', x * 7919 % 100003), x / 7.0 from n;
create index i on t(b);
select count(*), min(b), max(b), sum(a) from t;
select substr(b, 1, 5) as k, count(*), group_concat(a) from t group by k order by k limit 30;
select sum(length(x.b) + y.a) from t x join t y on x.a = y.a + 1;
delete from t where a % 3 = 0;
vacuum;
select count(*), sum(a) from t;
"""
PERL = r"""
my %h; my @a;
for my $i (1 .. 60000) { my $k = ($i * 7919) % 10007; push @{$h{$k}}, "x" x ($i % 50); }
for my $k (sort { $a <=> $b } keys %h) { push @a, "$k:" . length(join(",", @{$h{$k}})); }
my $s = join(" ", @a); my $n = () = $s =~ /1(\d)\1/g; $s =~ s/(\d+):(\d+)/$2-$1/g;
print length($s), " $n ", substr($s, 1000, 60), "\n";
"""
NODE = r"""
const m = new Map(); let s = [];
for (let i = 0; i < 100000; i++)
  m.set("k" + (i * 7919 % 10007), { v: i, a: new Array(i % 20).fill(i) });
for (let i = 0; i < 200; i++) s.push(Buffer.alloc(100000, i));
const z = require("zlib"); const c = z.deflateSync(Buffer.concat(s));
console.log(m.size, JSON.stringify([...m.values()].slice(0, 50)).length, c.length,
  z.inflateSync(c).length);
"""
BASH = r"""
declare -A h; for i in {1..20000}; do k=$((i * 7919 % 1009)); h[$k]+="$i,"; done
t=0; for k in "${!h[@]}"; do t=$((t + ${#h[$k]})); done; echo $t ${#h[@]}
for i in {1..50}; do x=$(echo "${h[$i]}" | tr , '\n' | sort -n | tail -1); echo -n "$x "; done; echo
"""
PHP = r"""
$a = [];
for ($i = 0; $i < 100000; $i++) { $k = $i * 7919 % 10007; $a[$k] = ($a[$k] ?? "") . "x$i"; }
ksort($a); echo count($a), " ", strlen(json_encode($a)), " ", md5(serialize($a)), "\n";
preg_match_all("/x(\d)\d*\\1/", implode(" ", $a), $m); echo count($m[0]), "\n";
"""
AWK = r"""
BEGIN { for (i = 0; i < 200000; i++) { k = i * 7919 % 10007; a[k] = a[k] "x"; b[k, i % 3] += i }
n = asorti(a, s); for (i = 1; i <= 20; i++) print s[i], length(a[s[i]]), b[s[i], 1]
print n, length(b) }
"""
LUA = r"""
local t, s = {}, {}
for i = 1, 200000 do
  local k = i * 7919 % 10007; t[k] = t[k] or {}; t[k][#t[k] + 1] = tostring(i)
end
for k, v in pairs(t) do s[#s + 1] = k .. ":" .. #table.concat(v, ",") end
table.sort(s); print(#s, s[1], s[5000], #table.concat(s))
local x = "" for i = 1, 5000 do x = x .. i end print(#x)
"""


def run(argv, given, cwd, so=None, options=None):
    """Standard output, error and status of a program, with or without the library."""
    env = dict(os.environ, PYTHONMALLOC="malloc", LC_ALL="C", HOME=cwd, GIT_CONFIG_NOSYSTEM="1")
    if so:
        env["LD_PRELOAD"] = so
    if options:
        env["MALLOC_OPTIONS"] = options
    done = subprocess.run(argv, input=given, capture_output=True, cwd=cwd, env=env, timeout=LIMIT,
                          check=False)
    return done.stdout, done.stderr, done.returncode


def compare(so, work, name, argv, given=None, files=(), options=None):
    """A program prints, and writes into its files, the same as without the library."""
    promise = f"{name}: the same output" + (f", options {options}" if options else "")
    if not shutil.which(argv[0]):
        skip(promise, f"{argv[0]} is not installed")
        return
    seen = []
    for library in (None, so):
        try:
            out, err, status = run(argv, given, work, library, options if library else None)
        except subprocess.TimeoutExpired:
            report(False, promise, f"did not end within {LIMIT} s")
            return
        sums = []
        for file in files:
            with open(os.path.join(work, file), "rb") as f:
                sums.append(hashlib.sha256(f.read()).hexdigest())
        seen.append((out, err, status, sums))
    report(seen[0] == seen[1] and seen[1][2] == 0, promise,
           "\n".join(f"status {s[2]}, files {s[3]}\n{s[0][:500]!r}\n{s[1][:500]!r}" for s in seen))


def write_sources(work):
    """A large C file, a C++ file with templates, and a file that packs well."""
    with open(os.path.join(work, "large.c"), "w", encoding="ascii") as f:
        f.write("#include <stdio.h>\n#include <string.h>\n")
        for i in range(1500):
            f.write(f"struct s{i} {{ int a[{i % 7 + 1}]; struct s{max(i - 1, 0)} *p; }};\n"
                    f"int f{i}(struct s{i} *s, int n) {{ int t = {i}; for (int i = 0; i < n; i++) "
                    f"t += s->a[i % {i % 7 + 1}] * (t ^ {i * 7919}); "
                    f"return t{' + f' + str(i - 1) + '(s->p, n)' if i else ''}; }}\n")
        f.write("int main(void) { puts(\"done\"); return 0; }\n")
    with open(os.path.join(work, "large.cc"), "w", encoding="ascii") as f:
        f.write("#include <algorithm>\n#include <iostream>\n#include <map>\n#include <string>\n"
                "#include <vector>\ntemplate <int N> struct t { std::map<int, std::string> m;\n"
                "int go() { for (int i = 0; i < N; i++) m[i * 7 % 11] += std::to_string(i);\n"
                "return int(m.size()) + t<N - 1>().go(); } };\n"
                "template <> struct t<0> { int go() { return 0; } };\n"
                "int main() { std::vector<int> v; for (int i = 0; i < 1000; i++)\n"
                "v.push_back(i * 7919 % 1009); std::sort(v.begin(), v.end());\n"
                "std::cout << t<40>().go() << ' ' << v[500] << '\\n'; }\n")
    with open(os.path.join(work, "mixed"), "wb") as f:
        block = b"".join(hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(20000))
        f.write(block + bytes(3000000) + block[::-1] + b"phkmalloc " * 200000)


def languages(so, work):
    compare(so, work, "python3", ["/usr/bin/python3", "-c", PYTHON])
    compare(so, work, "sqlite3", ["sqlite3", "test.db"], b"drop table if exists t;" + SQL.encode())
    compare(so, work, "perl", ["perl", "-e", PERL])
    compare(so, work, "php", ["php", "-r", PHP])
    compare(so, work, "bash", ["bash", "-c", BASH])
    compare(so, work, "node", ["node", "-e", NODE])
    compare(so, work, "gawk", ["gawk", AWK])
    compare(so, work, "lua5.4", ["lua5.4", "-e", LUA])
    for options in ("S", "CJ", "W20"):
        compare(so, work, "sqlite3", ["sqlite3", ":memory:"], SQL.encode(), options=options)
        compare(so, work, "perl", ["perl", "-e", PERL], options=options)


def tools(so, work):
    compare(so, work, "gcc, a large file", ["gcc", "-O1", "-c", "large.c", "-o", "large.o"],
            files=["large.o"])
    compare(so, work, "g++, templates", ["g++", "-O1", "-c", "large.cc", "-o", "largecc.o"],
            files=["largecc.o"])
    compare(so, work, "xz with two threads",
            ["xz", "-T2", "-2", "--block-size=1MiB", "-k", "-f", "mixed"], files=["mixed.xz"])
    compare(so, work, "unxz", ["xz", "-T2", "-d", "-k", "-f", "-c", "mixed.xz"])
    compare(so, work, "zstd with two threads",
            ["zstd", "-T2", "-9", "-q", "-f", "mixed", "-o", "mixed.zst"], files=["mixed.zst"])
    compare(so, work, "unzstd", ["zstd", "-d", "-q", "-c", "mixed.zst"])
    compare(so, work, "sort", ["sort", "-S", "4M", "--parallel=2", "large.c"])
    git = ("rm -rf r && git init -q r && cd r && cp ../large.c . && git add . && "
           "GIT_COMMITTER_DATE=1000000000 GIT_AUTHOR_DATE=1000000000 git -c user.name=a "
           "-c user.email=b commit -q -m one && sed -i 's/int/long/' large.c && git diff --stat && "
           "GIT_COMMITTER_DATE=1000000000 GIT_AUTHOR_DATE=1000000000 git -c user.name=a "
           "-c user.email=b commit -q -a -m two && git gc -q && git fsck --full && "
           "git log -p --format=%H | sha256sum && git blame -s large.c | tail -2")
    if shutil.which("git"):
        compare(so, work, "git", ["sh", "-c", git])
    else:
        skip("git: the same output", "git is not installed")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def redis(so, work):
    promise = "redis-server answers redis-benchmark, and saves and loads what it holds"
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        skip(promise, "redis is not installed")
        return
    port = free_port()
    # From version 8 on it asks about memory that it has from jemalloc.
    env = dict(os.environ, LD_PRELOAD=so, MALLOC_OPTIONS="O")
    argv = ["redis-server", "--port", port, "--save", "", "--dir", work, "--io-threads", "2"]
    for start in (1, 2):
        with open(os.path.join(work, "redis.err"), "wb") as err:
            server = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=err)

        def cli(*words):
            return subprocess.run(["redis-cli", "-p", port, *words], capture_output=True, text=True,
                                  timeout=LIMIT, check=False).stdout.strip()

        for _ in range(100):
            if cli("ping") == "PONG":
                break
            time.sleep(0.05)
        if start == 1:
            bench = subprocess.run(
                ["redis-benchmark", "-p", port, "-q", "-n", "20000", "-r", "5000", "-c", "20", "-P",
                 "8", "-t", "set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100"],
                capture_output=True, text=True, timeout=LIMIT, env=env, check=False)
            rows = re.findall(r"^(\w+).*: ([\d.]+) requests per second", bench.stdout.replace(
                "\r", "\n"), re.MULTILINE)
            size = cli("dbsize")
            digest = cli("debug", "digest")
            saved = cli("save")
            kept = bench.returncode == 0 and len(rows) >= 8 and int(size) > 1000 and saved == "OK"
        else:
            kept = kept and cli("dbsize") == size
        cli("shutdown", "nosave")
        try:
            status = server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            status = server.wait()
        kept = kept and status == 0
    with open(os.path.join(work, "redis.err"), encoding="utf-8", errors="replace") as err:
        report(kept, promise, f"status {status}, {size} keys, {digest}, saved {saved}\n"
               + bench.stdout[-500:] + bench.stderr[-500:] + err.read())


LINKED = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int phkmalloc_owns(const void *p);
size_t phkmalloc_check(void);
static void *work(void *arg)
{
	char *p[1000];
	for (int i = 0; i < 1000; i++) p[i] = memset(malloc(i * 50), 1, i * 50);
	for (int i = 0; i < 1000; i++) p[i] = realloc(p[i], i + 1);
	for (int i = 0; i < 1000; i++) free(p[i]);
	return arg;
}
int main(void)
{
	pthread_t t[4];
	void *p = malloc(100);
	for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, work, NULL);
	for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
	char *line = strdup("a string from libc");
	printf("%d %d %zu\n", phkmalloc_owns(p), phkmalloc_owns(line), phkmalloc_check());
	free(line);
	free(p);
	return 0;
}
"""
LINKED_CXX = r"""
#include <cstdio>
#include <memory>
#include <new>
#include <string>
#include <vector>
extern "C" int phkmalloc_owns(const void *p);
int main()
{
	std::vector<std::string> v;
	for (int i = 0; i < 10000; i++) v.push_back(std::string(i % 100, 'x'));
	int *p = new int[100];
	bool threw = false;
	try { ::operator new(std::size_t(-1) / 2 + 2); }
	catch (const std::bad_alloc &) { threw = true; }
	std::printf("%d %d %d\n", phkmalloc_owns(p), phkmalloc_owns(v.data()), threw);
	delete[] p;
}
"""


def linked(so, static, work):
    """Programs linked with the library, shared or static, and all static."""
    if not static or not shutil.which("gcc"):
        skip("programs linked with the library", "needs A and gcc")
        return
    for name, text, compiler, want in (("linked.c", LINKED, "gcc", b"1 1 0\n"),
                                       ("linked.cc", LINKED_CXX, "g++", b"1 1 1\n")):
        with open(os.path.join(work, name), "w", encoding="ascii") as f:
            f.write(text)
        for how, flags in (("the static library", [static]), ("-static", [static, "-static"]),
                           ("-static-pie", [static, "-static-pie", "-fPIE"]),
                           ("the shared library", [so, f"-Wl,-rpath,{os.path.dirname(so)}"])):
            exe = os.path.join(work, "linked")
            made = subprocess.run([compiler, "-O1", "-w", name, "-o", exe, *flags, "-pthread"],
                                  cwd=work, capture_output=True, text=True, check=False)
            if made.returncode != 0:
                report(False, f"{name} with {how} links", made.stderr)
                continue
            out, err, status = run([exe], None, work)
            report(out == want and status == 0, f"{name} linked with {how} runs",
                   f"status {status} {out!r} {err!r}")


REOPEN = r"""
import _ctypes, ctypes, sys
for i in range(100):
    lib = ctypes.CDLL(sys.argv[1])
    lib.malloc.restype = ctypes.c_void_p
    lib.free.argtypes = [ctypes.c_void_p]
    p = [lib.malloc(j * 100) for j in range(500)]
    [lib.free(x) for x in p]
    assert lib.phkmalloc_check() == 0
    _ctypes.dlclose(lib._handle)
print("done")
"""


def reopened(so, work):
    promise = "dlopen and dlclose in a program that does not use it"
    out, err, status = run(["/usr/bin/python3", "-c", REOPEN, so], None, work)
    if b"static TLS" in err:
        skip(promise, "no room for its thread-local data in this libc")
        return
    report(out == b"done\n" and status == 0, promise, f"status {status} {out!r} {err!r}")


def main():
    so, static = os.environ.get("SO"), os.environ.get("A")
    if not so:
        print("1..0 # SKIP needs SO")
        return 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as work:
        write_sources(work)
        languages(so, work)
        tools(so, work)
        redis(so, work)
        linked(so, static, work)
        reopened(so, work)
    return done()


if __name__ == "__main__":
    sys.exit(main())
