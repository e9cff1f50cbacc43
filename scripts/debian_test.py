#!/usr/bin/env python3
"""Builds the Debian packages, and installs, uses and removes them below a folder, in TAP.

Nothing of the machine's own packages changes: dpkg is given the folder as its root. As root only,
since packages say who owns their files.
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
TOOLS = ("dpkg-buildpackage", "dh", "lintian", "pkg-config", "git")
PACKAGES = ("libphkmalloc1", "libphkmalloc-dev", "phkmalloc")
# What each must have; each file is in one of them (dh_missing sees to that).
PARTS = {"libphkmalloc1": ("libphkmalloc.so.1",),
         "libphkmalloc-dev": ("phkmalloc.h", "phkmalloc_inspect.h", "libphkmalloc.a",
                              "libphkmalloc.so", "phkmalloc.pc", "phkmalloc-static.pc",
                              "phkmalloc-config.cmake", "phkmalloc.3.gz"),
         "phkmalloc": ("bin/phkmalloc", "phkmalloc.1.gz", "malloc.conf.5.gz",
                       "completions/phkmalloc", "-gdb.py")}
count = failed = 0


def ok(kept, promise):
    global count, failed
    count += 1
    failed += not kept
    print(f"{'' if kept else 'not '}ok {count} - {promise}", flush=True)
    return kept


def call(argv, **options):
    """Whether a command succeeds, and its output, which is shown when it fails."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("MAKE", "MFLAGS", "LD_", "DESTDIR", "CC", "CXX"))}
    env.update(options.pop("env", {}))
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=900,
                          stderr=subprocess.STDOUT, text=True, check=False, env=env, **options)
    if done.returncode != 0:
        print(f"# {' '.join(argv)}: status {done.returncode}")
        print("# " + done.stdout[-4000:].replace("\n", "\n# "))
    return done.returncode == 0, done.stdout


def build(work):
    """A copy of the tree is built, and its own quick tests run in it."""
    tree = os.path.join(work, "tree")
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.split("\n")
    for name in filter(None, names):
        if os.path.exists(os.path.join(ROOT, name)):
            os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), os.path.join(tree, name), follow_symlinks=False)
    return call(["dpkg-buildpackage", "-us", "-uc", "-b", "-j2"], cwd=tree)[0]


def dpkg(root, *arguments):
    """dpkg on a folder of its own; what packages depend on is not there."""
    return call(["dpkg", f"--root={root}", "--force-depends", "--force-script-chrootless",
                 f"--log={root}/log", *arguments])[0]


def files(root):
    """What is in the folder but for dpkg's own records."""
    return sorted(os.path.relpath(os.path.join(folder, name), root)
                  for folder, _, names in os.walk(root) for name in names
                  if not folder.startswith(os.path.join(root, "var")) and name != "log")


def parts(debs):
    good = True
    for package, wanted in PARTS.items():
        have = call(["dpkg-deb", "-c", debs[package]])[1]
        lacking = [part for part in wanted if part not in have]
        if lacking:
            print(f"# {package} lacks {lacking}")
        good = good and not lacking
    return good


def main():
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking or os.geteuid() != 0:
        why = f"{', '.join(lacking)} not installed" if lacking else "not root"
        print(f"1..0 # SKIP {why}")
        return 0
    with tempfile.TemporaryDirectory() as work:
        if ok(build(work), "dpkg-buildpackage builds, and the packages' quick tests pass"):
            debs = {name: glob.glob(f"{work}/{name}_*.deb")[0] for name in PACKAGES}
            ok(call(["lintian", "--allow-root", "--display-info", "--fail-on",
                     "error,warning,info"] + glob.glob(f"{work}/*.changes"))[0],
               "lintian has nothing to say")
            ok(parts(debs), "each package has its parts")
            root = os.path.join(work, "root")
            os.makedirs(f"{root}/var/lib/dpkg/info")
            os.makedirs(f"{root}/var/lib/dpkg/updates")
            with open(f"{root}/var/lib/dpkg/status", "w", encoding="utf-8"):
                pass
            ok(dpkg(root, "-i", *debs.values()), "they are installed")
            ok(call(["sh", f"{ROOT}/debian/tests/installed"], env={"ROOT": root})[0],
               "what is installed is found and serves programs")
            ok(dpkg(root, "--purge", *PACKAGES) and files(root) == [],
               f"nothing is left when they are removed: {files(root)}")
    print(f"1..{count}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
