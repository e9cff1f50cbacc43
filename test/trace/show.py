#!/usr/bin/env python3
"""What `phkmalloc trace` says of a trace, in each of its forms, and of files that are none."""
import collections
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from common import (SUBJECT, main, report, skip, summary, tool, with_option)  # noqa: E402


def test_summary():
    with_option([SUBJECT, "threads", 20000])
    s, text = summary(), tool("trace", "t.trace").stdout
    numbers = {k: int(v.replace(",", "")) for k, v in re.findall(
        r"^(allocated|resized|freed) +([\d,]+)", text, re.M)}
    report(numbers == {"allocated": s["malloc"] + s["calloc"] + s["aligned"] + s["new"],
                       "resized": s["realloc"], "freed": s["free"] + s["delete"]},
           "text and JSON say the same", [numbers, text])
    report(sum(x["count"] for x in s["sizes"]) == numbers["allocated"] + s["realloc"],
           "every allocation has its size", s["sizes"])
    report(sum(s["lives"]) == s["freed_objects"] + s["end_objects"] and
           s["freed_objects"] == s["free"] and s["lives"][-1] == s["end_objects"],
           "every object has its lifetime", s["lives"])
    report(sum(s["curve"]["operations"]) == s["operations"] and
           max(s["curve"]["live"]) == s["peak_bytes"] and
           max(s["curve"]["objects"]) == s["peak_objects"],
           "the curve has every operation, and the peak", s["peak_bytes"])
    live = s["curve"]["live"]
    # On a busy machine it takes a while until the threads are there, and until they have ended.
    used = [i for i, nbytes in enumerate(live) if nbytes != 0]
    report(0 < len(live) <= 1024 and used == list(range(used[0], used[-1] + 1)), "and no gap", live)
    report(sum(t["operations"] for t in s["threads"]) == s["operations"],
           "every operation has its thread", s["threads"])


def test_operations():
    with_option([SUBJECT, "threads", 3000])
    s = summary()
    lines = tool("trace", "--print", "t.trace").stdout.splitlines()
    times = [float(x.split()[0]) for x in lines]
    report(len(lines) == s["operations"] and times == sorted(times), "a line for each operation",
           len(lines))
    # A line for realloc stands where it ended. Put aside in its midst, it gives up its old address
    # earlier: another may have that by then, and its line stands before.
    live, early, wrong = set(), collections.Counter(), 0
    for line in lines:
        m = re.search(r"(free|delete) (0x\w+)", line)
        if m:
            wrong += m[2] not in live
            live.discard(m[2])
            continue
        m = re.search(r"realloc (0x\w+) \d+ = (0x\w+)", line)
        if m and early[m[1]] > 0:
            early[m[1]] -= 1
        elif m:
            wrong += m[1] not in live
            live.discard(m[1])
        got = re.search(r" = (0x\w+)", line)[1]
        early[got] += got in live
        live.add(got)
    wrong += sum(early.values())
    report(wrong == 0 and len(live) == s["end_objects"],
           "printed, too, each free follows its allocation, and each address is free before", wrong)
    part = tool("trace", "--print", "--limit", 10, "--from", times[100], "t.trace")
    report(part.stdout.splitlines() == lines[100:110] or
           part.stdout.splitlines()[0].split()[0] == lines[100].split()[0],
           "a part of them", part.stdout)


def test_events():
    with_option([SUBJECT, "threads", 2000])
    s = summary()
    r = tool("trace", "--perfetto", "-o", "t.json", "t.trace")
    events = json.load(open("t.json"))["traceEvents"]
    kinds = {k: [e for e in events if e["ph"] == k] for k in "XCM"}
    report(r.returncode == 0 and len(kinds["X"]) == s["operations"] and
           sum(map(len, kinds.values())) == len(events), "events for Perfetto, one an operation")
    report(all(e["ts"] >= 0 and e["dur"] > 0 for e in kinds["X"]) and
           len({e["tid"] for e in kinds["X"]}) == 5 and
           len([e for e in kinds["M"] if e["name"] == "thread_name"]) == 5,
           "on five threads, that have names")
    most = max(e["args"].get("bytes", 0) for e in kinds["C"])
    report(kinds["C"] and 0 < most <= s["peak_bytes"], "and curves", [most, s["peak_bytes"]])
    r = tool("trace", "--perfetto", "--limit", 100, "t.trace")
    report(len([e for e in json.loads(r.stdout)["traceEvents"] if e["ph"] == "X"]) == 100 and
           "only the first 100" in r.stderr, "a limit is told of", r.stderr)


