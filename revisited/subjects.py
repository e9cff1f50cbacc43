"""The allocators that are compared, how one program is run under one of them, and its figures."""

import ctypes
import os
import platform
import resource
import subprocess

LIBDIR = "/usr/lib/%s-linux-gnu/" % platform.machine()
# Name, file below the build folder or Debian's folder, package.
SUBJECTS = (
    ("kingsley", "classic/libkingsley.so", None),
    ("firstfit", "classic/libfirstfit.so", None),
    ("phk1996", "classic/libphk1996.so", None),
    ("glibc", "libc.so.6", "libc6"),
    ("mimalloc", "libmimalloc.so.2", "libmimalloc2.0"),
    ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
    ("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ("phkmalloc", "libphkmalloc.so", None),
)
NAMES = tuple(s[0] for s in SUBJECTS)


def find(build):
    """Name to path of those that are here; name to reason for the others."""
    here, missing = {}, {}
    for name, file, package in SUBJECTS:
        path = os.path.abspath(LIBDIR + file if package else os.path.join(build, file))
        if os.path.isfile(path):
            here[name] = path
        else:
            missing[name] = "package %s is not installed" % package if package else "not built"
    return here, missing


def versions():
    """What Debian calls the versions of its allocators."""
    out = {}
    for name, _, package in SUBJECTS:
        if package:
            done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package],
                                  capture_output=True, text=True)
            out[name] = done.stdout if done.returncode == 0 else "unknown"
    return out


def run(program, arguments, library, limit=60, setup=None):
    """One run; a dictionary of what it printed, `sample` as a list.

    If it did not end well there is `failed`, why, with the figures until then, and `major`, the
    major faults that it had since `fill`.
    """
    started = start(program, arguments, library, setup)
    return finish(started, library, limit)


def environment(library):
    """This process's, without settings of allocators, with the library preloaded."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("MALLOC_", "MIMALLOC_", "TCMALLOC_", "GLIBC_TUNABLES"))}
    env["LD_PRELOAD"] = library
    return env


LIBC = ctypes.CDLL(None)
PR_SET_THP_DISABLE = 41


def start(program, arguments, library, setup=None):
    def prepare():
        # Where the kernel makes huge pages of heaps, all figures would be its own; it is kept
        # over exec, as some allocators have a heap before main.
        LIBC.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
        if setup is not None:
            setup()

    return subprocess.Popen([program] + [str(a) for a in arguments], env=environment(library),
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            preexec_fn=prepare, stdin=subprocess.DEVNULL)


def finish(process, library, limit):
    major0 = resource.getrusage(resource.RUSAGE_CHILDREN).ru_majflt
    late = False
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        late = True
    finally:
        # Also when a signal or a mistake ends the wait: nothing may stay in the group.
        if process.poll() is None:
            process.kill()
            out, err = process.communicate()
    major = resource.getrusage(resource.RUSAGE_CHILDREN).ru_majflt - major0
    figures = parse(out)
    if late or process.returncode == -9:
        figures["failed"] = "over %d s" % limit if late else "killed"
        figures["major"] = max(0, major - figures.get("fill_until", major))
    elif process.returncode != 0:
        figures["failed"] = err.strip().split("\n")[-1] or "status %d" % process.returncode
    elif os.path.realpath(figures.get("library", "")) != os.path.realpath(library):
        figures["failed"] = "ran with malloc of " + figures.get("library", "nobody knows what")
    return figures


def parse(out):
    figures = {"sample": []}
    # A last line without an end may have been cut.
    for line in out[:out.rfind("\n") + 1].splitlines():
        key, _, value = line.partition("=")
        if key == "sample":
            figures["sample"].append([int(v) for v in value.split()])
        elif key in ("library", "unreferenced"):
            figures[key] = value
        else:
            figures[key] = float(value) if "." in value else int(value)
    return figures


def rotated(names, by):
    """Another order in each round, so that nobody always follows the same neighbour."""
    by %= len(names)
    return list(names[by:]) + list(names[:by])
