#!/usr/bin/env python3
"""The phkmalloc command against processes on the library: quiet ones, whose figures it has to tell
exactly, ones that churn with eight threads, ones that are killed while it reads, and none at all.

TOOL is the command, HEAP the process it looks at, HEAP_STATIC the same linked with the static
library and stripped, CORRUPT one that overwrote its own bookkeeping; CHURN_SECONDS says for how
long to look at one that churns.
"""
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import xml.dom.minidom

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test"))
from tap import done, report  # noqa: E402  (not of this folder)

TOOL, HEAP = os.environ["TOOL"], os.environ["HEAP"]
HEAP_STATIC, CORRUPT = os.environ["HEAP_STATIC"], os.environ["CORRUPT"]
SO = os.path.abspath(os.environ["SO"])
SECONDS = float(os.environ.get("CHURN_SECONDS", "6"))
GDB = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                   "../../share/gdb/auto-load/libphkmalloc.so-gdb.py")


def tool(*args, **options):
    return subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True, timeout=60,
                          **options)


def start(*args, program=HEAP, preload=SO):
    """The process, once it says that it is ready, and what it said on standard error."""
    env = dict(os.environ, LD_PRELOAD=preload)
    errors = tempfile.TemporaryFile("w+")
    process = subprocess.Popen([program, *map(str, args)], env=env, stdout=subprocess.PIPE,
                               stderr=errors, text=True)
    process.stdout.readline()
    errors.seek(0)
    return process, errors.read()


def stop(process):
    process.kill()
    process.wait()


def said(text):
    """What malloc_stats() said of the heap: totals and a row for each class."""
    total = re.search(r"operations: (\d+) allocations, (\d+) frees", text)
    used = re.search(r"in use: (\d+) bytes; large: (\d+) in (\d+)", text)
    free = re.search(r"free: (\d+) runs in (\d+) bytes, (\d+)", text)
    classes = {int(size): (int(pages), int(live), int(frees)) for size, pages, live, frees in
               re.findall(r"class (\d+) bytes: (\d+) pages, "
                          r"(\d+) chunks in use, (\d+) frees", text)}
    return [int(n) for m in (total, used, free) for n in m.groups()], classes


def seen(pid_args):
    r = tool(*pid_args)
    if r.returncode != 0:
        return r, None, None
    d = json.loads(r.stdout)
    page = d["heap"]["page_bytes"]
    large = d["large"]["pages"] * page
    total = [d["operations"]["allocations"], d["operations"]["frees"],
             d["chunks"]["live_bytes"] + large + d["samples"]["live_bytes"],
             d["large"]["live"], large,
             d["free"]["runs"], d["free"]["pages"] * page, d["free"]["dirty_pages"] * page]
    return d, total, {c["size"]: (c["pages"], c["live"], c["frees"]) for c in d["classes"]}


def sum_of_kinds(d):
    return d["chunks"]["pages"] + d["large"]["pages"] + d["free"]["pages"] + sum(
        d["heap"][x + "_pages"] for x in ("unsettled", "guard", "held"))


def test_quiet():
    for what, program, preload in (("a shared library", HEAP, SO),
                                   ("a stripped static one", HEAP_STATIC, "")):
        p, text = start("quiet", 40, program=program, preload=preload)
        total, classes = said(text)
        d, seen_total, seen_classes = seen(["stat", "--json", p.pid])
        report(seen_total == total, f"totals are those of malloc_stats(), with {what}",
               f"{seen_total} instead of {total}")
        asked = int(re.search(r"asked for: (\d+)", text)[1])
        report(abs(d["heap"]["asked_bytes_estimate"] / asked - 1) < 0.03 and
               asked < 0.95 * d["heap"]["live_bytes"],
               f"what was asked for is told to 3 %, with {what}", f"{asked}, {d['heap']}")
        report(d["heap"]["used_pages_max"] >= d["chunks"]["pages"] + d["large"]["pages"] and
               d["heap"]["used_pages_max"] <= d["heap"]["pages"],
               f"and the most pages that were in use, with {what}", d["heap"])
        report(seen_classes == classes and len(classes) > 10,
               f"each class is that of malloc_stats(), with {what}",
               f"{seen_classes} instead of {classes}")
        stop(p)
    for size, c in ((16, 4096), (48, 1365)):
        report([x["chunks_per_page"] for x in d["classes"] if x["size"] == size] == [c],
               f"a page has {c} chunks of {size} bytes")
    report(d["heap"]["unsettled_pages"] == 0, "nothing is unsettled in a quiet heap", d["heap"])


