#!/usr/bin/env python3
"""Runs a small pipeline with churn for some time, and says whether memory, descriptors and threads stay flat.

Workers and scorers are killed and started again, one worker and one scorer never are, and neither is the learner:
those three must not grow. Prints a line a minute, and a verdict.
usage: soak.py OPD [--minutes M] [--seed S]
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time

from pipeline import Pipeline, tail
from tiny import write_run

# What counts as flat: the mean of the last third against that of the second; a third is warm-up.
GROWTH = {"rss_kb": (1.10, 4096), "fds": (1.0, 2), "threads": (1.0, 2)}


def sample(pid):
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return {
        "rss_kb": int(fields["VmRSS"].split()[0]),
        "threads": int(fields["Threads"]),
        "fds": len(os.listdir(f"/proc/{pid}/fd")),
    }


def mean(values):
    return sum(values) / max(len(values), 1)


def verdict(samples):
    """What has grown, and by how much; empty: nothing."""
    third = len(samples) // 3
    grown = []
    for name, (factor, slack) in GROWTH.items():
        before = mean([each[name] for each in samples[third : 2 * third]])
        after = mean([each[name] for each in samples[2 * third :]])
        if after > before * factor + slack:
            grown.append(f"{name} grew from {before:.0f} to {after:.0f}")
    return grown


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("opd")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="opd-soak-")
    dice = random.Random(options.seed)
    write_run(folder, 1_000_000_000, staleness=1)
    run = Pipeline(os.path.abspath(options.opd), folder)
    status = 1
    try:
        run.start_learner()
        watched = {"learner": run.learner}
        for role in ("rollout", "scorer"):
            name = run.start(role)
            watched[name] = run.members[name]
            run.start(role)
        history = {name: [] for name in watched}
        begun = time.monotonic()
        churn_at, sample_at, print_at, deaths, cuts = begun + 5, begun + 5, begun + 60, 0, 0
        while time.monotonic() - begun < options.minutes * 60:
            now = time.monotonic()
            run.tend()
            for name, child in watched.items():
                if child.ended():
                    print(f"error: {name} ended with {child.process.returncode}: {tail(child.log)}", file=sys.stderr)
                    sys.exit(1)
            if now >= churn_at:
                churn_at = now + dice.uniform(2, 8)
                mortal = sorted(name for name in run.members if name not in watched)
                if dice.random() < 0.6:
                    run.members[dice.choice(mortal)].send(dice.choice([signal.SIGKILL, signal.SIGTERM]))
                    deaths += 1
                else:
                    run.proxies[dice.choice(sorted(run.members))].cut()
                    cuts += 1
            if now >= sample_at:
                sample_at = now + 2
                for name, child in watched.items():
                    history[name].append(sample(child.pid))
            if now >= print_at:
                print_at = now + 60
                latest = ", ".join(
                    f"{name} {h[-1]['rss_kb'] // 1024} MiB {h[-1]['fds']} fds {h[-1]['threads']} threads"
                    for name, h in history.items()
                )
                print(f"{int(now - begun) // 60} min, step {run.steps()}: {latest}", flush=True)
            time.sleep(0.1)
        grown = {name: verdict(samples) for name, samples in history.items()}
        for name, samples in history.items():
            third = len(samples) // 3
            middle, last = samples[third : 2 * third], samples[2 * third :]
            figures = ", ".join(
                f"{key} {mean([s[key] for s in middle]):.0f} -> {mean([s[key] for s in last]):.0f}" for key in GROWTH
            )
            print(f"{name}: {figures}: {'; '.join(grown[name]) or 'flat'}")
        for surprise in run.surprises:
            print(f"error: {surprise}", file=sys.stderr)
        minutes = (time.monotonic() - begun) / 60
        print(f"{minutes:.0f} minutes, {run.steps()} steps, {deaths} deaths, {cuts} cut connections")
        status = 1 if run.surprises or any(grown.values()) else 0
    finally:
        run.end()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
