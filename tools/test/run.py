#!/usr/bin/env python3
"""phkmalloc run: what it runs, what it refuses to run, how it ends, and its summary.

TOOL is the command, HEAP and HEAP_STATIC programs of which the second has the library linked in.
"""
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test"))
from tap import done, report, skip  # noqa: E402  (not of this folder)

TOOL, HEAP, HEAP_STATIC = os.environ["TOOL"], os.environ["HEAP"], os.environ["HEAP_STATIC"]
SO = os.environ["SO"]


def run(*args, **options):
    return subprocess.run([TOOL, "run", *map(str, args)], capture_output=True, text=True,
                          timeout=60, check=False, **options)


def test_end():
    for summary in ((), ("--summary",)):
        how = "with a summary" if summary else "without one"
        r = run(*summary, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
        report(r.returncode == 7 and r.stdout == "out\n" and "err\n" in r.stderr,
               f"output and exit status are the program's, {how}", r)
        r = run(*summary, "sh", "-c", "kill -SEGV $$",
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
        report(r.returncode == -signal.SIGSEGV, f"a signal that ends it is passed on, {how}", r)
        r = run(*summary, "sh", "-c", "grep -c libphkmalloc /proc/self/maps")
        report(r.stdout.strip().isdigit() and int(r.stdout) > 0,
               f"what it starts has the library, {how}", r)
        r = run(*summary, "-o", "X", "sh", "-c", "echo $MALLOC_OPTIONS")
        report(r.stdout == "X\n", f"-o sets the options, {how}", r)
        r = run(*summary, "echo", "--help", "--summary")
        report(r.stdout == "--help --summary\n" or "Echo" in r.stdout,
               f"options behind the program's name are the program's, {how}", r)
        r = run(*summary, "sh", "-c", "exec sh -c 'exit 5'")
        report(r.returncode == 5, f"a program that becomes another, {how}", r)


def test_signals():
    """Those for the command go to the program, which may do with them what it wants."""
    p = subprocess.Popen([TOOL, "run", "--summary", "sh", "-c",
                          "trap 'echo caught; exit 3' TERM; echo ready; "
                          "while :; do sleep 0.05; done"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdout.readline()
    p.terminate()
    out, err = p.communicate(timeout=20)
    report(p.returncode == 3 and out == "caught\n" and "ended with status 3" in err,
           "SIGTERM reaches the program", f"{p.returncode} {out} {err}")
    p = subprocess.Popen([TOOL, "run", "--summary", "sh", "-c", "echo $$; exec sleep 60"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pid = int(p.stdout.readline())

    def state():
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0]

    def becomes(states):
        end = time.monotonic() + 10
        while (seen := state()) not in states and time.monotonic() < end:
            time.sleep(0.02)
        return seen in states

    becomes("S")
    os.kill(pid, signal.SIGSTOP)
    stopped = becomes("tT")
    os.kill(pid, signal.SIGCONT)
    report(stopped and becomes("S"), "it can be stopped and goes on", (stopped, state()))
    os.kill(pid, signal.SIGKILL)
    p.communicate(timeout=20)
    report(p.returncode == -signal.SIGKILL, "killed, the command ends so too", p.returncode)


def test_summary():
    r = run("--summary", HEAP_STATIC, "exit", "10")
    report(r.returncode == 0 and re.search(r"^heap-static, process \d+, phkmalloc ", r.stderr,
                                           re.M | re.I) or "at the end: heap-static" in r.stderr,
           "a program with the library linked in needs no other", r)
    r = run("--summary", HEAP, "exit", "10")
    match = re.search(r"operations +([\d,]+)  allocations, ([\d,]+) frees", r.stderr)
    classes = re.findall(r"^ +(\d+) +([\d.]+) .* ([\d,]+) +([\d,]+)$", r.stderr, re.M)
    count = sum(int(x[2].replace(",", "")) for x in classes)
    report(match and int(match[1].replace(",", "")) - count in range(0, 1000) and
           len(classes) > 10, "operations for each size class", r.stderr)
    report(re.search(r"memory +[\d.]+ MiB  resident at most, [\d.]+ MiB at the end; [\d,]+ page "
                     r"faults", r.stderr) and re.search(r"in use +[\d.]+ MiB  at most", r.stderr),
           "memory at most and at the end, page faults", r.stderr)
    r = run("--summary", HEAP, "crash", "10",
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    report(r.returncode == -signal.SIGABRT and "signal 6" in r.stderr and "operations" in r.stderr,
           "the heap of a program that crashed", r.stderr)
    r = run("--summary", "sh", "-c", f"{HEAP} exit 5; {HEAP} exit 5; true")
    report(re.search(r"^ +2  heap +[\d.]+ MiB", r.stderr, re.M),
           "processes that it started are summed up by program", r.stderr)
    r = run("--summary", HEAP, "exit", "3", env=dict(os.environ, MALLOC_OPTIONS="V"))
    report("options V" in r.stderr, "options of the environment are seen", r.stderr)


def compile_c(folder, name, *flags):
    path = os.path.join(folder, name)
    done = subprocess.run(["cc", "-xc", "-", "-o", path, *flags], input="int main(void){return 0;}",
                          text=True, capture_output=True, check=False)
    return path if done.returncode == 0 else None


def test_refused(folder):
    static = compile_c(folder, "static", "-static")
    r = run(static)
    report(r.returncode == 126 and "linked statically" in r.stderr, "a static program", r)
    script = os.path.join(folder, "script")
    with open(script, "w", encoding="ascii") as f:
        f.write(f"#! {static} x\n")
    os.chmod(script, 0o755)
    r = run(script)
    report(r.returncode == 126 and "linked statically" in r.stderr,
           "a script whose interpreter is static", r)
    small = compile_c(folder, "small", "-m32")
    if small is None:  # a header is all that is looked at
        small = os.path.join(folder, "small")
        with open(small, "wb") as f:
            f.write(b"\x7fELF\x01\x01\x01" + bytes(57))
        os.chmod(small, 0o755)
    r = run(small)
    report(r.returncode == 126 and "32-bit" in r.stderr, "a 32-bit program", r)
    shutil.copy("/bin/true", folder)
    other = os.path.join(folder, "true")
    with open(other, "r+b") as f:
        data = f.read()
        at = data.index(b"/ld-linux")
        f.seek(at)
        f.write(b"/ld-other")
    r = run(other)
    report(r.returncode == 126 and "another" in r.stderr, "a program of another C library", r)
    if os.getuid() == 0:
        shutil.copy("/bin/true", os.path.join(folder, "setuid"))
        os.chown(os.path.join(folder, "setuid"), 65534, 65534)
        os.chmod(os.path.join(folder, "setuid"), 0o4755)
        r = run(os.path.join(folder, "setuid"))
        report(r.returncode == 126 and "rights of another user" in r.stderr,
               "a program with the set-user-ID bit", r)
    else:
        skip("a program with the set-user-ID bit", "needs root")
    r = run("/etc/passwd")
    report(r.returncode == 126 and "Permission denied" in r.stderr, "a file that is no program", r)
    for args in ((), ("--summary",)):
        r = run(*args, "no-such-program")
        report(r.returncode == 127 and "No such file" in r.stderr, "no such program", r)
    r = run("--library", "/etc/passwd", "true")
    report(r.returncode == 126 and "not a library" in r.stderr, "a library that is none", r)


def test_library(folder):
    bin_folder = os.path.join(folder, "bin")
    lib_folder = os.path.join(folder, "lib")
    os.makedirs(bin_folder)
    tool = shutil.copy(TOOL, bin_folder)
    command = [tool, "run", "sh", "-c", "grep -o '/.*libphkmalloc.*' /proc/$$/maps | head -n 1"]
    r = subprocess.run(command, capture_output=True, text=True, check=False)
    report(r.returncode == 126 and "neither beside" in r.stderr,
           "no library: it says where it looked", r)
    for place in (lib_folder, os.path.join(lib_folder, "x86_64-linux-gnu"), bin_folder):
        os.makedirs(place, exist_ok=True)
        library = shutil.copy(SO, os.path.join(place, "libphkmalloc.so.1"))
        r = subprocess.run(command, capture_output=True, text=True, check=False)
        report(os.path.realpath(r.stdout.strip() or "/") == os.path.realpath(library),
               f"the library is found in {os.path.relpath(place, folder)}", r)
        if place == os.path.join(lib_folder, "x86_64-linux-gnu"):
            continue
        os.unlink(library)
    spaced = os.path.join(folder, "a b")
    os.makedirs(spaced)
    shutil.copy(SO, os.path.join(spaced, "libphkmalloc.so.1"))
    r = run("--library", os.path.join(spaced, "libphkmalloc.so.1"), "true")
    report(r.returncode == 126 and "space or colon" in r.stderr,
           "a path that LD_PRELOAD cannot hold", r)


with tempfile.TemporaryDirectory() as FOLDER:
    os.chmod(FOLDER, 0o755)
    test_end()
    test_signals()
    test_summary()
    test_refused(FOLDER)
    test_library(FOLDER)
sys.exit(done())