def test_options():
    """Options change what pages are; figures stay those of malloc_stats()."""
    wrong = []
    for letters in ("C", "E", "F", "G", "JJ", "P", "S", "T", "W100", "Z", "CFGW50"):
        os.environ["MALLOC_OPTIONS"] = letters
        p, text = start("quiet", 10)
        d, total, classes = seen(["stat", "--json", p.pid])
        if (total, classes) != said(text) or d["heap"]["unsettled_pages"] != 0:
            wrong.append(f"{letters}: {total} instead of {said(text)[0]}, {d['heap']}")
        if "F" in letters and d["heap"]["held_pages"] == 0:
            wrong.append(f"{letters}: no page is held back")
        stop(p)
    del os.environ["MALLOC_OPTIONS"]
    report(not wrong, "under options figures are those of malloc_stats(), too", "\n".join(wrong))


def test_threads():
    p, _ = start("churn", 3)
    # A thread is told of once it has allocated.
    end = time.monotonic() + 10
    while True:
        d = json.loads(tool("stat", "--threads", "--json", p.pid).stdout)
        live = [x for x in d["threads"] if x["state"] == "live"]
        if len(live) == 4 or time.monotonic() > end:
            break
    tids = set(os.listdir(f"/proc/{p.pid}/task"))
    report(len(live) == 4 and {str(x["thread"]) for x in live} == tids and
           all(x["name"] == "heap" for x in live), "--threads has each thread", d["threads"])
    report(0.9 < sum(x["live_bytes"] for x in d["threads"]) / d["chunks"]["live_bytes"] <= 1 and
           0.9 < sum(x["pages"] for x in d["threads"]) / d["chunks"]["pages"] <= 1,
           "and together they have the chunks", d)
    r = tool("stat", "--threads", p.pid)
    report(re.search(rf"^ +{p.pid}  heap +live ", r.stdout, re.M), "and as text", r.stdout)
    stop(p)


def test_formats(folder):
    p, _ = start("quiet", 10)
    r = tool("stat", p.pid)
    report(r.returncode == 0 and re.search(r"^ +16 +[\d.]+ +[\d,]+ ", r.stdout, re.M) and
           max(map(len, r.stdout.splitlines())) < 80, "stat as text, for 80 columns",
           r.stdout + r.stderr)
    r = tool("stat", "--openmetrics", p.pid)
    sample = re.compile(r'phkmalloc_(\w+)\{host="[^"]*",pid="%d",program="heap",version="[^"]+"'
                        r'(,\w+="\w+")?\} \d+(\.\d+)?$' % p.pid)
    lines = r.stdout.splitlines()
    bad = [x for x in lines if not x.startswith("#") and not sample.match(x)]
    report(r.returncode == 0 and len(lines) > 50 and not bad, "metrics have all labels", bad[:3])
    names = [x.split()[2] for x in lines if x.startswith("# TYPE")]
    report(len(names) == len(set(names)) and all(
        x.split()[3] == ("counter" if x.split()[2].endswith("_total") else "gauge")
        for x in lines if x.startswith("# TYPE")), "a metric has one type, told by its name", names)
    for kind, head in (("svg", b"<svg"), ("png", b"\x89PNG"), ("html", b"<!doctype html")):
        path = os.path.join(folder, "map." + kind)
        r = tool("map", "-o", path, p.pid)
        data = open(path, "rb").read() if r.returncode == 0 else b""
        report(data.startswith(head) and len(data) > 5000, f"map as {kind}", r.stderr)
    report(xml.dom.minidom.parse(os.path.join(folder, "map.svg")) is not None, "the SVG is XML")
    report(b"src=" not in data and b"href" not in data and b"@import" not in data,
           "the page needs nothing from elsewhere")
    report(os.listdir(folder) != [] and not [x for x in os.listdir(folder) if "part" in x],
           "no half-written file stays", os.listdir(folder))
    stop(p)


