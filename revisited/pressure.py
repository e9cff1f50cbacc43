#!/usr/bin/env python3
"""Memory pressure for one program at a time: a control group with a limit, and a swap file.

    revisited/pressure.py [FILE]      tells whether this machine can, with FILE for the swap file

Both kinds of control groups are understood. What is made here a process of its own makes, the
keeper, which takes it away again when the pipe to it closes: however this process ends, also when
it and its process group are killed. What a keeper left that was killed itself, the next one takes
away. It must never change a swap area or a group that is not its own.
"""

import errno
import fcntl
import glob
import os
import select
import shutil
import signal
import subprocess
import sys
import time

V1 = "/sys/fs/cgroup/memory"
V2 = "/sys/fs/cgroup"
CLUSTER = "/proc/sys/vm/page-cluster"
PREFIX = "phkmalloc-revisited-"
SWAP_NBYTES = 256 << 20
# Seconds between two looks at the group's figures. Linux adds them up only when asked, or every
# few seconds, and reclaims by them: in a small group it finds nothing by old ones, and kills.
LOOK_EVERY = 0.005
LOCK_WAIT = 60     # seconds, for another run on this machine to end


class Unavailable(Exception):
    """Why there can be no pressure here."""


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(str(text))


def file_system(path):
    """The kind of the file system that holds a path."""
    done = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", path],
                          capture_output=True, text=True)
    return done.stdout.strip() or "an unknown file system"


def controllers():
    """The folder in which groups with a memory limit can be made, and whether it is of kind 2."""
    if os.path.exists(V1 + "/memory.limit_in_bytes"):
        return V1, False
    why = "the kernel has none"
    for root in (V2, V2 + "/unified"):
        control = root + "/cgroup.subtree_control"
        if not os.path.exists(control):
            continue
        if "memory" not in read(root + "/cgroup.controllers").split():
            why = "%s has no controller for memory" % root
            continue
        if "memory" not in read(control).split():
            try:
                write(control, "+memory")
            except OSError as e:
                why = "%s: %s" % (control, e.strerror)
                continue
        return root, True
    raise Unavailable("no control group for memory: " + why)


class Pressure:
    """with Pressure(file) as p: p.group(limit) makes a group that p.join() enters."""

    def __init__(self, swap_file, swap_nbytes=SWAP_NBYTES):
        self.swap_file = os.path.abspath(swap_file)
        self.swap_nbytes = swap_nbytes
        self.root, self.is_v2 = None, False
        self.folder = None
        self.keeper = None

    def __enter__(self):
        if os.geteuid() != 0:
            raise Unavailable("a memory limit with swap needs root")
        self.root, self.is_v2 = controllers()
        self.folder = "%s/%s%d" % (self.root, PREFIX, os.getpid())
        command = [sys.executable, os.path.abspath(__file__), "--keep", self.folder,
                   self.swap_file, str(self.swap_nbytes)]
        # A session of its own: what ends this process's group does not end the keeper.
        self.keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True,
                                       start_new_session=True)
        try:
            answer = self.keeper.stdout.readline().strip() or "the keeper ended"
            if answer == "ready":
                self.group(64 << 20)
                return self
        except OSError as e:
            answer = str(e)
        except BaseException:
            self.__exit__()
            raise
        self.__exit__()
        raise Unavailable("no memory limit with swap: " + answer)

    def __exit__(self, *_):
        """Returns when all is as it was."""
        self.keeper.stdin.close()
        self.keeper.wait()
        self.keeper.stdout.close()

    def group(self, limit):
        """A group of that size, for the next programs."""
        write(self.folder + ("/memory.max" if self.is_v2 else "/memory.limit_in_bytes"), limit)
        if self.is_v2:
            write(self.folder + "/memory.swap.max", "max")
        else:
            write(self.folder + "/memory.swappiness", 100)

    def join(self):
        """Called in the child, before it becomes the program."""
        write(self.folder + "/cgroup.procs", os.getpid())

    def described(self):
        return "control group of kind %d, swap file on %s, page-cluster 0" % (
            2 if self.is_v2 else 1, file_system(self.swap_file))


# -- the keeper --

def lock():
    """One run at a time on a machine: who holds the lock of that setting may change it."""
    f = open(CLUSTER, "r+", encoding="ascii")   # pylint: disable=consider-using-with
    for _ in range(LOCK_WAIT * 5):
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return f
        except BlockingIOError:
            time.sleep(0.2)
    raise Unavailable("another run has not ended for %d s" % LOCK_WAIT)


def swap_on(swap_file, nbytes):
    folder = os.path.dirname(swap_file)
    os.makedirs(folder, exist_ok=True)
    if shutil.disk_usage(folder).free < 2 * nbytes:
        raise Unavailable("%s has no room for %d MiB twice" % (folder, nbytes >> 20))
    with open(swap_file, "wb") as f:
        os.fchmod(f.fileno(), 0o600)
        os.posix_fallocate(f.fileno(), 0, nbytes)
    for command in (["mkswap"], ["swapon", "-p", "0"]):
        done = subprocess.run(command + [swap_file], capture_output=True, text=True)
        if done.returncode != 0:
            raise Unavailable(done.stderr.strip().split("\n")[-1])


def group_end(folder):
    """Ends what is left in a group, and the group."""
    for _ in range(100):
        try:
            for pid in read(folder + "/cgroup.procs").split():
                os.kill(int(pid), signal.SIGKILL)
            os.rmdir(folder)
            return
        except FileNotFoundError:
            return
        except ProcessLookupError:
            continue
        except OSError as e:
            if e.errno != errno.EBUSY:
                raise
            time.sleep(0.05)


def clean(folder, swap_file):
    """All that is ours, and what a keeper left that was killed; the lock is held."""
    for other in glob.glob(os.path.dirname(folder) + "/" + PREFIX + "*"):
        group_end(other)
    if swap_file in [line.split()[0] for line in read("/proc/swaps").splitlines()]:
        subprocess.run(["swapoff", swap_file], check=False)
    if os.path.exists(swap_file):
        os.unlink(swap_file)
    if os.path.exists(swap_file + ".cluster"):
        write(CLUSTER, read(swap_file + ".cluster"))
        os.unlink(swap_file + ".cluster")


def keep(folder, swap_file, nbytes):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    held = None
    try:
        held = lock()
        clean(folder, swap_file)
        swap_on(swap_file, nbytes)
        # One page is read for one fault: what lies beside it in swap is chance.
        write(swap_file + ".cluster", read(CLUSTER))
        write(CLUSTER, 0)
        os.makedirs(folder, exist_ok=True)
        answer = "ready"
    except (OSError, Unavailable) as e:
        answer = str(e)
    try:
        print(answer, flush=True)
        while not select.select([sys.stdin], [], [], LOOK_EVERY)[0]:
            if answer == "ready":
                read(folder + "/memory.stat")
    finally:
        if held is not None:
            clean(folder, swap_file)


def main():
    if sys.argv[1:2] == ["--keep"]:
        keep(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return 0
    try:
        with Pressure(sys.argv[1] if len(sys.argv) > 1 else "build/revisited/swap") as p:
            print("pressure: %s" % p.described())
        return 0
    except Unavailable as e:
        print("pressure: none: %s" % e)
        return 1


if __name__ == "__main__":
    sys.exit(main())