def drawn(url, limit):
    """What a browser makes of a page; None where it does not get to it in so many seconds."""
    with tempfile.TemporaryDirectory() as profile:
        try:
            r = subprocess.run([shutil.which("chromium"), "--headless", "--no-sandbox",
                                "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
                                "--no-first-run", "--disable-background-networking",
                                "--disable-component-update", "--disable-sync",
                                "--enable-logging=stderr", "--user-data-dir=" + profile,
                                "--dump-dom", url], capture_output=True, text=True,
                               timeout=limit)
        except subprocess.TimeoutExpired:
            return None
    return r if "<html" in r.stdout else None


def test_page():
    with_option([SUBJECT, "threads", 20000], "UU")
    r = tool("trace", "--html", "-o", "t.html", "t.trace")
    page = open("t.html").read()
    report(r.returncode == 0 and not re.search(r"(src|href)=|https?://(?!www\.w3\.org)", page),
           "the page needs nothing else")
    if shutil.which("chromium") is None:
        skip("the page is drawn", "chromium is not installed")
        return
    # A browser takes a second to start, and some minutes where much else runs; or does not start.
    if drawn("data:text/html,<p>here</p>", 100) is None:
        skip("the page is drawn", "chromium does not draw an empty page in 100 s")
        return
    r = drawn("file://" + os.path.abspath("t.html"), 300)
    if r is None:
        report(False, "the page is drawn", "nothing came of it in 300 s")
        return
    report(r.stdout.count("<svg") == 6 and "<table>" in r.stdout and
           "Uncaught" not in r.stderr and "NaN" not in re.sub(r"<script.*</script>", "", r.stdout,
                                                              flags=re.S),
           "the page is drawn: six plots, and the stacks", [r.stdout.count("<svg"), r.stderr])


def test_names():
    """What a program is called does not get out of its string."""
    strange = "</script><script>alert(1)</script>\"'\\"
    os.symlink(SUBJECT, "subject")
    with_option(["./subject", "many", "2", strange])
    page = tool("trace", "--html", "t.trace").stdout
    report(page.count("<script>") == 1 and page.count("</script>") == 1 and
           summary()["command"] == f"./subject many 2 {strange}",
           "a command line that is HTML", summary()["command"])


def test_wrong_files():
    for data, what in ((b"", "empty"), (b"PHKTRACE", "too short"), (bytes(70000), "not a trace"),
                       (b"\x28\xb5\x2f\xfd" + bytes(100), "cut off or damaged")):
        with open("bad", "wb") as f:
            f.write(data)
        for command in ("trace", "replay"):
            r = tool(command, "bad")
            report(r.returncode == 8 and what in r.stderr and r.stderr.count("\n") == 1,
                   f"{command} of a file that is {what}", r)
    r = tool("trace", "nothing")
    report(r.returncode == 8 and "No such file" in r.stderr, "a file that is not there", r)
    with_option([SUBJECT, "many", "2"])
    r = tool("trace", "--pid", "1", "t.trace")
    report(r.returncode == 1 and "no such process" in r.stderr, "a process that is not there", r)


def test_damage():
    tool("record", "-o", "r.trace", "--", SUBJECT, "threads", "50000")
    good, s = open("r.trace", "rb").read(), summary("r.trace")
    with open("cut", "wb") as f:
        f.write(good[:len(good) * 2 // 3])
    r = tool("trace", "--json", "cut")
    part = json.loads(r.stdout)
    report(r.returncode == 0 and re.search(r"cut: it is cut off or damaged after \d+ blocks",
                                           r.stderr) and
           s["operations"] // 4 < part["operations"] < s["operations"],
           "of a trace that is cut off what is there is told", [r.stderr, part["operations"]])
    r = tool("replay", "--rounds", 1, "--touch", "cut")
    report(r.returncode == 0 and "cut off" in r.stderr, "and replayed", r.stderr)
    crashes = []
    rng = random.Random(1)
    for _ in range(25):
        bad = bytearray(good)
        for _ in range(20):
            bad[rng.randrange(200, len(bad))] = rng.randrange(256)
        with open("bad", "wb") as f:
            f.write(bad)
        r = tool("trace", "bad")
        if r.returncode not in (0, 8) or (r.returncode == 0 and "damaged" not in
                                          r.stdout + r.stderr):
            crashes.append(r)
    report(not crashes, "damage is told of and never crashes", crashes[:1])


if __name__ == "__main__":
    main(globals())