def test_several(folder):
    quiet, _ = start("quiet", 3)
    static, _ = start("leader", 2, program=HEAP_STATIC, preload="")
    r = tool("stat", "--all")
    report(r.returncode == 0 and all(re.search(rf"^ *{p.pid}  heap", r.stdout, re.M)
                                     for p in (quiet, static)), "--all finds processes", r)
    r = tool("stat", "--json", quiet.pid, static.pid)
    report([x["pid"] for x in json.loads(r.stdout)] == [quiet.pid, static.pid],
           "several processes are an array; one goes on when its first thread has ended", r)
    stop(static)
    r = tool("stat", quiet.pid, static.pid)
    report(r.returncode == 3 and f"no such process: {static.pid}" in r.stderr and
           f"process {quiet.pid}" in r.stdout, "one of several that is gone is said to be", r)
    path = os.path.join(folder, "m.prom")

    def changed(old, new):
        """What becomes of a counter in a file that is written again."""
        tool("stat", "--openmetrics", "-o", path, quiet.pid)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(re.sub(old, new, re.sub(r'(frees_total.*"16"\}) \d+', r"\1 99999999", text)))
        tool("stat", "--openmetrics", "-o", path, quiet.pid)
        with open(path, encoding="utf-8") as f:
            return re.search(r'frees_total.*"16"\} (\d+)', f.read())[1]

    report(changed("nothing", "") == "99999999", "a counter does not fall behind the file before")
    report(changed(r"(start_time\S+ )\d+", r"\g<1>1000") != "99999999",
           "unless that is of another process")
    r = tool("stat", "--openmetrics", "--every", "1", "-o", "/nonexistent/x", quiet.pid)
    report(r.returncode == 8 and "No such file" in r.stderr, "a file that cannot be written", r)
    stop(quiet)


def test_errors(folder):
    plain = subprocess.Popen(["sleep", "60"])
    quiet, _ = start("quiet", 1)
    gone = subprocess.Popen(["true"])
    gone.wait()
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else None
    cases = [
        ("no such process", 3, "no such process", ["stat", gone.pid], {}),
        ("a process without the library", 5, "does not use phkmalloc", ["stat", plain.pid], {}),
        ("no number", 2, "not a process number", ["stat", "x1"], {}),
        ("nothing", 2, "usage", [], {}),
        ("no such command", 2, "no command", ["nonesuch"], {}),
        ("stat of nothing", 2, "usage", ["stat"], {}),
        ("a map of another kind", 2, "ends in", ["map", "-o", "x.gif", quiet.pid], {}),
        ("a map that cannot be written", 8, "No such file",
         ["map", "-o", "/nonexistent/x.svg", quiet.pid], {}),
        ("a core that is none", 8, "not a core file", ["core", "/bin/true", "stat"], {}),
        ("no core", 8, "No such file", ["core", "/nonexistent", "stat"], {}),
    ]
    if nobody:
        copy = os.path.join(folder, "phkmalloc")
        subprocess.run(["cp", TOOL, copy], check=True)
        os.chmod(folder, 0o755)
        r = subprocess.run([copy, "stat", str(quiet.pid)], capture_output=True, text=True, **nobody)
        report(r.returncode == 4 and "not permitted" in r.stderr, "another user's process", r)
        r = subprocess.run([copy, "stat", "--all"], capture_output=True, text=True, **nobody)
        report(r.returncode == 0 and str(quiet.pid) not in r.stdout and
               re.search(r"there are [\d,]+ more that only their users", r.stderr),
               "all processes are not all when others' may not be read", r)
    else:
        report(True, "another user's process # SKIP needs root")
    for what, status, words, args, options in cases:
        r = tool(*args, **options)
        report(r.returncode == status and words in r.stderr and r.stdout == "",
               f"{what}: status {status}", f"{r.returncode} {r.stderr}")
    stop(plain)
    stop(quiet)
    r = tool("--version")
    report(re.fullmatch(r"phkmalloc \S+, reads heaps described in version \d+\n", r.stdout),
           "--version", r)
    report(tool("help", "stat").stdout == tool("stat", "--help").stdout != "", "help stat")
    for name in ("run", "stat", "map", "core", "top"):
        r = tool(name, "--help")
        report(r.returncode == 0 and r.stdout.startswith(f"usage: phkmalloc {name}"),
               f"{name} --help", r.stderr)


