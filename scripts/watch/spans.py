#!/usr/bin/env python3
"""Tells what recording spans costs a run: how many each process records a step, and the share of a step that they take.

usage: spans.py RUN [MICROSECONDS]    the cost of a span, which docs/watching.md has measured; 0.9 unless given
"""

import json
import sys


def lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def main():
    run, cost = sys.argv[1], float(sys.argv[2] if len(sys.argv) > 2 else 0.9)
    seconds = sorted(line["step_s"] for line in lines(f"{run}/metrics.jsonl") if line["step"] > 0)
    spans, taken = {}, 0
    for line in lines(f"{run}/spans.jsonl"):
        spans[line["member"]] = spans.get(line["member"], 0) + len(line["stages"])
        taken += len(json.dumps(line)) + 1
    steps, median = len(seconds), seconds[len(seconds) // 2]
    print(f"{steps} steps, the median one of {median * 1e3:.1f} ms; {taken / steps:.0f} bytes of spans.jsonl a step")
    for member, count in sorted(spans.items()):
        share = count / steps * cost / (median * 1e6)
        print(f"{member:12}  {count / steps:6.2f} spans a step, {100 * share:.5f}% of it at {cost} us each")


if __name__ == "__main__":
    main()
