#!/usr/bin/env python3
"""Kills and suspends the processes of runs that torch computes, on CPUs, and checks what comes of it.

The first run trains by torch in two processes: its ranks, their launcher, the learner and the members die. The second
trains, samples and grades by torch. Every step is trained once, the books balance, and no process of an engine is left.
usage: chaos_torch.py OPD PYTHON [--faults N] [--seed S] [--only RUN] [--keep]
"""

import argparse
import contextlib
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

from chaos import result
from pipeline import Pipeline, tail
from tiny import write_run

PATIENCE = 300  # seconds without a step: an engine reads a gigabyte of libraries when it starts
RUNS = {
    "trainer": (2, {}),
    "everything": (1, {"rollout": "rollout: { engine: torch }", "teacher": ", engine: torch"}),
}


def engines(folder):
    """Processes of engines that belong to a run in `folder`, by what they are."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdecimal() else []
            is_engine = b"opd_torch" in words and b"--endpoint" in words
            if is_engine and (entry / "cwd").resolve().is_relative_to(folder):
                found.append((int(entry.name), "launcher" if b"torch.distributed.run" in words else "rank"))
    return sorted(found)


class Attack:
    """Faults from a seeded schedule."""

    def __init__(self, pipeline, seed):
        self.pipeline, self.dice, self.survived, self.due = pipeline, random.Random(seed), {}, []

    def kill_engine(self):
        """Any rank, or the launcher of several, of any role."""
        found = engines(self.pipeline.folder)
        if not found:
            return None
        process, what = self.dice.choice(found)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        return f"kill {what}"

    def suspend_engine(self):
        """Longer than a lease."""
        found = engines(self.pipeline.folder)
        if not found:
            return None
        process, what = self.dice.choice(found)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGSTOP)
        self.due.append((time.monotonic() + self.dice.uniform(1, 4), process))
        return f"suspend {what}"

    def kill_learner(self):
        learner = self.pipeline.learner
        learner.send(signal.SIGKILL)
        learner.wait()
        self.pipeline.start_learner()
        return "kill learner"

    def kill_member(self):
        self.pipeline.members[self.dice.choice(sorted(self.pipeline.members))].send(signal.SIGKILL)
        return "kill member"

    def settle(self):
        for entry in [entry for entry in self.due if entry[0] <= time.monotonic()]:
            self.due.remove(entry)
            with contextlib.suppress(ProcessLookupError):
                os.kill(entry[1], signal.SIGCONT)

    def strike(self):
        fault = self.dice.choices(
            [self.kill_engine, self.suspend_engine, self.kill_learner, self.kill_member], [5, 2, 1, 1]
        )
        what = fault[0]()
        if what:
            self.survived[what] = self.survived.get(what, 0) + 1
        return what is not None

    def run(self, wanted, per_fault):
        """Until the run is done, with a fault every `per_fault` steps: what was lost has to be done again meanwhile."""
        done, furthest, moved = 0, 0, time.monotonic()
        while not self.pipeline.learner.ended():
            self.settle()
            self.pipeline.tend()
            reached = self.pipeline.steps()
            if reached > furthest:
                furthest, moved = reached, time.monotonic()
            if time.monotonic() - moved > PATIENCE:
                return f"stuck at step {furthest} for {PATIENCE} s: {tail(self.pipeline.learner.log)}"
            if done < wanted and furthest > done * per_fault and self.strike():
                done += 1
            time.sleep(self.dice.uniform(0.01, 0.1))
        learner = self.pipeline.learner
        if learner.process.returncode != 0:
            return f"the learner ended with {learner.process.returncode}: {tail(learner.log)}"
        return None if done == wanted else f"the run was over after {done} faults"


def write(folder, steps, python, processes, changes):
    """Makes the run of chaos.py one of torch."""
    write_run(folder, steps)
    path = pathlib.Path(folder, "run.yaml")
    text = path.read_text().replace("student: { model: student, ", "student: { model: student, engine: torch, ")
    text = text.replace("model: teacher, dtype: f32", f"model: teacher, dtype: f32{changes.get('teacher', '')}")
    text += f"torch: {{ python: {python}, processes: {processes}, device: cpu, recompute: false }}\n"
    path.write_text(text + changes.get("rollout", "") + "\n")


def check(folder, steps, metrics):
    """Returns what is wrong with a run that ended well."""
    problems = []
    state = result(folder)[1]
    books, recorded = state["tokens"], [line["step"] for line in metrics]
    if books["generated"] != books["trained"] + books["discarded"] + books["inFlight"]:
        problems.append(f"the ledger does not balance: {books}")
    if state["step"] != steps or recorded != list(range(steps + 1)):
        problems.append(f"the last checkpoint is of step {state['step']} of {steps}, and metrics.jsonl has {recorded}")
    deadline = time.monotonic() + 20
    while engines(folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    if left := engines(folder):
        problems.append(f"processes of engines are left: {left}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("opd")
    parser.add_argument("python")
    parser.add_argument("--faults", type=int, default=12, help="of each run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=RUNS)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    root = os.path.realpath(tempfile.mkdtemp(prefix="opd-chaos-torch-"))
    failed = False
    for name, (processes, changes) in RUNS.items():
        if options.only not in (None, name):
            continue
        folder, begun, steps = f"{root}/{name}", time.monotonic(), 2 + 2 * options.faults
        os.makedirs(folder)
        write(folder, steps, os.path.abspath(options.python), processes, changes)
        run = Pipeline(os.path.abspath(options.opd), folder)
        attack = Attack(run, options.seed)
        try:
            run.start_learner()
            for role in run.roles:
                run.start(role)
            problem = attack.run(options.faults, 2)
            problems = ([problem] if problem else []) + run.surprises
        finally:
            run.end()
        if not problem:
            problems += check(folder, steps, run.metrics())
        for problem in problems:
            print(f"error: {name}: seed {options.seed}: {problem}", file=sys.stderr)
        failed = failed or bool(problems)
        kinds = ", ".join(f"{count} {what}" for what, count in sorted(attack.survived.items()))
        seconds = int(time.monotonic() - begun)
        print(f"{name}: {sum(attack.survived.values())} faults in {steps} steps and {seconds} s ({kinds})", flush=True)
    if failed:
        sys.exit(f"error: see {root}")
    if not options.keep:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
