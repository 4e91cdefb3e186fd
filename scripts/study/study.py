#!/usr/bin/env python3
"""The claims about on-policy distillation, tested on small models.

usage: study.py OPD [1 2 3 4 5 6a 6b 7 8 9 10 report] [--jobs N] [--seeds 1 2 3]

Each number is a part of the study (docs/study.md says what each asks); report writes docs/study.md and its plots from
docs/study/results.jsonl, and needs matplotlib. Without a choice all is done. What has a result is not done again:
remove its line to repeat it. Ctrl-C stops after checkpoints; the same command goes on.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

from lab import Lab
from parts import PARTS


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("opd")
    parser.add_argument("what", nargs="*", help="parts, and report; default: all")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, each of about one core (2)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    choices = [*PARTS, "report"]
    for each in options.what:
        if each not in choices:
            parser.error(f"there is no part '{each}'; there are {', '.join(choices)}")
    what = options.what or choices
    lab = Lab(options.opd)
    for part in PARTS:
        if part in what:
            work(lab, part, options.seeds, options.jobs)
    if "report" in what:
        from report import write_report

        write_report(lab.results)


def work(lab, part, seeds, jobs):
    title, alone, chains = PARTS[part]
    print(f"part {part}: {title}", flush=True)
    # Runs whose processes are to overlap need the machine for themselves.
    with ThreadPoolExecutor(1 if alone else jobs) as pool:
        pending = [pool.submit(chain, lab) for chain in chains(seeds)]
        try:
            for each in pending:
                each.result()
        except (KeyboardInterrupt, RuntimeError) as problem:
            lab.stop()
            pool.shutdown(cancel_futures=True)
            if isinstance(problem, RuntimeError):
                sys.exit(f"study: {problem}")
            sys.exit("study: stopped; the same command goes on")


if __name__ == "__main__":
    main()
