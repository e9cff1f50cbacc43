#!/usr/bin/env python3
"""Formats the project's C by clang-format, leaving what was laid out by hand.

clang-format moves only white space: with it and without, a file is one row of characters with two
gaps before each. The author's gap stays where he broke the line in another place than clang-format
would, or not at all (tables of one-line functions, a line for each condition), and where he aligned
columns. It is wrong where a blank is missing or too much, where a brace stands on the wrong line,
and where a line is indented as nothing should be.

Usage: format.py [FILE...]   formats these files, or all of the project's
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

VERSION = "14"  # of clang-format, Debian 12's
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
PIECE = re.compile(r"((?:[ \t\n]|\\\n)*)([^ \t\n])")
# Continuation lines: tabs, and half a tab more.
CONTINUED = re.compile(r"\t*    $")


class Pieces:
    """The characters of a text that are not white space, and the gap before each."""

    def __init__(self, text):
        found = PIECE.findall(text)
        self.gaps = [gap for gap, _ in found] + ["\n"]
        self.chars = "".join(char for _, char in found)


def blank_is_wrong(mine, theirs, before, after):
    """Both gaps are inside a line; before and after are the text around them."""
    if (mine == "") == (theirs == ""):
        return False                                     # columns
    brace = before.endswith("{") or after.startswith("}")          # {0} or { 0 }
    loop = before.endswith(";") and after.startswith(")")          # for (;;) or for (;; )
    address = before.endswith(")") and after.startswith("&(") or before.endswith(")&")
    pointer = after.startswith("(*")                               # clang-format 14: int(*)(void)
    return not (brace or loop or address or pointer)


def break_is_wrong(mine, before, after, behind):
    """One gap is a line break and the other is not; behind is the gap after the next character."""
    if "\n" in mine:
        brace = before.endswith(")") and after.startswith("{")     # if (x) { on one line
        return brace or before.endswith("}") and re.match("else|while", after) is not None
    # A function's brace has a line of its own, unless the whole function is one line.
    return before.endswith(")") and after.startswith("{") and "\n" in behind


def wrong(mine, theirs, around):
    """Whether the author's gap must give way to clang-format's."""
    if mine == theirs:
        return False
    if ("\n" in mine) != ("\n" in theirs):
        return break_is_wrong(mine, *around)
    if "\n" not in mine:
        return blank_is_wrong(mine, theirs, *around[:2])
    if mine.count("\n") > theirs.count("\n"):
        return True                                      # empty lines that say nothing
    indent = mine.rsplit("\n", 1)[1]
    return indent != theirs.rsplit("\n", 1)[1] and not CONTINUED.match(indent)


def formatted(path):
    """The text of a file, what it should be, and the numbers of the lines that are wrong."""
    with open(path, encoding="utf-8") as f:
        old = f.read()
    new = subprocess.run(["clang-format", "--style=file", path], capture_output=True, text=True,
                         check=True).stdout
    mine, theirs = Pieces(old), Pieces(new)
    if mine.chars != theirs.chars:
        return old, new, [1]
    chars, result, faults, line = mine.chars, [], [], 1
    for i, char in enumerate(chars):
        gap = mine.gaps[i]
        line += gap.count("\n")
        if wrong(gap, theirs.gaps[i], (chars[max(i - 2, 0):i], chars[i:i + 5], mine.gaps[i + 1])):
            faults.append(line)
            gap = theirs.gaps[i]
        result.append(gap + char)
    return old, "".join(result) + "\n", faults


def unusable():
    """Why what it says would be of no use here, or None."""
    if shutil.which("clang-format") is None:
        return "clang-format is not installed"
    told = subprocess.run(["clang-format", "--version"], capture_output=True, text=True,
                          check=False).stdout
    found = re.search(r"version (\d+)", told)
    if found is None or found[1] != VERSION:
        return f"not clang-format {VERSION}; each formats otherwise in places"
    return None


def c_files():
    """The project's C and C++."""
    listed = subprocess.run(["git", "ls-files", "*.c", "*.h", "*.cc"], check=True, cwd=ROOT,
                            capture_output=True, text=True).stdout.split()
    return [path for path in listed if os.path.isfile(os.path.join(ROOT, path))]


def faults(paths):
    """A line for each file that is not formatted."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, (_, _, found) in zip(paths, pool.map(formatted, paths)):
            if found:
                places = ", ".join(str(n) for n in found[:10])
                yield f"{path}: not formatted in line {places} (make format)"


def main():
    os.chdir(ROOT)
    for path in sys.argv[1:] or c_files():
        old, new, _ = formatted(path)
        if old != new:
            with open(path, "w", encoding="utf-8") as f:
                f.write(new)
            print(path)


if __name__ == "__main__":
    main()
