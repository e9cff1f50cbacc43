#!/usr/bin/env python3
"""phkmalloc top in a real terminal (tmux): what it shows, its keys, other sizes of the terminal,
and the end of the process under it. TOOL is the command, HEAP a process on the library SO.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test"))
from tap import done, report  # noqa: E402  (not of this folder)

TOOL, HEAP, SO = os.environ["TOOL"], os.environ["HEAP"], os.environ["SO"]
LIMIT = 15


class Terminal:
    count = 0

    def __init__(self, folder, command):
        # A server of its own: one that is just ending takes no more sessions.
        Terminal.count += 1
        self.socket = os.path.join(folder, f"tmux{Terminal.count}")
        env = {k: v for k, v in os.environ.items() if k not in ("TMUX", "LC_ALL", "LANG")}
        self.env = dict(env, LC_ALL="C.UTF-8", TERM="xterm-256color")
        # What it exits with is to be seen, too.
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "130", "-y", "40",
                  f"{command}; echo status $?; sleep 60")

    def tmux(self, *args):
        return subprocess.run(["tmux", "-u", "-S", self.socket, *args], env=self.env,
                              capture_output=True, text=True, check=False).stdout

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def until(self, is_right, promise):
        """Waits for a screen that is right: the terminal can be seen in the midst of a change."""
        end = time.monotonic() + LIMIT
        while not is_right(screen := self.screen()) and time.monotonic() < end:
            time.sleep(0.05)
        report(is_right(screen), promise, screen)

    def shows(self, pattern, promise):
        self.until(lambda screen: re.search(pattern, screen, re.M | re.S), promise)

    def close(self):
        self.tmux("kill-server")


def start(*args):
    p = subprocess.Popen([HEAP, *map(str, args)], env=dict(os.environ, LD_PRELOAD=SO),
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdout.readline()
    return p


def stop(p):
    p.kill()
    p.wait()


def sizes(screen):
    return [int(x) for x in re.findall(r"^ +(\d+) +[\d,]+ +[\d.]+ [KMG]?i?B ", screen, re.M)]


def test_churn(folder):
    p = start("churn", 2)
    t = Terminal(folder, f"{TOOL} top {p.pid}")
    t.shows(rf"^heap, process {p.pid}, ", "it tells whose heap it is")
    t.shows(r"^malloc/s [1-9][\d,]{4,}, free/s [1-9][\d,]{4,}", "rates of malloc and free")
    t.shows(r"[▁▂▃▄▅▆▇█]{2,}.* in use, of the last \d+ looks", "what was in use lately")
    t.shows(r"^ +16 +[\d,]+ +[\d.]+ \w+ +[\d,]+ +[1-9][\d,]+ +[1-9][\d,]+ ",
            "rates of a size class")
    t.keys("S", "S")
    t.until(lambda x: len(sizes(x)) > 20 and sizes(x) == sorted(sizes(x)), "it sorts by size")
    t.keys("r")
    t.until(lambda x: len(sizes(x)) > 20 and sizes(x) == sorted(sizes(x), reverse=True),
            "r turns the order")
    t.keys("r")
    t.tmux("resize-window", "-x", "70", "-y", "15")
    t.until(lambda x: re.search(r"malloc/s +free/s *$", x, re.M) and len(sizes(x)) == 8 and
            "occupied" not in x, "a smaller terminal has fewer columns and rows")
    t.keys("Down", "Down")
    t.shows(r"^ +48 .*^ +64 ", "arrows show other rows")
    t.tmux("resize-window", "-x", "44", "-y", "12")
    t.until(lambda x: re.search(r"^malloc/s [^\n]*\n\n\n +size", x, re.M),
            "what does not fit into a line does not go into the next")
    t.tmux("resize-window", "-x", "20", "-y", "4")
    time.sleep(0.3)
    t.tmux("resize-window", "-x", "130", "-y", "50")
    t.shows(r"occupied.*^ +16 .*q quit", "from too small to large, all is there again")
    t.keys("h")
    t.shows(r"count growth from now on", "h tells the keys")
    t.keys("h", "p")
    t.shows(r"paused", "p pauses")
    t.keys("p")
    stop(p)
    t.shows(r"has ended: its last figures.*^ +16 ", "the last figures of one that ended")
    t.keys("q")
    t.shows(r"status 0", "q ends it")
    t.close()


def test_errors(folder):
    t = Terminal(folder, f"{TOOL} top 1234567890")
    t.shows(r"no such process.*status 3", "no such process")
    t.close()
    p = start("quiet", 1)
    t = Terminal(folder, f"TERM=nonesuch {TOOL} top {p.pid}")
    t.shows(r"terminal \"nonesuch\" is not known.*status 1", "a terminal that is not known")
    t.close()
    r = subprocess.run([TOOL, "top", str(p.pid)], capture_output=True, text=True, check=False)
    report(r.returncode == 2 and "needs a terminal" in r.stderr, "no terminal", r)
    stop(p)


def main():
    if shutil.which("tmux") is None:
        print("1..0 # tmux not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        test_churn(folder)
        test_errors(folder)
    return done()


if __name__ == "__main__":
    sys.exit(main())