def test_version(folder):
    """A library whose descriptor has a version of the future."""
    data = bytearray(open(SO, "rb").read())
    at = data.index(b"phkmalloc heap\0\0")
    data[at + 16] += 1
    path = os.path.join(folder, "libother.so")
    open(path, "wb").write(data)
    p, _ = start("quiet", 1, preload=path)
    r = tool("stat", p.pid)
    report(r.returncode == 6 and f"in version {data[at + 16]};" in r.stderr,
           "another version: status 6",
           f"{r.returncode} {r.stderr}")
    stop(p)


def test_churn(folder):
    p, _ = start("churn", 8)
    end = time.monotonic() + SECONDS
    looks, unsettled, wrong, last = 0, 0, [], 0
    while time.monotonic() < end and not wrong:
        d, total, _ = seen(["stat", "--json", p.pid])
        r = tool("map", "-o", os.path.join(folder, f"churn.{('svg', 'html')[looks % 2]}"), p.pid)
        if total is None or r.returncode != 0:
            wrong.append(str(d) + r.stderr)
            break
        looks += 1
        unsettled += d["heap"]["unsettled_pages"] / d["heap"]["pages"]
        heap = d["heap"]["pages"]
        # Pages of all kinds make up the heap, nothing is more than full, counts go up, and all
        # that is in use was allocated.
        if sum_of_kinds(d) != heap or total[0] < last or total[0] - total[1] != (
                d["chunks"]["live"] + d["large"]["allocations"] - d["large"]["frees"]) or any(
                c["live"] > c["pages"] * c["chunks_per_page"] for c in d["classes"]):
            wrong.append(json.dumps(d))
        last = total[0]
        if p.poll() is not None:
            wrong.append("the process ended")
    report(looks > 2 and not wrong, f"a heap that churns with 8 threads, {SECONDS:g} s", wrong)
    report(looks > 0 and unsettled / looks < 0.2, "most of it holds still enough to be seen",
           unsettled / max(1, looks))
    print(f"# {looks} looks, {100 * unsettled / max(1, looks):.2f} % unsettled")
    stop(p)


