"""Memory pressure for one program at a time: a control group with a limit, and a swap file.

Both kinds of control groups are understood. Everything made here is taken away again: when the
`with` block ends, however it ends, and by the next run when this one was killed outright. It must
never change a swap area or a group that is not its own.
"""

import glob
import os
import shutil
import signal
import subprocess

V1 = "/sys/fs/cgroup/memory"
V2 = "/sys/fs/cgroup"
CLUSTER = "/proc/sys/vm/page-cluster"
PREFIX = "phkmalloc-revisited-"


class Unavailable(Exception):
    """Why there can be no pressure here."""


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(str(text))


def controllers():
    """The folder in which groups with a memory limit can be made, and whether it is of kind 2."""
    if os.path.exists(V1 + "/memory.limit_in_bytes"):
        return V1, False
    for root in (V2, V2 + "/unified"):
        control = root + "/cgroup.subtree_control"
        if not os.path.exists(control):
            continue
        if "memory" not in read(root + "/cgroup.controllers").split():
            continue
        if "memory" not in read(control).split():
            try:
                write(control, "+memory")
            except OSError:
                continue
        return root, True
    raise Unavailable("the kernel has no memory control group here")


class Pressure:
    """with Pressure(file) as p: p.group(limit) makes a group that p.join() enters."""

    def __init__(self, swap_file, swap_nbytes=1 << 30):
        self.swap_file = os.path.abspath(swap_file)
        self.swap_nbytes = swap_nbytes
        self.root, self.is_v2 = None, False
        self.folder = None
        self.cluster = None
        self.handlers = {}

    def __enter__(self):
        if os.geteuid() != 0:
            raise Unavailable("a memory limit with swap needs root")
        self.root, self.is_v2 = controllers()
        # A signal must end the block in order, or the swap file would stay.
        for number in (signal.SIGTERM, signal.SIGHUP):
            self.handlers[number] = signal.signal(number, self.interrupted)
        try:
            self.clean()
            self.swap_on()
            self.group(64 << 20)
        except (OSError, subprocess.SubprocessError, Unavailable) as e:
            self.__exit__()
            raise Unavailable("no memory limit with swap: %s" % e) from e
        return self

    def __exit__(self, *_):
        self.clean()
        if self.cluster is not None:
            write(CLUSTER, self.cluster)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    @staticmethod
    def interrupted(number, _frame):
        raise SystemExit(128 + number)

    def clean(self):
        """Ours and what a run left that was killed."""
        for folder in glob.glob("%s/%s*" % (self.root, PREFIX)):
            pid = folder.rsplit("-", 1)[1]
            if pid == str(os.getpid()) or not os.path.exists("/proc/" + pid):
                try:
                    os.rmdir(folder)
                except OSError as e:
                    print("revisited: %s stays: %s" % (folder, e.strerror), flush=True)
        if self.swap_file in read("/proc/swaps"):
            subprocess.run(["swapoff", self.swap_file], check=False)
        if os.path.exists(self.swap_file):
            os.unlink(self.swap_file)

    def swap_on(self):
        """One page is read for one fault: what lies beside it in swap is chance."""
        os.makedirs(os.path.dirname(self.swap_file), exist_ok=True)
        if shutil.disk_usage(os.path.dirname(self.swap_file)).free < 2 * self.swap_nbytes:
            raise Unavailable("the disk is too full")
        with open(self.swap_file, "wb") as f:
            os.fchmod(f.fileno(), 0o600)
            os.posix_fallocate(f.fileno(), 0, self.swap_nbytes)
        for command in (["mkswap"], ["swapon", "-p", "0"]):
            done = subprocess.run(command + [self.swap_file], capture_output=True, text=True)
            if done.returncode != 0:
                raise Unavailable(done.stderr.strip().split("\n")[-1])
        self.cluster = read(CLUSTER)
        write(CLUSTER, 0)

    def group(self, limit):
        """A group of that size, for the next programs."""
        self.folder = "%s/%s%d" % (self.root, PREFIX, os.getpid())
        os.makedirs(self.folder, exist_ok=True)
        names = ("memory.max",) if self.is_v2 else ("memory.limit_in_bytes",)
        for name in names:
            write("%s/%s" % (self.folder, name), limit)
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


def file_system(path):
    """The kind of the file system that holds a path."""
    done = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", path],
                          capture_output=True, text=True)
    return done.stdout.strip() or "an unknown file system"
