"""The allocators of a run: where each shared library is and what it is called.

An allocator is always loaded with LD_PRELOAD, glibc's own included, so that a
program linked against another allocator (redis) is measured under the one named.
"""

import os
import platform
import subprocess
import sys

LIBDIR = "/usr/lib/%s-linux-gnu/" % platform.machine()
DEBIAN = (  # name, file and package, in the newest release that has it first
    ("glibc", ("libc.so.6", "libc6")),
    ("mimalloc", ("libmimalloc.so.3", "libmimalloc3"), ("libmimalloc.so.2", "libmimalloc2.0")),
    ("jemalloc", ("libjemalloc.so.2", "libjemalloc2")),
    ("tcmalloc", ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4t64"),
     ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4")),
)
SUBJECT = "phkmalloc"
BASELINE = "glibc"


class Allocator:
    def __init__(self, name, path, env=(), version=""):
        self.name = name
        self.path = os.path.abspath(path)
        self.env = dict(env)
        self.version = version

    def described(self):
        env = "".join(" %s=%s" % pair for pair in self.env.items())
        return {"name": self.name, "version": self.version, "env": env.strip()}


def debian_version(package):
    """Of an installed package; else nothing."""
    found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package],
                           capture_output=True, text=True)
    return found.stdout if found.returncode == 0 else ""


def packaged(name, *choices):
    """The allocator as Debian has it, or None."""
    here = [c for c in choices if os.path.isfile(LIBDIR + c[0])]
    if not here:
        return None
    versions = [debian_version(package) for _, package in here]
    return Allocator(name, LIBDIR + here[0][0], version=next(filter(None, versions), ""))


def missing_because(*choices):
    return "package %s is not installed" % " or ".join(package for _, package in choices)


def packages_missing():
    """What to install for those that are not here: each a package, or a|b, of which one is."""
    return ["|".join(package for _, package in choices) for name, *choices in DEBIAN
            if not packaged(name, *choices)]


def parse_peer(spec):
    """NAME=path.so[,VARIABLE=value...]"""
    name, _, rest = spec.partition("=")
    path, *env = rest.split(",")
    if not name or not os.path.isfile(path) or not all("=" in e for e in env):
        raise SystemExit("bench: --peer wants NAME=path.so[,VARIABLE=value...], not " + spec)
    return Allocator(name, path, (e.split("=", 1) for e in env))


def is_bound(allocator, programs):
    """Whether malloc of a program is this library's: to be mapped is not enough, a
    library whose symbols do not match what programs ask for would pass for the libc's.
    """
    env = dict(os.environ, LD_PRELOAD=allocator.path, BENCH_EXPECT=allocator.path,
               **allocator.env)
    done = subprocess.run([programs + "/tiny", "1000"], env=env, capture_output=True, text=True)
    return done.returncode == 0, done.stderr.strip().split("\n")[-1]


def find(subject_path, peers, only):
    """The allocators that are here, and a line about each that is not."""
    found, missing = [], []
    if os.path.isfile(subject_path):
        found.append(Allocator(SUBJECT, subject_path, version="this tree"))
    else:
        missing.append("%s: %s is not built" % (SUBJECT, subject_path))
    for name, *choices in DEBIAN:
        allocator = packaged(name, *choices)
        if allocator:
            found.append(allocator)
        else:
            missing.append(name + ": " + missing_because(*choices))
    found += [parse_peer(p) for p in peers]
    names = [a.name for a in found]
    if len(set(names)) < len(names):
        raise SystemExit("bench: two allocators of one name: " + " ".join(names))
    if only:
        unknown = set(only) - set(names)
        if unknown:
            missing.append("%s: not known or not installed" % ", ".join(sorted(unknown)))
        found = [a for a in found if a.name in only]
    return found, missing


def take_over(found, missing, programs, wanted):
    """Leaves out those that do not take over malloc, and says what is missing.

    None of those that are wanted may be.
    """
    for a in list(found):
        bound, why = is_bound(a, programs)
        if not bound:
            missing.append("%s does not take over malloc: %s" % (a.name, why))
            found.remove(a)
    for line in missing:
        print("bench: skipped: " + line, file=sys.stderr)
    for name in wanted:
        if name not in [a.name for a in found]:
            raise SystemExit("bench: %s is not there to be measured" % name)