def test_killed(folder):
    statuses = {}
    for i in range(40):
        p, _ = start("churn", 4)
        args = (["stat"], ["map", "-o", os.path.join(folder, "k.svg")])[i % 2]
        t = subprocess.Popen([TOOL, *args, str(p.pid)], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        time.sleep(i % 20 * 0.0004)
        stop(p)
        status = t.wait(timeout=20)
        statuses[status] = statuses.get(status, 0) + 1
    report(set(statuses) <= {0, 3, 7}, "processes killed under it: done, gone or not there",
           statuses)
    print(f"# statuses {statuses}")


def test_corrupt(folder):
    """Garbage in a real process: every answer is one, and soon, and what is told adds up."""
    wrong, damaged = [], 0
    for seed in range(12):
        p, _ = start(seed, program=CORRUPT)
        begin = time.monotonic()
        d = tool("stat", "--json", p.pid)
        m = tool("map", "-o", os.path.join(folder, f"c.{('svg', 'png', 'html')[seed % 3]}"), p.pid)
        taken = time.monotonic() - begin
        stop(p)
        if d.returncode != 0 or m.returncode != 0 or taken > 20:
            wrong.append(f"seed {seed}: {d} {m} {taken}")
            continue
        damaged += "contradicts itself" in d.stderr
        d = json.loads(d.stdout)
        if sum_of_kinds(d) != d["heap"]["pages"]:
            wrong.append(f"seed {seed}: {d}")
    report(not wrong, "processes that overwrote their bookkeeping", "\n".join(wrong))
    report(damaged == 12, "it says that the bookkeeping contradicts itself", damaged)


def damage_core(core):
    """A core file with bytes changed in its headers, notes and first pages, and changed back."""
    wrong = []
    generator = random.Random(1)
    with open(core, "r+b", buffering=0) as f:
        head = f.read(65536)
        for i in range(30):
            copy = bytearray(head)
            for _ in range(generator.randrange(1, 40)):
                at = generator.randrange(generator.choice((64, 4096, len(head))))
                copy[at] = generator.randrange(256)
            os.pwrite(f.fileno(), copy, 0)
            r = tool("core", core, "stat")
            if r.returncode not in (0, 5, 6, 7, 8):
                wrong.append(f"{i}: {r}")
        os.pwrite(f.fileno(), head, 0)
    report(not wrong, "core files with bytes changed", "\n".join(wrong))


def test_core(folder):
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    pattern = open("/proc/sys/kernel/core_pattern", encoding="ascii").read().strip()
    if "/" in pattern or pattern.startswith("|") or hard != resource.RLIM_INFINITY:
        report(True, "core files # SKIP the kernel writes them elsewhere or not at all")
        return
    subprocess.run([HEAP, "crash", "10"], cwd=folder, env=dict(os.environ, LD_PRELOAD=SO),
                   stdout=subprocess.DEVNULL, check=False,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)))
    core = os.path.join(folder, [x for x in os.listdir(folder) if x.startswith("core")][0])
    p, text = start("quiet", 10)
    stop(p)
    d, total, classes = seen(["core", core, "stat", "--json"])
    report(classes == said(text)[1], "a core file has the same heap as a process that did the same",
           f"{d} {classes}")
    r = tool("core", core, "map", "-o", os.path.join(folder, "core.html"))
    report(r.returncode == 0, "a map of a core file", r.stderr)
    if shutil.which("gdb"):
        address = next(x for x in re.findall(r'"starts":\[\[0,"([0-9a-f]+)"', open(
            os.path.join(folder, "core.html"), encoding="utf-8").read()))
        g = subprocess.run(["gdb", "--batch", "-ex", f"source {GDB}", "-ex",
                            f"phkmalloc-info 0x{address}", "-ex", "phkmalloc-info 16", HEAP, core],
                           capture_output=True, text=True, timeout=60, check=False)
        report(re.search(rf"0x{address} is (in use|free)\b.*: byte 0 of a chunk of \d+ bytes",
                         g.stdout) and "0x10 is not in the heap" in g.stdout,
               "gdb tells a chunk of a core file", g.stdout + g.stderr)
    else:
        report(True, "gdb tells a chunk of a core file # SKIP no gdb")
    damage_core(core)
    os.truncate(core, os.path.getsize(core) // 3)
    r = tool("core", core, "stat")
    report(r.returncode in (0, 5, 8) and "cut off" in r.stderr, "a core file that is cut off",
           r.stderr)


with tempfile.TemporaryDirectory() as FOLDER:
    test_quiet()
    test_options()
    test_threads()
    test_formats(FOLDER)
    test_several(FOLDER)
    test_errors(FOLDER)
    test_version(FOLDER)
    test_churn(FOLDER)
    test_killed(FOLDER)
    test_corrupt(FOLDER)
    test_core(FOLDER)
sys.exit(done())
