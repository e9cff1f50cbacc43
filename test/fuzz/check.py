#!/usr/bin/env python3
"""Each fuzz target over its corpus and some inputs more. FUZZ_BIN names them; built here."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..")
MORE = 1000


def main():
    binaries = os.environ.get("FUZZ_BIN", "").split()
    if not shutil.which(os.environ.get("FUZZ_CC", "clang")) or not binaries:
        print("1..0 # SKIP clang is not installed")
        return 0
    failed = 0
    for number, binary in enumerate(binaries, 1):
        name = os.path.basename(binary)
        more = MORE // 5 if name == "operations" else MORE  # much memory goes through there
        promise = f"{name}: no input of the corpus, nor {more} others, break anything"
        made = subprocess.run([os.environ.get("MAKE", "make"), "-C", TOP, binary],
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if made.returncode != 0:
            # Without its runtime or a library of the command.
            print(f"ok {number} - {promise} # SKIP it cannot be built here")
            print("\n".join("# " + line for line in made.stdout.decode().splitlines()[-5:]))
            continue
        corpus = os.path.join(HERE, "corpus", name)
        # What is new goes to the first folder.
        with tempfile.TemporaryDirectory() as new:
            done = subprocess.run([os.path.abspath(os.path.join(TOP, binary)), new, corpus,
                                   "-seed=1", f"-runs={more}", "-detect_leaks=0", "-timeout=30",
                                   "-max_len=4096"], cwd=new, check=False,
                                  env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"),
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        print(f"{'not ' if done.returncode else ''}ok {number} - {promise}", flush=True)
        if done.returncode:
            failed += 1
            print("\n".join("# " + x for x in done.stdout.decode("latin-1").splitlines()[-40:]))
    print(f"1..{len(binaries)}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
