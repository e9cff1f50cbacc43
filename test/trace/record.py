#!/usr/bin/env python3
"""Programs that do what makes recording hard are recorded, and all they did is in the trace."""
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from common import (SO, SUBJECT, SUBJECTS, TOOL, main, processes, report, skip,  # noqa: E402
                    summary, tool, whole, with_option)


def allocations(s):
    return s["malloc"] + s["calloc"] + s["aligned"] + s["new"]


def said(text):
    """What the library itself counted at exit."""
    return [int(x) for x in re.search(r"operations: (\d+) allocations, (\d+) frees",
                                      text).groups()]


def test_threads():
    for letters in ("UD", "UUD", "UDC", "UDFJJ", "UDW50", "UDS"):
        r = with_option([SUBJECT, "threads", 30000 if "S" in letters else 100000], letters)
        s = summary()
        report(r.returncode == 0 and whole(s) and s["thread_count"] == 5 and s["exited"],
               f"each free comes after its allocation, with four threads and {letters}", [r, s])
        # What a sample or a resizing in place is counted as differs with these.
        if not set(letters) & set("WSFC"):
            counted = [allocations(s) + s["moved"], s["free"] + s["delete"] + s["moved"]]
            report(counted == said(r.stderr), f"every operation is in it, with {letters}",
                   [counted, r.stderr])
        report(s["bytes"] / s["operations"] <= (10 if "UU" in letters or "S" in letters else 8),
               f"{s['bytes'] / s['operations']:.2f} bytes an operation, with {letters}")
        if "UU" in letters:
            frames = [f for x in s["stacks"] for f in x["frames"]]
            ours = [f for f in frames if re.match(r"churn.* \(subject.c:\d+\)", f)]
            report(s["stack_count"] > 3 and ours and not any("phkmalloc" in f for f in frames),
                   "stacks lead into the program, and not into the library", s["stacks"][:3])


def test_handed_over():
    with_option([SUBJECT, "hand", 300000])
    s = summary()
    report(whole(s) and s["malloc"] == s["free"] == s["remote"] == 600000,
           "600,000 objects, each freed at once by another thread", s)


def killer_operations(s):
    """Of the thread that kills after 100000 rounds: 83000 and some. A block has some 11000."""
    return sum(t["operations"] for t in s.get("threads", []) if t["tid"] != s["pid"])


def test_ends():
    r = with_option([SUBJECT, "killed", 100000])
    s = summary()
    # The other thread may be in a realloc, which is recorded when it is over, and the killer have
    # allocated the address that it has given up.
    s["unseen"] = max(s.get("unseen", 2) - 1, 0)
    report(r.returncode == -signal.SIGKILL and whole(s) and not s["exited"] and
           killer_operations(s) > 80000, "SIGKILL loses nothing", [r, s])
    r = with_option([SUBJECT, "leave", 20000])
    s = summary()
    report(r.returncode == 0 and s["malloc"] == 20000 and s["end_objects"] == 20001 and whole(s),
           "_exit in a thread loses nothing", s)
    r = with_option([SUBJECT, "exec", 20])
    children = [p for p in processes() if p["command"].endswith("threads 1000")]
    forked = [p for p in processes() if p["forked"] != "-"]
    sums = [summary("t.trace", "--process", p["number"]) for p in children]
    report(len(children) == 20 and all(whole(s) and s["exited"] for s in sums),
           "what is started by exec is a process of its own", processes())
    report(not forked or all(p["operations"] < 10 for p in forked),
           "a child that only calls exec has nothing of its parent's", forked)


def test_largest():
    """A shell starts another one, which does more; of both there is one block."""
    with_option(["bash", "-c", "bash -c 'for i in {1..200}; do x=$i; done'; true"])
    most = max(processes(), key=lambda p: p["operations"])
    report(most["number"] != 1 and summary()["process"] == most["number"],
           "without a choice it is the process of which most was recorded", processes())


def test_forks():
    with_option([SUBJECT, "fork", 50])
    children = [p for p in processes() if p["forked"] != "-"]
    parent = [p for p in processes() if p["forked"] == "-"]
    sums = [summary("t.trace", "--process", p["number"]) for p in children]
    report(len(children) == 50 and all(s["malloc"] == 100 and s["free"] == 1 and
                                       s["unknown"] == 1 and not s["exited"] for s in sums),
           "50 children of fork, each with its own operations", sums[:2])
    s = summary("t.trace", "--process", parent[0]["number"])
    report(whole(s) and s["malloc"] == 50 and s["free"] == 50 and s["exited"],
           "their parent has none of them", s)
    report({p["forked"] for p in children} == {str(parent[0]["number"])},
           "children know whose they are", processes()[:3])


