#!/usr/bin/env python3
"""Memory taken for memory asked, of the historical allocators: TAP.

Runs the program `waste` on each and compares with what was measured of the originals (64-bit
builds of 4.2BSD's allocator and of phkmalloc, CLASSIC_ALIGN=8 for the header they had), and
for first fit with what its tags and rounding come to. B is the build folder.
"""

import os
import subprocess
import sys

FOLDER = os.path.join(os.environ.get("B", "build"), "classic")

# Of the originals: heap taken over bytes asked; a pair is a range that they lay in.
KINGSLEY = {
    "16": 2.00, "32": 2.00, "64": 2.00, "128": 2.00, "256": 2.00, "512": 2.00, "1024": 2.00,
    "2048": 4.00, "4096": 2.00, "8192": 1.50, "16384": 1.25, "65536": 1.06, "200-1000": 1.357,
}
CHUNKS = (1.008, 1.018)
PHK1996 = {
    "16": CHUNKS, "32": CHUNKS, "64": CHUNKS, "128": CHUNKS, "256": CHUNKS, "512": CHUNKS,
    "1024": CHUNKS, "2048": 1.008, "4096": 1.00, "8192": 1.00, "16384": 1.00, "65536": 1.00,
    "16-64": 1.336, "200-1000": 1.357,
}
# Two tags of 8 bytes; sizes in units of 8, blocks of 32 at least.
FIRSTFIT = {str(n): max(32, n + 16) / n for n in (16, 32, 64, 128, 256, 512, 1024, 2048, 4096,
                                                   8192, 16384, 65536)}
EXPECTED = {"kingsley": KINGSLEY, "phk1996": PHK1996, "firstfit": FIRSTFIT}
# 16 MB are asked for, in which whole pieces of core, the directory and chance sizes show.
TOLERANCE = 0.01


def measured(name):
    environment = dict(os.environ, CLASSIC_ALIGN="8",
                       LD_PRELOAD=os.path.abspath(f"{FOLDER}/lib{name}.so"))
    run = subprocess.run([f"{FOLDER}/waste"], env=environment, capture_output=True, text=True,
                         timeout=60)
    lines = [line.split() for line in run.stdout.splitlines()[1:]]
    return {size: float(heap) for size, _, heap, _ in lines}


def main():
    count = failed = 0
    for name, expected in EXPECTED.items():
        got = measured(name)
        for size, ratio in expected.items():
            low, high = ratio if isinstance(ratio, tuple) else (
                ratio * (1 - TOLERANCE), ratio * (1 + TOLERANCE))
            good = size in got and low <= got[size] <= high
            count += 1
            failed += not good
            print(f"{'' if good else 'not '}ok {count} - {name}: size {size} takes "
                  f"{got.get(size, 'unknown')} of heap a byte, expected {low:.3f} to {high:.3f}")
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
