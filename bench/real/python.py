"""A Python program of the usual kind: records, dictionaries, text, JSON, a graph."""

import heapq
import json
import re
import sys


class Record:
    def __init__(self, n):
        self.name = "record %d" % n
        self.links = []
        self.size = n * 7919 % 1009


def one_round(seed):
    records = [Record(seed * 31 + i) for i in range(20000)]
    for i, r in enumerate(records):
        r.links = [records[(i * k + seed) % len(records)] for k in (3, 7, 11)]
    text = json.dumps([{"name": r.name, "size": r.size, "to": [o.name for o in r.links]}
                       for r in records])
    again = json.loads(text)
    counts = {}
    for word in re.findall(r"\w+", text[:400000]):
        counts[word] = counts.get(word, 0) + 1
    heap = [(r["size"], r["name"]) for r in again]
    heapq.heapify(heap)
    first = [heapq.heappop(heap) for _ in range(2000)]
    return len(text) + len(counts) + first[-1][0]


print(sum(one_round(i) for i in range(int(sys.argv[1]))))
