#!/usr/bin/env python3
"""Traces are replayed on allocators, the system's and this one, and on one that is wrong."""
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
from common import (SO, SUBJECT, main, report, skip, summary, tool, with_option)  # noqa: E402

WRONG = r"""
#include <stddef.h>
#include <string.h>
static char pool[1 << 26]; static size_t at;
/* Gives the same memory out twice, now and then. */
void *malloc(size_t n)
{
	static int count;
	size_t mine = __atomic_fetch_add(&at, (n + 47) / 16 * 16, __ATOMIC_SEQ_CST);
	if (__atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) % 1000 == 0 && mine > 4096)
		mine -= 4096;
	return mine + n > sizeof(pool) ? NULL : pool + mine;
}
void free(void *p) { (void)p; }
void *calloc(size_t n, size_t m)
{
	void *p = malloc(n * m);
	return p ? memset(p, 0, n * m) : p;
}
void *realloc(void *p, size_t n)
{
	char *q = malloc(n);
	if (p && q)
		memmove(q, p, n);
	return q;
}
int posix_memalign(void **p, size_t a, size_t n)
{
	size_t q = (size_t)malloc(n + a);
	*p = (void *)((q + a - 1) / a * a);
	return 0;
}
"""

DEAF = r"""
#include <fcntl.h>
#include <string.h>
/* As if the kernel did not clear its bits. */
int open(const char *path, int flags, ...)
{
	return openat(AT_FDCWD, strstr(path, "clear_refs") ? "/dev/null" : path, flags, 0);
}
"""


def replay(*argv):
    r = tool("replay", "--json", *argv)
    return (json.loads(r.stdout) if r.stdout else None), r


def test_threads():
    for what, n in (("threads", 100000), ("hand", 50000), ("many", 500), ("late", 300),
                    ("killed", 20000)):
        with_option([SUBJECT, what, n])
        s = summary()
        d, r = replay("--touch", "--rounds", 2, "t.trace")
        report(r.returncode == 0 and d["threads"] == s["thread_count"] and
               [a["name"] for a in d["allocators"]] == ["system", "phkmalloc"],
               f"{what}: objects keep what was written to them, on the system's and on ours",
               [r, s["thread_count"]])
        report(d["operations"] == s["operations"] and d["unknown"] == 0 and
               d["live_peak_bytes"] == s["peak_bytes"], f"{what}: every operation is replayed",
               [d["operations"], s["operations"]])
        report(all(x["failed"] == 0 for a in d["allocators"] for x in a["rounds"]),
               f"{what}: no allocation fails", d["allocators"])


def test_memory():
    """A program whose memory is known: all of its large blocks, written."""
    with_option([SUBJECT, "big", 30])
    s = summary()
    d, r = replay("--touch", "--rounds", 1, "--with", "system", "--with", "ours=" + SO, "t.trace")
    peaks = [a["rounds"][0]["peak_bytes"] for a in d["allocators"]]
    report(all(.99 < p / s["peak_bytes"] < 1.6 for p in peaks),
           "peak memory is what was allocated and written", [peaks, s["peak_bytes"]])
    d, r = replay("--rounds", 1, "--with", "ours=" + SO, "t.trace")
    report(d["allocators"][0]["rounds"][0]["peak_bytes"] < 4 << 20,
           "without writing it, only the allocator's own", d["allocators"])
    report(d["engine"][0]["peak_bytes"] < 1 << 20 and d["engine"][0]["minor_faults"] < 20 and
           d["engine"][0]["major_faults"] == 0, "the replay alone needs next to nothing",
           d["engine"])


def test_pages():
    """The curve of pages touched, of a program that uses the same 400 objects again and again."""
    code = ("import ctypes\nlibc = ctypes.CDLL(None)\nlibc.malloc.restype = ctypes.c_void_p\n"
            "libc.free.argtypes = [ctypes.c_void_p]\n"
            "for i in range(100):\n  p = [libc.malloc(8000) for k in range(400)]\n"
            "  for x in p: libc.free(x)\n")
    with_option([sys.executable, "-c", code])
    d, r = replay("--touch", "--rounds", 1, "--intervals", 10, "t.trace")
    if "does not tell" in r.stderr:
        skip("pages touched in an interval", r.stderr.splitlines()[0])
        return
    for a in d["allocators"]:
        pages = a.get("touched_pages", [])
        # Python's own objects are there, too, and are not touched then.
        middle = sorted(pages)[len(pages) // 2] * d["page_bytes"] if pages else 0
        report(len(pages) == len(d["interval_live_bytes"]) >= 9 and
               400 * 8000 < middle < 400 * 8000 * 1.2,
               f"{a['name']}: pages touched in an interval are those of its objects",
               [pages, r.stderr])
    with open("deaf.c", "w") as f:
        f.write(DEAF)
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", "deaf.so", "deaf.c"],
                   check=True)
    d, r = replay("--rounds", 1, "--intervals", 10, "--with", "./deaf.so", "t.trace")
    report(r.returncode == 0 and "does not tell exactly which pages" in r.stderr and
           "touched_pages" not in d["allocators"][0] and d["allocators"][0]["rounds"],
           "where the kernel's bits are not exact that is said, and times are told without", r)


def test_wrong():
    with open("wrong.c", "w") as f:
        f.write(WRONG)
    subprocess.run([os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", "-fno-builtin", "-o",
                    "wrong.so", "wrong.c"], check=True)
    with_option([SUBJECT, "threads", 5000])
    r = tool("replay", "--touch", "--rounds", 1, "--with", "./wrong.so", "--with", "system",
             "t.trace")
    report(r.returncode == 1 and "objects did not hold what was written" in r.stdout and
           re.search(r"^system +[\d.]+", r.stdout, re.M),
           "an allocator that gives memory out twice is found out, and others go on", r)
    with open("crash.c", "w") as f:
        f.write("void free(void *p) { __builtin_trap(); }\n")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", "crash.so", "crash.c"],
                   check=True, capture_output=True)
    r = tool("replay", "--rounds", 2, "--with", "./crash.so", "--with", "system", "t.trace")
    report(r.returncode == 1 and "Illegal instruction" in r.stdout + r.stderr or
           "Trace/breakpoint" in r.stdout, "so is one that crashes", r)


def test_arguments():
    with_option([SUBJECT, "many", "20"])
    r = tool("replay", "--rounds", 1, "--with", f"a={SO},MALLOC_OPTIONS=D", "t.trace")
    report("phkmalloc statistics" not in r.stderr and r.returncode == 0,
           "variables may be given", r.stderr)
    for bad in (["--rounds", "0"], ["--rounds", "x"], ["--intervals", "-1"], ["--with"],
                ["--touch=read"], []):
        r = tool("replay", *bad, *(["t.trace"] if bad else []))
        report(r.returncode == 2, f"replay {' '.join(bad)}: usage", r)
    r = tool("replay", "--with", "./nothing.so", "t.trace")
    report(r.returncode == 8 and "./nothing.so: No such file" in r.stderr, "no such library", r)
    r = tool("replay", "--rounds", 1, "t.trace")
    report(r.returncode == 0 and not r.stderr and "\r" not in r.stdout, "no progress in a pipe", r)


if __name__ == "__main__":
    main(globals())
