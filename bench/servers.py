"""Driving a server under measurement: load it, let it forget, stop it.

The launcher measures the server process; the clients run without any preloaded
allocator and are not measured. What the clients saw comes back as figures.
"""

import os
import subprocess
import time

FORGET = """
local gone, at = 0, '0'
repeat
	local page = redis.call('SCAN', at, 'COUNT', 1000)
	at = page[1]
	for _, key in ipairs(page[2]) do
		if redis.sha1hex(key):byte(1) % 10 ~= 0 then gone = gone + redis.call('DEL', key) end
	end
until at == '0'
return gone
"""


class Redis:
    def __init__(self, socket):
        self.socket = socket

    def cli(self, *args):
        done = subprocess.run(["redis-cli", "-s", self.socket, *args], text=True,
                              capture_output=True, timeout=100)
        return done.stdout.strip() if done.returncode == 0 else ""

    def load(self, tests, count, size):
        subprocess.run(["redis-benchmark", "-s", self.socket, "-q", "-n", str(count), "-r",
                        str(count), "-d", str(size), "-P", "16", "-c", "20", "-t", tests],
                       check=True, stdout=subprocess.DEVNULL, timeout=100)
        return count * len(tests.split(","))

    def rss(self):
        info = dict(line.split(":", 1) for line in self.cli("INFO", "server").split("\n")
                    if ":" in line)
        with open("/proc/%d/statm" % int(info["process_id"])) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def drive_redis(runner, count):
    server = Redis(runner.places["data"] + "/redis.sock")
    for _ in range(200):
        if os.path.exists(server.socket) and server.cli("PING") == "PONG":
            break
        time.sleep(0.02)
    else:
        return {"status": "server does not answer"}
    figures = {}
    try:
        start = time.monotonic()
        done = 0
        for size in (24, 180, 700, 60):
            done += server.load("set,get,lpush,sadd,hset", count // 4, size)
        figures["ops"] = done
        figures["throughput"] = done / (time.monotonic() - start)
        if not server.cli("EVAL", FORGET, "0").isdigit():
            figures["status"] = "the script that deletes keys failed"
        figures["rss_end"] = server.rss()
        time.sleep(runner.options.idle)
        figures["rss_idle"] = server.rss()
    except (subprocess.SubprocessError, OSError, KeyError) as error:
        figures["status"] = "lost the server: %s" % type(error).__name__
    server.cli("SHUTDOWN", "NOSAVE")
    return figures


def drive(workload, runner):
    count = max(1000, int(workload.n * runner.options.scale))
    return {"redis": drive_redis}[workload.name](runner, count)
