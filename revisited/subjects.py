"""The allocators that are compared, how one program is run under one of them, and its figures."""

import ctypes
import os
import resource
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import allocators  # noqa: E402  (of another folder)

OWN = {  # name to file below the build folder
    "kingsley": "classic/libkingsley.so",
    "firstfit": "classic/libfirstfit.so",
    "phk1996": "classic/libphk1996.so",
    "phkmalloc": "libphkmalloc.so",
}
DEBIAN = {name: choices for name, *choices in allocators.DEBIAN}
NAMES = ("kingsley", "firstfit", "phk1996", *DEBIAN, "phkmalloc")


def find(build):
    """Name to path of those that are here; name to reason for the others."""
    here, missing = {}, {}
    for name in NAMES:
        if name in OWN:
            path, why = os.path.abspath(os.path.join(build, OWN[name])), "not built"
            path = path if os.path.isfile(path) else None
        else:
            found = allocators.packaged(name, *DEBIAN[name])
            path, why = found and found.path, allocators.missing_because(*DEBIAN[name])
        if path:
            here[name] = path
        else:
            missing[name] = why
    return here, missing


def versions():
    """What Debian calls the versions of its allocators."""
    found = {name: allocators.packaged(name, *choices) for name, choices in DEBIAN.items()}
    return {name: a and a.version or "unknown" for name, a in found.items()}


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
