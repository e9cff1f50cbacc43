#!/usr/bin/env python3
"""phkmalloc profile and leaks: what they say of a program whose allocations are known, the forms
they write, and what happens when something goes wrong.

TOOL is the command, STACKS the program on the library SO. SHOTS is a folder for pictures of the
flame graph, for people to look at.
"""
import gzip
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test"))
from tap import done, report, skip  # noqa: E402  (not of this folder)

DEBIAN = "/usr/bin/python3"
if sys.executable != DEBIAN and os.path.exists(DEBIAN):
    os.execv(DEBIAN, [DEBIAN] + sys.argv)  # has the packages that are looked for below

TOOL, STACKS, SO = os.environ["TOOL"], os.environ["STACKS"], os.environ["SO"]
HERE = os.path.dirname(os.path.abspath(__file__))
SHOTS = os.environ.get("SHOTS")
FLAGS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
         "--disable-background-networking --disable-component-update --disable-sync "
         "--window-size=1440,900 --disable-dev-shm-usage --hide-scrollbars").split()


def tool(*args, **more):
    env = dict(os.environ, **more.pop("env", {}))
    return subprocess.run([TOOL, *args], capture_output=True, text=True, check=False, timeout=60,
                          env=env, **more)


class Server:
    """The program at work, on the library, with nothing enabled."""

    def __init__(self, options=None):
        env = dict(os.environ, LD_PRELOAD=SO)
        if options:
            env["MALLOC_OPTIONS"] = options
        self.process = subprocess.Popen([STACKS, "serve"], env=env, stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.pid = str(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def amounts(text):
    """{innermost function: (bytes as they are written, allocations)} of a report."""
    found = {}
    for block in text.split("\n\n")[1:]:
        m = re.match(r"  ([\d.]+ \w+) \([\d.]+ %\) in ([\d,]+) allocations", block)
        if m:
            name = block.split("\n")[1].split()[0]
            found[name] = (m[1], int(m[2].replace(",", "")))
    return found


def test_leaks(folder):
    r = tool("leaks", "--library", SO, "--", STACKS, "leak", "3")
    got = amounts(r.stdout)
    report(r.returncode == 3 and got.get("leak_small") == ("109.4 KiB", 1000)
           and got.get("leak_large") == ("976.6 KiB", 10), "leaks are counted exactly", r)
    report(list(got)[:2] == ["leak_large", "leak_small"] and "use_and_free" not in got
           and "Every allocation was counted" in r.stdout, "largest first, and nothing else", got)
    report("      main  stacks.c:" in r.stdout, "with file and line", r.stdout)
    run = tool("run", "--leaks", "--library", SO, "--", STACKS, "leak", "4")
    report(run.returncode == 4 and amounts(run.stderr) == got, "run --leaks says the same", run)
    r = tool("profile", "--rate", "all", "--allocated", "--library", SO, "--", STACKS, "leak")
    report(amounts(r.stdout).get("use_and_free") == ("9.8 MiB", 10000),
           "profile --allocated counts what was freed", r)
    report("      inlined_step  stacks.c:" in r.stdout, "functions that were inlined are named", r)
    stripped = os.path.join(folder, "stripped")
    subprocess.run(["strip", "-o", stripped, STACKS], check=True)
    r = tool("leaks", "--library", SO, "--", stripped, "leak")
    report(re.search(r"976\.6 KiB .*\n      stripped\+0x[0-9a-f]+\n", r.stdout),
           "a stripped program's functions are addresses in its file", r.stdout)
    r = tool("leaks", "--library", SO, "--", "sh", "-c", "kill -9 $$")
    report(r.returncode != 0 and "left no profile" in r.stderr, "a program that is killed", r)


def read_pprof(path, folder):
    subprocess.run(["protoc", "--proto_path=" + os.path.dirname(HERE), "--python_out=" + folder,
                    "profile.proto"], check=True)
    sys.path.insert(0, folder)
    import profile_pb2
    p = profile_pb2.Profile()
    with gzip.open(path) as f:
        p.ParseFromString(f.read())
    return p


def build_id(path):
    out = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True)
    return re.search(r"Build ID: (\w+)", out.stdout)[1]


def check_pprof(path, folder, pid):
    try:
        import google.protobuf  # noqa: F401
    except ImportError:
        skip("pprof's format is read by protobuf's own reader", "no python3-protobuf")
        return
    p = read_pprof(path, folder)
    text = p.string_table
    report([(text[t.type], text[t.unit]) for t in p.sample_type] == [
        ("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"),
        ("inuse_space", "bytes")] and text[0] == "" and p.period == 2097152
        and text[p.period_type.type] == "space", "pprof: the sample types of heaps", p.sample_type)
    names = {f.id: text[f.name] for f in p.function}
    locations = {x.id: [names[y.function_id] for y in x.line] for x in p.location}
    stacks = [[n for i in s.location_id for n in locations[i]] for s in p.sample]
    report(any(s[:4] == ["use_and_free", "inlined_step", "serve", "main"] for s in stacks),
           "pprof: stacks, innermost function first, with those inlined", stacks)
    report(all({text[x.key]: text[x.str] or x.num for x in s.label}.items() >= {
        "pid": pid, "program": "stacks"}.items() for s in p.sample)
        and {text[x.key] for x in p.sample[0].label} == {
            "host", "pid", "program", "version", "bytes"},
        "pprof: labels tell the process", p.sample[0].label)
    maps = {text[m.filename]: text[m.build_id] for m in p.mapping}
    report(maps.get(STACKS) == build_id(STACKS)
           and all(m.memory_start < m.memory_limit for m in p.mapping),
           "pprof: mappings with build IDs", maps)
    report(all(len(s.value) == 4 and s.value[2] <= s.value[0] for s in p.sample)
           and all(0 < x.mapping_id <= len(p.mapping) for x in p.location),
           "pprof: whole numbers and mappings that are there", p.sample[0])


def test_merge(first, folder, pid):
    """Go's pprof, on one profile and on two."""
    promise = "Go's pprof reads profiles, and merges those of two processes"
    if shutil.which("go") is None:
        skip(promise, "no Go")
        return
    with Server() as other:
        second = os.path.join(folder, "second.pprof")
        tool("profile", "--seconds", "1", "--pprof", second, other.pid)
        out = [subprocess.run(["go", "tool", "pprof", "-top", "-sample_index=alloc_objects",
                               "-nodefraction=0", *args],
                              capture_output=True, text=True, check=False,
                              env=dict(os.environ, HOME=folder)).stdout
               for args in ([first], [second], [first, second],
                            [f"-tagfocus=pid=^{pid}$", first, second])]
    totals = [int((re.search(r"accounting for (\d+)", x) or [0, 0])[1]) for x in out]
    report(all(" use_and_free" in x and "serve" in x for x in out) and totals[0] > 0
           and abs(totals[0] + totals[1] - totals[2]) < 10 and abs(totals[3] - totals[0]) < 10,
           promise, totals)


def test_process(folder):
    files = {x: os.path.join(folder, "out." + x) for x in ("pprof", "folded", "html")}
    with Server() as s:
        before = tool("stat", "--json", s.pid).stdout
        r = tool("profile", "--seconds", "1.5", *sum((["--" + k, v] for k, v in files.items()), []),
                 "--allocated", s.pid)
        report(r.returncode == 0 and r.stdout == "" and r.stderr == "",
               "a process is profiled that was started without anything", r)
        idle = tool("profile", "--seconds", "0.1", "--rate", "4000000000", s.pid)
        after = tool("stat", "--json", s.pid).stdout
        check_pprof(files["pprof"], folder, s.pid)
        test_merge(files["pprof"], folder, s.pid)
        report(json.loads(before)["options"] == json.loads(after)["options"]
               and idle.returncode == 0, "and switched off again", idle)
        # One look may come just between an allocation and its free; not each of five.
        for _ in range(5):
            text = tool("leaks", "--seconds", "1", s.pid).stdout
            if "use_and_free" not in amounts(text):
                break
        report("use_and_free" not in amounts(text) and "Estimated from" in text,
               "what a process frees is no leak", text)
        report((" from 0 stacks" in text) == ("--allocated" in text),
               "where all was freed it is said what tells of it", text)
    with open(files["folded"], encoding="utf-8") as f:
        folded = {x.rpartition(" ")[0]: int(x.rpartition(" ")[2]) for x in f}
    chunks = sum(v for k, v in folded.items() if k.endswith(";serve;inlined_step;use_and_free"))
    large = sum(v for k, v in folded.items() if k.endswith(";serve;use_and_free"))
    report(all(k.startswith("stacks;") and ";main;serve;" in k for k in folded) and chunks > 0,
           "folded stacks, outermost function first", folded)
    # 1000 times 1024 bytes to 10 times 100,000, each from hundreds of samples
    report(0.7 < chunks / max(large, 1) < 1.5, "in proportion to what was allocated",
           f"{chunks} {large}")
    test_page(files["html"], chunks + large)


def test_page(path, total):
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
        from selenium.webdriver.common.by import By
    except ImportError:
        skip("the flame graph in a browser", "no python3-selenium")
        return
    if shutil.which("chromedriver") is None or shutil.which("chromium") is None:
        skip("the flame graph in a browser", "no chromium")
        return
    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    with tempfile.TemporaryDirectory() as home:
        options.add_argument("--user-data-dir=" + home)
        options.binary_location = shutil.which("chromium")
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            driver.get("file://" + path)
            run = driver.execute_script
            report(driver.title == "Heap profile of stacks" and run("return boxes.length") > 6
                   and abs(run("return root.sums[2]") - total) < total / 10,
                   "the flame graph shows the profile", run("return root.sums"))
            driver.find_element(By.CSS_SELECTOR, ".tile:nth-child(3)").click()
            shot(driver, "flame")
            box = run("const b = boxes.find(b => b.n.name === 'serve'), "
                      "r = $('graph').getBoundingClientRect();"
                      "return [r.left + b.x + 5, r.top + b.y * ROW + 5]")
            run("const e = { clientX: arguments[0], clientY: arguments[1], bubbles: true };"
                "$('graph').dispatchEvent(new MouseEvent('mousemove', e));"
                "$('graph').dispatchEvent(new MouseEvent('click', e));", *box)
            report(run("return zoom.name") == "serve"
                   and driver.find_element(By.ID, "path").text.endswith("%"),
                   "a click zooms", run("return zoom.name"))
            search = driver.find_element(By.ID, "search")
            search.send_keys("use_and")
            report(re.search(r"(9\d|100)(\.\d)? %", driver.find_element(By.ID, "found").text),
                   "a search says what it found", driver.find_element(By.ID, "found").text)
            shot(driver, "flame-search")
            search.send_keys("\ue00c")  # Escape, twice
            search.send_keys("\ue00c")
            driver.find_element(By.ID, "theme").click()
            shot(driver, "flame-dark")
            rows = driver.find_elements(By.CSS_SELECTOR, "#top .row")
            report(run("return zoom === root && pattern === null") and len(rows) >= 4
                   and rows[0].text.startswith("use_and_free"),
                   "Escape goes back, and the functions are listed", rows[0].text)
            errors = [x for x in driver.get_log("browser") if x["level"] == "SEVERE"]
            report(not errors, "without an error or a request for anything", errors)
        finally:
            driver.quit()


def shot(driver, name):
    if SHOTS:
        driver.save_screenshot(os.path.join(SHOTS, name + ".png"))


def test_files(folder):
    path = os.path.join(folder, "left.%p")
    env = dict(os.environ, LD_PRELOAD=SO, MALLOC_OPTIONS="B1", MALLOC_PROFILE_FILE=path)
    p = subprocess.Popen([STACKS, "leak"], env=env)
    p.wait()
    path = path.replace("%p", str(p.pid))
    r = tool("leaks", path)
    report(amounts(r.stdout).get("leak_small") == ("109.4 KiB", 1000),
           "a file that a process left is read", r)
    with open(path, "rb") as f:
        whole = f.read()
    cut = os.path.join(folder, "cut")
    bad = []
    for n in list(range(0, 200, 13)) + list(range(200, len(whole), len(whole) // 40)):
        with open(cut, "wb") as f:
            f.write(whole[:n])
        r = tool("leaks", cut)
        if r.returncode not in (0, 8) or (r.returncode == 8 and cut not in r.stderr):
            bad.append((n, r))
    report(not bad, "one that is cut off is said to be", bad[:1])
    bad = []
    for n in range(100, len(whole), len(whole) // 60):
        with open(cut, "wb") as f:
            f.write(whole[:n] + b"\xff\x7f\xff" + whole[n + 3:])
        r = tool("profile", "--pprof", "/dev/null", cut)
        if r.returncode not in (0, 6, 8):
            bad.append((n, r))
    report(not bad, "damaged ones end in an error or in figures", bad[:1])
    env["MALLOC_PROFILE_FILE"] = "/dev/full"
    r = subprocess.run([STACKS, "leak", "5"], env=env, capture_output=True, text=True, check=False)
    report(r.returncode == 5 and "no profile in /dev/full" in r.stderr
           and "o space" in r.stderr, "a full disk is said, and the program ends as it would", r)
    r = tool("profile", "--html", "/dev/full", path)
    report(r.returncode == 8 and "/dev/full" in r.stderr
           and stat.S_ISCHR(os.stat("/dev/full").st_mode),
           "and so is one of the command's, which does not replace devices", r)


def at_exit(letters):
    env = dict(os.environ, LD_PRELOAD=SO, MALLOC_OPTIONS=letters)
    return subprocess.run([STACKS, "leak"], env=env, capture_output=True, text=True,
                          check=False).stderr


def symbol(line):
    address = line.rpartition("+")[2]
    out = subprocess.run(["addr2line", "-f", "-e", STACKS, address], capture_output=True, text=True,
                         check=False).stdout
    return out.split("\n")[0]


def test_exit():
    """Option D, which the library writes by itself."""
    text = at_exit("D")
    report(re.search(r"in use at exit, by size.*\n  \d+ bytes in 10 large allocations\n"
                     r"  112000 bytes in 1000 chunks of 112\n", text),
           "D lists what is in use by size, largest first", text)
    for letters, small in (("DT", 100000), ("DB1", 112000)):
        text = at_exit(letters)
        m = re.search(r"in use at exit: (\d+) bytes in 1010 allocations, from 2 stacks\n"
                      r"  1000000 bytes in 10 allocations\n  allocated at:\n    (\S+)\n"
                      r"(?:    \S+\n)+"
                      rf"  {small} bytes in 1000 allocations\n  allocated at:\n    (\S+)\n", text)
        report(m and int(m[1]) == 1000000 + small and symbol(m[2]) == "leak_large"
               and symbol(m[3]) == "leak_small", f"{letters} lists it by stack, exactly", text)
    text = at_exit("DB10000")
    m = re.search(r"in use at exit: (\d+) bytes in \d+ allocations.*, estimated from samples", text)
    report(m and 800000 < int(m[1]) < 1500000, "DB estimates it", text)


def test_wrong(folder):
    report(tool("profile").returncode == 2 and tool("leaks", "--rate", "0", "1").returncode == 2,
           "wrong use")
    gone = subprocess.Popen(["true"])
    gone.wait()
    r = tool("profile", str(gone.pid))
    report(r.returncode == 3 and "no such process" in r.stderr, "no such process", r)
    other = subprocess.Popen(["sleep", "100"])
    time.sleep(0.2)
    r = tool("profile", str(other.pid))
    report(r.returncode == 5, "a process without the library", r)
    other.kill()
    other.wait()
    r = tool("profile", os.path.join(folder, "nothing"))
    report(r.returncode == 8 and "nothing: No such file" in r.stderr, "no such file", r)
    with Server() as s:
        p = subprocess.Popen([TOOL, "profile", "--seconds", "60", s.pid], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate(timeout=30)
        report(p.returncode == 0 and "Estimated from" in out, "an interrupt ends sampling early",
               out)
        p = subprocess.Popen([TOOL, "profile", "--seconds", "60", s.pid], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
        s.process.kill()
        _, err = p.communicate(timeout=30)
        report(p.returncode == 7 and "ended" in err, "a process that ends meanwhile", err)
    with Server("T") as s:
        r = tool("profile", "--seconds", "0.3", s.pid)
        report(r.returncode == 0 and "Nothing was sampled" in r.stdout,
               "a process whose options leave no room for samples", r)
    with Server("B100000") as s:
        time.sleep(0.3)
        r = tool("profile", "--allocated", s.pid)
        report("one for 97.7 KiB" in r.stdout and "use_and_free" in amounts(r.stdout),
               "with option B all since the start is read at once", r)


def main():
    with tempfile.TemporaryDirectory() as folder:
        test_leaks(folder)
        test_process(folder)
        test_files(folder)
        test_exit()
        test_wrong(folder)
    return done()


sys.exit(main())