def test_threads_end():
    with_option([SUBJECT, "many", 3000])
    s = summary()
    report(whole(s) and s["thread_count"] == 3001 and s["end_objects"] == 2 and
           s["malloc"] == 3000, "3000 threads one after the other", s)
    report(os.stat("t.trace").st_size <= 6 * 65536, "they share a few blocks of the file",
           os.stat("t.trace"))
    with_option([SUBJECT, "late", 1000])
    s = summary()
    report(whole(s) and s["malloc"] == 5000 and s["free"] == 4000,
           "allocations of the last destructors are there", s)
    with_option([SUBJECT, "signals", 3000])
    s = summary()
    report(whole(s) and s["malloc"] == 6000 and s["free"] == 6000,
           "so are those of signal handlers", s)
    with_option([SUBJECT, "big", 50])
    s = summary()
    report(whole(s) and s["realloc"] == 50 and s["failed_operations"] == 1 and
           s["peak_bytes"] > 50 << 20, "large ones, and one that fails", s)


def test_kinds():
    with_option([os.path.join(SUBJECTS, "objects"), "1000"])
    s = summary()
    report(whole(s) and s["new"] == 3000 and s["aligned"] == 1000 and s["delete"] == 4000,
           "every form of new and delete", s)
    r = with_option([os.path.join(SUBJECTS, "subject-static"), "threads", "20000"], preload="")
    s = summary()
    report(r.returncode == 0 and whole(s) and s["thread_count"] == 5, "a static program", [r, s])
    r = with_option([SUBJECT, "many", "2"], letters="D")
    report(not os.path.exists("t.trace"), "without the option there is no file")
    with_option([SUBJECT, "many", "2"], trace=None)
    names = [x for x in os.listdir(".") if re.fullmatch(r"malloc\.trace\.\d+", x)]
    report(len(names) == 1 and summary(names[0]).get("malloc") == 2,
           "without a name it is malloc.trace.PID", names)


HOSTILE = """
import os
os.closerange(3, 4096)
files = [open("own.%d" % i, "w+") for i in range(40)]
os.chdir("/")
x = [bytearray(i % 3000) for i in range(200000)]
for f in files: f.write("mine"); f.flush()
os.chdir(folder)
assert all(open("own.%d" % i).read() == "mine" for i in range(40))
"""


def test_hostile():
    """A program that closes what it did not open, and opens files under those numbers."""
    env = "folder = %r\n" % os.getcwd()
    r = with_option([sys.executable, "-c", env + HOSTILE])
    s = summary()
    report(r.returncode == 0 and whole(s) and s["exited"] and s["malloc"] > 150000,
           "a program that closes all files and goes elsewhere is recorded, its files are its own",
           [r, s])


def test_trouble():
    r = with_option([SUBJECT, "threads", "1000"], trace="/nowhere/t.trace")
    report(r.returncode == 0 and r.stderr.count("\n") == 1 and re.fullmatch(
        r"subject\(\d+\) in malloc\(\): warning: cannot write trace /nowhere/t.trace: "
        r"no such folder\n", r.stderr), "a file that cannot be made: one message", r)
    with open("other", "w") as f:
        f.write("something dear")
    env = dict(os.environ, MALLOC_OPTIONS="U", LD_PRELOAD=SO, MALLOC_TRACE_FILE="other")
    r = subprocess.run([SUBJECT, "many", "3"], env=env, capture_output=True, text=True, timeout=60)
    report(r.returncode == 0 and "is something else" in r.stderr and
           open("other").read() == "something dear", "a file that is no trace stays as it is", r)
    limit = (1 << 20, 1 << 20)
    r = with_option([SUBJECT, "threads", "300000"], preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, limit))
    s = summary()
    report(r.returncode == 0 and r.stderr.count("\n") == 1 and "size of files" in r.stderr and
           s["operations"] > 50000 and not s["damaged_blocks"],
           "at the limit on files: one message, the program goes on, the trace is good", [r, s])
    r = tool("record", "-o", "r.trace", "--", SUBJECT, "threads", "300000",
             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    s = summary("r.trace")
    report(r.returncode == 8 and r.stderr.count("\n") in (1, 2) and "size of files" in r.stderr and
           s["operations"] > 50000 and not s["damaged_blocks"],
           "so does record, whose status tells of it", [r, s])


def test_full_disk():
    if os.geteuid() != 0:
        skip("a full disk", "needs root, to mount a small file system")
        return
    os.mkdir("small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", "small"],
                      capture_output=True).returncode != 0:
        skip("a full disk", "a small file system cannot be mounted here")
        return
    try:
        r = with_option([SUBJECT, "threads", "300000"], trace="small/t.trace")
        s = summary("small/t.trace")
        report(r.returncode == 0 and r.stderr.count("\n") == 1 and
               "no space left on the device" in r.stderr and s["operations"] > 50000 and
               not s["damaged_blocks"], "a full disk: one message, the program goes on", [r, s])
        os.unlink("small/t.trace")
        with open("small/filler", "wb") as f:
            f.write(bytes(700 << 10))
        r = tool("record", "-o", "small/r.trace", "--", SUBJECT, "threads", "300000")
        # The program and record may both find the disk full.
        report(r.returncode == 8 and r.stderr.count("\n") in (1, 2) and "space left" in r.stderr and
               not os.path.exists("small/r.trace.part") and
               summary("small/r.trace").get("damaged_blocks") == 0,
               "record on a full disk: what it wrote can be read", [r, summary("small/r.trace")])
    finally:
        subprocess.run(["umount", "small"], check=False)


