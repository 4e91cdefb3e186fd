#!/usr/bin/env python3
"""Measures the bytes of weights that leave a learner, by its own count, with and without a relay before its workers.

A synchronous run of a tiny model; every worker has a host name of its own, so that none shares the learner's memory.
usage: relay_bytes.py OPD [--workers 1 4 8] [--steps N] [--set KEY=VALUE ...]
"""

import argparse
import os
import re
import tempfile

import pipeline
from pipeline import Child, free_port
from tiny import write_run


def weight_bytes(opd, folder, workers, relay, options):
    """Runs to the end; returns the bytes by the learner's count."""
    os.makedirs(folder)
    write_run(folder, options.steps)
    words = [word for pair in options.set for word in ("--set", pair)]
    learner_at = relay_at = f"tcp://127.0.0.1:{free_port()}"
    children = [Child("learner", [opd, "learner", "run.yaml", "--bind", learner_at, *words], folder)]
    if relay:
        relay_at = f"tcp://127.0.0.1:{free_port()}"
        command = [opd, "relay", "run.yaml", "--bind", relay_at, "--connect", learner_at, "--verbose", *words]
        children.append(Child("relay", command, folder))
    for number in range(workers + 1):
        role, name = ("rollout", f"machine{number}") if number else ("scorer", "scorer")
        command = [opd, role, "run.yaml", "--connect", relay_at, "--name", name, *words]
        children.append(Child(name, command, folder, host=name if number else None))
    try:
        for child in children:
            if child.wait(600) != 0:
                raise SystemExit(f"error: {child.name} failed: {pipeline.tail(child.log)}")
    finally:
        for child in children:
            if not child.ended():
                child.process.kill()
    with open(f"{folder}/runs/tiny/logs/learner.log") as file:
        count = re.search(r"weightBytesOut: (\d+)", file.read())
    return int(count[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("opd")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of the configuration")
    options = parser.parse_args()
    if not pipeline.HAS_HOSTS:
        raise SystemExit("error: workers with a host name of their own need root")
    opd = os.path.abspath(options.opd)
    print("| workers | without a relay | with one |\n|---|---|---|")
    for workers in options.workers:
        with tempfile.TemporaryDirectory(prefix="opd-relay-") as folder:
            counts = [weight_bytes(opd, f"{folder}/{relay}", workers, relay, options) for relay in (False, True)]
        print(f"| {workers} | {counts[0] / 1e6:.2f} MB | {counts[1] / 1e6:.2f} MB |", flush=True)


if __name__ == "__main__":
    main()
