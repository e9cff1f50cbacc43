#!/usr/bin/env python3
"""What surrounds the command: each subcommand and option is in the help, in the manual page and in
the completion of bash, fish and zsh. TOOL is the command, HEAP a process on the library SO.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test"))
from tap import done, report, skip  # noqa: E402  (not of this folder)

TOOL, HEAP, SO = os.environ["TOOL"], os.environ["HEAP"], os.environ["SO"]
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
COMPLETION = os.path.join(ROOT, "share/bash-completion/completions/phkmalloc")
FISH = os.path.join(ROOT, "share/fish/vendor_completions.d/phkmalloc.fish")
ZSH = os.path.join(ROOT, "share/zsh/site-functions")
PATH = os.path.dirname(TOOL) + ":" + os.environ["PATH"]


def help_of(*args):
    return subprocess.run([TOOL, *args, "--help"], capture_output=True, text=True,
                          check=True).stdout


def complete(*words):
    """What the shell offers for the last word."""
    script = (f"source {COMPLETION}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _phkmalloc; "
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    r = subprocess.run(["bash", "-c", script, "bash", TOOL, *words], capture_output=True, text=True,
                       cwd=ROOT, check=False)
    return sorted(x for x in r.stdout.split("\n") if x)


def complete_fish(line):
    r = subprocess.run(["fish", "--no-config", "-c", f"source {FISH}; complete -C '{line}'"],
                       capture_output=True, text=True, cwd=ROOT, check=False, timeout=60,
                       env=dict(os.environ, PATH=PATH))
    return sorted(x.split("\t")[0] for x in r.stdout.split("\n") if x)


def check_fish(commands, pid):
    if shutil.which("fish") is None:
        skip("fish completes as bash does", "no fish")
        return
    wrong = {}
    for line, expected in (
            ("", commands), ("core Make", ["Makefile"]), ("core x ", ["map", "stat"]),
            ("run -o X ls Make", ["Makefile"]), ("profile --html Make", ["Makefile"]),
            ("leaks -- ls Make", ["Makefile"]), ("map -o Make", ["Makefile"]),
            *((name + " --", [x for x in complete(name, "-") if x.startswith("--")])
              for name in commands)):
        got = complete_fish("phkmalloc " + line)
        if set(got) != set(expected):
            wrong[line] = (got, expected)
    if str(pid) not in complete_fish("phkmalloc stat "):
        wrong["stat "] = pid
    report(not wrong, "fish completes as bash does", wrong)


class Zsh:
    """One in a terminal, as its completion cannot be asked otherwise."""

    def __init__(self, folder):
        self.socket = os.path.join(folder, "tmux")
        with open(os.path.join(folder, ".zshrc"), "w", encoding="ascii") as f:
            f.write(f"PS1='%% '; fpath=({ZSH} $fpath); path=({os.path.dirname(TOOL)} $path)\n"
                    f"autoload -U compinit; compinit -D -u; LISTMAX=1000; "
                    f"unsetopt automenu listambiguous\n"
                    f"cd {ROOT}\n")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "60",
                  f"ZDOTDIR={folder} TERM=screen zsh -d")

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, *args], capture_output=True, text=True,
                              check=False, timeout=60).stdout

    def shows(self, keys, *patterns):
        """What is on the screen after these keys and a tab, "" when it is right."""
        end = time.monotonic() + 30
        self.tmux("send-keys", "C-u")
        self.tmux("send-keys", "C-l")
        self.tmux("send-keys", "-l", keys)
        self.tmux("send-keys", "Tab")
        while True:
            screen = self.tmux("capture-pane", "-p")
            if all(re.search(x, screen, re.M) for x in patterns):
                return ""
            if time.monotonic() > end:
                return screen
            time.sleep(0.05)


def check_zsh(commands, pid):
    if shutil.which("zsh") is None or shutil.which("tmux") is None:
        skip("zsh completes as bash does", "no zsh, or no tmux to run it in")
        return
    wrong = {}
    with tempfile.TemporaryDirectory() as folder:
        zsh = Zsh(folder)
        for keys, patterns in (
                ("phkmalloc ", [rf"^{x} +-- " for x in commands]),
                # Listed, on one line with those of which the same is told, or put in when no
                # other process is on the library.
                ("phkmalloc stat ", [rf"\b{pid}\b.* -- heap, |^% phkmalloc stat {pid}\b"]),
                ("phkmalloc stat --", ["^--json +-- for programs", "^--threads +-- "]),
                ("phkmalloc leaks --", ["^--rate +-- a sample"]),
                ("phkmalloc run -o X ls Make", ["X ls Makefile"]),
                ("phkmalloc profile --html Make", ["--html Makefile"]),
                ("phkmalloc core x ", ["^map +stat"])):
            screen = zsh.shows(keys, *patterns)
            if screen:
                wrong[keys] = screen
        zsh.tmux("kill-server")
    report(not wrong, "zsh completes as bash does",
           "\n".join(f"{k}: {v}" for k, v in wrong.items()))


def options_of(text):
    usage, _, rest = text.partition("\n")
    rows = "\n".join(x for x in rest.split("\n") if x.startswith("  -"))
    return sorted(set(re.findall(r"(?:^|(?<=[\[ ]))--?[A-Za-z][a-z-]*", usage + "\n" + rows)))


def main():
    commands = re.findall(r"^  ([a-z]+) ", help_of(), re.M)
    report(len(commands) >= 5, "the help lists subcommands", commands)
    with open(os.path.join(ROOT, "man/phkmalloc.1"), encoding="utf-8") as f:
        page = f.read()
    for name in commands:
        text = help_of(name)
        options = options_of(text)
        macros = re.sub(r"\n", " ", page)
        missing = [x for x in options if not re.search(
            rf"Fl (?:\S+ \| )*{re.escape(x[1:])}\b", macros)]
        report(f".It Cm {name}\n" in page and f".Cm {name}\n" in page and not missing,
               f"{name} and its options are in the manual page", missing)
        report(set(options) <= set(complete(name, "-")), f"the shell completes options of {name}",
               f"{options} {complete(name, '-')}")
    report(complete("") == sorted([*commands, "--help"]), "the shell completes subcommands",
           complete(""))
    p = subprocess.Popen([HEAP, "quiet", "1"], env=dict(os.environ, LD_PRELOAD=SO),
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdout.readline()
    metrics = set(re.findall(r"^# TYPE (\S+)", subprocess.run(
        [TOOL, "stat", "--openmetrics", str(p.pid)], capture_output=True, text=True,
        check=True).stdout, re.M))
    section = page.partition(".Sh METRICS")[2].partition(".Sh ")[0]
    told = set(re.findall(r"phkmalloc_\w+", section))
    report(metrics == told, "the manual page tells of each metric and of no other",
           metrics ^ told)
    for name in ("stat", "map", "top"):
        report(str(p.pid) in complete(name, ""), f"the shell completes processes for {name}",
               complete(name, ""))
    check_fish(commands, p.pid)
    check_zsh(commands, p.pid)
    p.kill()
    p.wait()
    report("ls" in complete("run", "-o", "X", "ls") and "Makefile" in complete("run", "ls", "Make"),
           "programs and their arguments for run", complete("run", "ls", "Make"))
    report(complete("core", "Make") == ["Makefile"] and
           complete("core", "x", "") == ["map", "stat"],
           "files and what to do with them for core", complete("core", "x", ""))
    return done()


if __name__ == "__main__":
    sys.exit(main())
