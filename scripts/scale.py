"""What members cost a learner, in CPU time and memory, at 10 to 10,000 of them and 1 to 64 scorers: figures and plots.

usage: scale.py PATH_OF_OPD_SCALE [measure] [plot]     needs matplotlib to plot

PATH_OF_OPD_SCALE: what `swift build -c release --product opd-scale` makes. Without a choice both are done; measuring
takes about five minutes. Figures are kept in docs/plots/scale.jsonl, plots in docs/plots/scale.svg.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "plots"
MEMBERS = (10, 100, 1000, 10_000)
SCORERS = (1, 4, 16, 64)


def figures(opd_scale, *arguments):
    print(f"scale: opd-scale {' '.join(arguments)}", file=sys.stderr)
    run = subprocess.run([opd_scale, *arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"scale: opd-scale {arguments[0]} failed: {run.stderr.strip()}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def measure(opd_scale):
    results = []
    for members in MEMBERS:
        (memory,) = figures(opd_scale, "memory", "--members", str(members))
        scorers = ",".join(map(str, SCORERS if members < MEMBERS[-1] else (4,)))
        found = figures(opd_scale, "exchange", "--members", str(members), "--scorers", scorers)
        results += [result | memory for result in found]
    (FOLDER / "scale.jsonl").write_text("".join(json.dumps(result) + "\n" for result in results))


def plot():
    import matplotlib

    matplotlib.use("Agg")
    # Text stays text, and the same figures give the same file.
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "scale", "font.size": 9}
    import matplotlib.pyplot as plt

    results = [json.loads(line) for line in (FOLDER / "scale.jsonl").read_text().splitlines()]
    figure, (work, tick, memory) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    rows = [result for result in results if result["scorers"] == 4]
    x = [row["workers"] for row in rows]
    for name, label in (("message_us", "a message"), ("grant_us", "a grant"), ("join_us", "a hello")):
        work.plot(x, [row[name] for row in rows], "o-", label=label, ms=4)
    for name, label in (("tick_us", "a tick, five a second"), ("status_us", "an answer to opd status")):
        tick.plot(x, [row[name] / 1000 for row in rows], "o-", label=label, ms=4)
    memory.plot(x, [row["learner_bytes_a_member"] / 1024 for row in rows], "o-", ms=4)
    for axes, label in ((work, "CPU time, µs"), (tick, "CPU time, ms"), (memory, "KiB a member at the learner")):
        axes.set_xlabel("workers")
        axes.set_ylabel(label)
        axes.set_xscale("log")
        axes.grid(alpha=0.3, which="both")
    tick.set_yscale("log")
    for axes in (work, memory):
        axes.set_ylim(bottom=0)
    work.legend(fontsize=7)
    tick.legend(fontsize=7)
    figure.savefig(FOLDER / "scale.svg", metadata={"Date": None})


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("opd_scale")
parser.add_argument("what", nargs="*", choices=["measure", "plot", []], help="default: both")
arguments = parser.parse_args()
what = arguments.what or ["measure", "plot"]
if "measure" in what:
    measure(arguments.opd_scale)
if "plot" in what:
    plot()
