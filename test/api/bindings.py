#!/usr/bin/env python3
"""Who asks for an allocation function gets the library's, by whatever version of libc he asks.

The loader itself is asked (LD_DEBUG=bindings) which object each name was bound to, in a real
program and in one made for it: C++, with a plug-in, linked against libc's versions.
"""
import os
import re
import shlex
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import preload  # noqa: E402  (TAP, and the library)

CC = shlex.split(os.environ.get("CC") or "cc")
CXX = shlex.split(os.environ.get("CXX") or "c++")
BINDING = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: \w+ symbol [`'](\w+)'")
# new and delete, malloc by its version as an old program has it, and a plug-in.
PROGRAM = """
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>
extern "C" void *old_malloc(size_t);
#if defined(LINKED)
#define old_malloc malloc
#elif defined(__x86_64__)
__asm__(".symver old_malloc, malloc@GLIBC_2.2.5");
#else
__asm__(".symver old_malloc, malloc@GLIBC_2.17");
#endif
int main(int, char **argv)
{
	std::string *s = new std::string(1000, 'x');
	void *h = dlopen(argv[1], RTLD_NOW), *p = old_malloc(10);
	char *(*copy)(const char *) = (char *(*)(const char *))dlsym(h, "copy");
	free(copy(s->c_str()));
	free(p);
	free(strdup("y"));
	delete s;
	return 0;
}
"""
PLUGIN = """
#include <stdlib.h>
#include <string.h>
char *copy(const char *s) { return strcpy(realloc(calloc(1, 1), strlen(s) + 1), s); }
"""


def exported():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "abi.txt")
    with open(path, encoding="utf-8") as f:
        return set(re.findall(r"^function (\w+)", f.read(), re.MULTILINE))


def bindings(argv, env):
    """(from, to, name) of each binding of a name that the library exports; None if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "bindings")
        env = dict(env, LD_DEBUG="bindings", LD_DEBUG_OUTPUT=out, LD_BIND_NOW="1")
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False)
        if done.returncode != 0:
            print(f"# {argv[0]}: status {done.returncode}\n# {done.stderr[:1000]}")
            return None
        text = ""
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as f:
                text += f.read()
    names = exported()
    return [found for found in BINDING.findall(text) if found[2] in names]


def all_ours(promise, argv, env, least):
    """At least so many names, and all of them the library's."""
    found = bindings(argv, env)
    # A program at a fixed address that takes that of a function has a jump to it for all, which
    # leads to where the program's own calls go. The library itself goes on to libc's dlopen.
    strays = [f"{name}: {who} -> {to}" for who, to, name in found or ()
              if "libphkmalloc" not in to and not os.path.samefile(to, argv[0])
              and not (name == "dlopen" and "libphkmalloc" in who)]
    askers = {os.path.basename(who) for who, _, _ in found or ()}
    preload.ok(found is not None and len(found) >= least and not strays, promise,
               f"{len(found or ())} bindings by {sorted(askers)}\n" + "\n".join(strays))


def main():
    if not preload.start():
        return 0
    clean = preload.environment(False)
    ours = preload.environment(True)
    if not preload.missing("python3 and its modules", "python3"):
        all_ours("python3, its modules, libc and ld.so", [preload.PYTHON, "-c", "import json"],
                 ours, 15)
    what = "a C++ program by libc's old versions, libstdc++, a plug-in"
    if preload.missing(what, CC[0], CXX[0]):
        return preload.done()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("program.cc", PROGRAM), ("plugin.c", PLUGIN)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(text)
        program, linked, plugin = (os.path.join(folder, n) for n in ("program", "linked", "p.so"))
        source = os.path.join(folder, "program.cc")
        subprocess.run(CC + ["-w", "-shared", "-fPIC", os.path.join(folder, "plugin.c"), "-o",
                             plugin], check=True)
        subprocess.run(CXX + ["-fno-builtin", source, "-o", program], check=True)
        subprocess.run(CXX + ["-fno-builtin", "-DLINKED", source, preload.SO, "-o", linked,
                              f"-Wl,-rpath,{os.path.dirname(preload.SO)}"], check=True)
        all_ours(what, [program, plugin], ours, 20)
        all_ours(what + ", linked with the library", [linked, plugin], clean, 20)
    return preload.done()


if __name__ == "__main__":
    sys.exit(main())
