#!/usr/bin/env python3
"""Metrics of two processes on their way through a real node exporter into a real Prometheus.

TOOL is the command, HEAP a process on the library SO. One process is quiet and one churns with
threads: what Prometheus then answers has to be what the command says of them.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test"))
from tap import done, report  # noqa: E402  (not of this folder)

TOOL, HEAP, SO = os.environ["TOOL"], os.environ["HEAP"], os.environ["SO"]
LIMIT = 60
CONFIG = """global:
  scrape_interval: 1s
scrape_configs:
  - job_name: node
    static_configs:
      - targets: ['127.0.0.1:{port}']
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def wait_for(what):
    """What a function returns as soon as it is true and raises nothing."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            value = what()
            if value:
                return value
        except OSError:
            pass
        time.sleep(0.2)
    return None


class Prometheus:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/api/v1/query?query="

    def ask(self, query):
        """Values by process."""
        data = json.loads(get(self.url + urllib.parse.quote(query)))["data"]["result"]
        return {int(x["metric"].get("pid", 0)): float(x["value"][1]) for x in data}


def start_heaps():
    heaps = []
    for args in (("quiet", "20"), ("churn", "2")):
        heaps.append(subprocess.Popen([HEAP, *args], env=dict(os.environ, LD_PRELOAD=SO),
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        heaps[-1].stdout.readline()
    return heaps


def start_servers(folder, processes):
    """The node exporter on what the command writes there, and Prometheus on the exporter."""
    port, exporter = free_port(), free_port()
    config = os.path.join(folder, "prometheus.yml")
    with open(config, "w", encoding="ascii") as f:
        f.write(CONFIG.format(port=exporter))
    null = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes.append(subprocess.Popen(
        ["prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
         f"--collector.textfile.directory={folder}", "--web.disable-exporter-metrics",
         f"--web.listen-address=127.0.0.1:{exporter}"], **null))
    processes.append(subprocess.Popen(
        ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
         f"--web.listen-address=127.0.0.1:{port}"], **null))
    return port, exporter


def test_promtool(pids):
    r = subprocess.run([TOOL, "stat", "--openmetrics", *pids], capture_output=True, text=True,
                       check=False)
    checked = subprocess.run(["promtool", "check", "metrics"], input=r.stdout, check=False,
                             capture_output=True, text=True)
    report(checked.returncode == 0 and checked.stderr == "" and len(r.stdout) > 1000,
           "promtool finds nothing wrong with the metrics", checked.stderr)


def test_fleet(folder, quiet, churn, processes):
    pids = [str(quiet.pid), str(churn.pid)]
    test_promtool(pids)
    processes.append(subprocess.Popen(
        [TOOL, "stat", "--openmetrics", "-o", os.path.join(folder, "phkmalloc.prom"), "--every",
         "1", *pids]))
    port, exporter = start_servers(folder, processes)
    text = wait_for(lambda: "phkmalloc" in (
        t := get(f"http://127.0.0.1:{exporter}/metrics")) and t)
    report(text and "node_textfile_scrape_error 0" in text and 'phkmalloc_heap_bytes{' in text,
           "the node exporter takes the file as it is", text)
    prometheus = Prometheus(port)
    live = wait_for(lambda: len(
        a := prometheus.ask("sum by (pid) (phkmalloc_live_bytes)")) == 2 and a)
    said = json.loads(subprocess.run([TOOL, "stat", "--json", pids[0]], capture_output=True,
                                     check=True).stdout)["heap"]["live_bytes"]
    report(live and live.get(quiet.pid) == said,
           "Prometheus has in use of a quiet process what the command says", f"{live} {said}")
    rates = wait_for(lambda: len(a := prometheus.ask(
        "sum by (pid) (rate(phkmalloc_allocations_total[10s]))")) == 2 and
        a[churn.pid] > 0 and a)
    report(rates and rates[quiet.pid] == 0 and rates[churn.pid] > 10000,
           "rates: none where nothing happens, many where threads churn", rates)
    scraped = wait_for(lambda: prometheus.ask(
        "min by (pid) (count_over_time(phkmalloc_frees_total[1m]))").get(churn.pid, 0) > 5)
    resets = prometheus.ask("sum by (pid) (resets(phkmalloc_allocations_total[1m])) + "
                            "sum by (pid) (resets(phkmalloc_frees_total[1m]))")
    report(scraped and resets == {quiet.pid: 0, churn.pid: 0},
           "no counter ever steps back, even of a heap that churns", resets)
    programs = prometheus.ask('count(phkmalloc_heap_bytes{program="heap",host!="",version!=""})')
    report(programs == {0: 2}, "each has its host, program and version", programs)


def main():
    missing = [x for x in ("prometheus", "promtool", "prometheus-node-exporter")
               if shutil.which(x) is None]
    if missing:
        print(f"1..0 # {' '.join(missing)} not installed")
        return 0
    processes = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            heaps = start_heaps()
            processes += heaps
            test_fleet(folder, *heaps, processes)
        finally:
            for p in reversed(processes):
                p.kill()
                p.wait()
    return done()


if __name__ == "__main__":
    sys.exit(main())
