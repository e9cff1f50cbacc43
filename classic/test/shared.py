#!/usr/bin/env python3
"""The main library's own tests on the historical allocators, as far as they apply. TAP.

The same programs, with a historical library preloaded: what a malloc must do is asked in one
place only. What does not apply is named below with its reason; one that is named and passes all
the same is a failure too. B is the build folder.
"""

import os
import re
import subprocess
import sys

BUILD = os.path.abspath(os.environ.get("B", "build"))
LIBRARIES = ("kingsley", "firstfit", "phk1996")
PROGRAMS = ("api/standard", "api/aligned", "stress/threads")
FIGURES = "it reads mallinfo2, which they have not"
EXCEPT = {
    "realloc(p, 0) frees": FIGURES,
    "reallocarray(p, 0, n) frees": FIGURES,
    "malloc of a power of two up to 64 KiB is aligned to it":
        "only phk1996 has that, and up to a page",
    "dlopen and dlclose of the library itself": "it opens the main library by name",
}
LINE = re.compile(r"^(ok|not ok) \d+ - (.*)$")


def promises(program, library):
    """What the program found: promise to whether it is kept; and how it ended."""
    environment = dict(os.environ, LD_PRELOAD="%s/classic/lib%s.so" % (BUILD, library))
    done = subprocess.run(["%s/test/%s" % (BUILD, program)], env=environment, text=True,
                          capture_output=True, timeout=120, check=False)
    found = {}
    for line in done.stdout.splitlines():
        match = LINE.match(line)
        if match:
            found[match[2]] = match[1] == "ok"
    whole = "1..%d" % len(found) in done.stdout.splitlines()
    return found, whole and (done.returncode == 0) == all(found.values()), done.stdout


def main():
    count = failed = 0
    for library in LIBRARIES:
        for program in PROGRAMS:
            found, whole, text = promises(program, library)
            lines = [(kept != (promise in EXCEPT), promise) for promise, kept in found.items()]
            lines.append((whole and bool(found), "%s ends as it says" % program))
            for good, promise in lines:
                if good and promise in EXCEPT:
                    continue
                count += 1
                failed += not good
                print("%s %d - %s: %s" % ("ok" if good else "not ok", count, library, promise))
            if not all(good for good, _ in lines):
                print("\n".join("# " + line for line in text.splitlines()))
    print("1..%d" % count)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
