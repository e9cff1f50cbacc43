#!/usr/bin/env python3
"""A memory control group: waves that fit into it one by one go through, as memory goes back.

SO names the library. Needs root and a writable hierarchy, version 1 or 2.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import preload  # noqa: E402  (a neighbour of this folder)

LIMIT = 96 << 20
# Each wave has another shape, so that what the last one left cannot be used again as it is.
WAVES = """
import os
for wave in range(40):
    n = [300, 3000, 30000, 300000, 3000000][wave % 5]
    held = [bytearray(b'x') * n for i in range((50 << 20) // n)]
    del held
print(os.getpid() > 0)
"""


def group():
    """A new group with the limit and the file that takes processes; None when it cannot be made."""
    name = f"phkmalloc-test-{os.getpid()}"
    for base, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                        ("/sys/fs/cgroup", "memory.max")):
        path = os.path.join(base, name)
        try:
            os.mkdir(path)
        except OSError:
            continue
        try:
            with open(os.path.join(path, limit), "w", encoding="ascii") as f:
                f.write(str(LIMIT))
            return path
        except OSError:
            os.rmdir(path)
    return None


def main():
    promise = f"waves of 50 MiB go through a control group of {LIMIT >> 20} MiB"
    if not preload.SO:
        print("1..0 # SKIP SO is not set")
        return 0
    path = group()
    if path is None:
        preload.skip(promise, "no memory control group can be made here")
        return preload.done()

    def enter():
        with open(os.path.join(path, "cgroup.procs"), "w", encoding="ascii") as f:
            f.write(str(os.getpid()))

    try:
        done = subprocess.run([preload.PYTHON, "-c", WAVES], env=preload.environment(True),
                              capture_output=True, preexec_fn=enter, timeout=100, check=False)
        preload.ok(done.returncode == 0 and done.stdout == b"True\n", promise,
                   f"status {done.returncode}\n{done.stderr.decode(errors='replace')}")
    finally:
        os.rmdir(path)
    return preload.done()


if __name__ == "__main__":
    sys.exit(main())