def test_secure():
    """The static program as another user's set-user-ID program."""
    if os.geteuid() != 0:
        skip("set-user-ID programs are not recorded", "needs root, to make one")
        return
    shutil.copy(os.path.join(SUBJECTS, "subject-static"), "secure")
    try:
        os.chown("secure", 65534, 65534)
    except OSError as e:
        skip("set-user-ID programs are not recorded", f"a file cannot be given away: {e.strerror}")
        return
    os.chmod("secure", 0o4755)
    os.chmod(".", 0o777)
    with_option(["./secure", "many", "3"], preload="")
    report(not os.path.exists("t.trace"), "set-user-ID programs are not recorded")


def test_record():
    r = tool("record", "-o", "r.trace", "--", SUBJECT, "threads", "100000")
    s = summary("r.trace")
    report(r.returncode == 0 and not r.stderr and whole(s) and s["thread_count"] == 5 and
           s["exited"], "record", [r, s])
    report(s["file_bytes"] < s["bytes"], "it is compressed", s["file_bytes"])
    report(not os.path.exists("r.trace.part"), "and leaves nothing else behind")
    data = subprocess.run(["zstd", "-dc", "r.trace"], capture_output=True, timeout=60).stdout \
        if shutil.which("zstd") else b""
    if data:
        with open("plain", "wb") as f:
            f.write(data)
        report(summary("plain")["operations"] == s["operations"],
               "zstd unpacks it to what is also a trace")
    else:
        skip("zstd unpacks it", "zstd is not installed")
    report(tool("record", "-o", "r.trace", "--", "sh", "-c", "exit 7").returncode == 7,
           "record ends with the program's status")
    report(tool("record", "-o", "r.trace", "--", "sh", "-c", "kill -9 $$").returncode == -9,
           "and by its signal")
    report(tool("record", "-o", "r.trace", "--", "./nothing").returncode == 127,
           "127 when there is no such program")
    r = tool("record", "-o", "r.trace", "--", SUBJECT, "killed", "100000")
    s = summary("r.trace")
    report(whole(s) and killer_operations(s) > 80000 and r.returncode == -9,
           "record of a program that is killed has all of it", [r, s])
    # What a daemon does: the program ends, and its grandchild goes on.
    r = tool("record", "-o", "r.trace", "--", "sh", "-c",
             f"( sleep 0.5; exec {SUBJECT} many 7 ) > /dev/null 2>&1 & exit 3")
    sums = [summary("r.trace", "--process", p["number"]) for p in processes("r.trace")
            if p["command"].endswith("many 7")]
    report(r.returncode == 3 and len(sums) == 1 and sums[0]["malloc"] == 7,
           "record waits for what the program left running", [r, sums])


def test_recorder_killed():
    """The program goes on, and what record had not yet taken is in the other file."""
    p = subprocess.Popen([TOOL, "record", "-o", "k.trace", "--", SUBJECT, "threads", "2000000"],
                         stdout=subprocess.PIPE)
    until = time.monotonic() + 30
    while time.monotonic() < until and not (
            os.path.exists("k.trace") and os.stat("k.trace").st_size > 100000):
        time.sleep(0.01)
    p.kill()
    p.wait()
    child = subprocess.run(["pgrep", "-f", f"^{SUBJECT} threads 2000000"], capture_output=True,
                           text=True).stdout.split()
    while time.monotonic() < until and child and os.path.exists(f"/proc/{child[0]}"):
        time.sleep(0.01)
    p.stdout.close()
    first = tool("trace", "--json", "k.trace")
    rest = summary("k.trace.part")
    report(first.returncode == 0 and rest.get("exited") and rest["damaged_blocks"] == 0,
           "a program whose recorder is killed goes on to its end", [first.stderr, rest])


if __name__ == "__main__":
    main(globals())
