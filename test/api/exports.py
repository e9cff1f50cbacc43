#!/usr/bin/env python3
"""The shared library exports exactly what it says and needs libc alone; so does the static one."""
import os
import re
import shutil
import subprocess
import sys

EXPORTS = """
malloc calloc realloc free reallocarray aligned_alloc memalign posix_memalign valloc pvalloc
malloc_usable_size cfree free_sized free_aligned_sized reallocf recallocarray freezero malloc_trim
mallopt mallinfo mallinfo2 malloc_info malloc_stats malloc_conceal calloc_conceal
phkmalloc_check phkmalloc_owns phkmalloc_base phkmalloc_size phkmalloc_descriptor
_Znwm _Znam _ZnwmRKSt9nothrow_t _ZnamRKSt9nothrow_t _ZnwmSt11align_val_t _ZnamSt11align_val_t
_ZnwmSt11align_val_tRKSt9nothrow_t _ZnamSt11align_val_tRKSt9nothrow_t
_ZdlPv _ZdaPv _ZdlPvRKSt9nothrow_t _ZdaPvRKSt9nothrow_t _ZdlPvSt11align_val_t
_ZdaPvSt11align_val_t _ZdlPvSt11align_val_tRKSt9nothrow_t _ZdaPvSt11align_val_tRKSt9nothrow_t
_ZdlPvm _ZdaPvm _ZdlPvmSt11align_val_t _ZdaPvmSt11align_val_t
""".split()
COUNT = 0
FAILED = 0


def ok(kept, promise, detail=""):
    global COUNT, FAILED
    COUNT += 1
    FAILED += not kept
    print(f"{'' if kept else 'not '}ok {COUNT} - {promise}")
    if not kept and detail:
        print(f"# {detail}")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def difference(have, want):
    return f"too many: {sorted(have - want)}, missing: {sorted(want - have)}"


def main():
    so, static = os.environ.get("SO"), os.environ.get("A")
    if not so or not shutil.which("readelf") or not shutil.which("nm"):
        print("1..0 # SKIP needs SO, nm and readelf")
        return 0
    have = {line.split()[-1] for line in output("nm", "-D", "--defined-only", so).splitlines()}
    ok(have == set(EXPORTS), "the shared library exports exactly its list",
       difference(have, set(EXPORTS)))
    dynamic = output("readelf", "-dW", so)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    ok(needed == ["libc.so.6"], "it needs libc.so.6 and nothing else", str(needed))
    ok("(SONAME)" in dynamic and "[libphkmalloc.so]" in dynamic, "its name is libphkmalloc.so")
    ok("TEXTREL" not in dynamic, "it has no relocations in its code")
    segments = output("readelf", "-lW", so)
    ok("GNU_RELRO" in segments and "BIND_NOW" in dynamic, "its tables are sealed after loading")
    stack = re.search(r"GNU_STACK.*\n?", segments)
    ok(stack is not None and " RWE " not in stack.group(0), "its stack is not executable")
    if static:
        lines = output("nm", "--defined-only", "-g", static).splitlines()
        have = {line.split()[2] for line in lines if len(line.split()) == 3}
        ok(have == set(EXPORTS), "the static library defines exactly the same names",
           difference(have, set(EXPORTS)))
    print(f"1..{COUNT}")
    return FAILED != 0


if __name__ == "__main__":
    sys.exit(main())
