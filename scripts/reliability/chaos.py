#!/usr/bin/env python3
"""Does to the processes of a run what happens to processes, from a seeded schedule, and checks what comes of it.

A synchronous run must end with the very weights of an undisturbed one; a run with staleness must end with its books
balanced and every step trained once. Prints the faults survived.
usage: chaos.py OPD [--faults N] [--seed S] [--staleness K] [--kind KIND] [--keys] [--only FAULT ...] [--keep]
"""

import argparse
import contextlib
import functools
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import pipeline
from pipeline import Disk, Pipeline, Server, tail
from tiny import SERVER_TIMEOUT, write_run

KINDS = ["distillation", "adapters", "off_policy", "teacher_server", "sampler_server", "relay", "standby"]
# Kinds with a server, and the model it begins with.
SERVED = {"teacher_server": "teacher", "sampler_server": "student"}
PATIENCE = 120  # seconds without a step after which a run is stuck
LEASE = 1.0  # of run.yaml
FLAWS = 0.03  # of a server's answers


class Chaos:
    def __init__(self, pipeline, disk, seed, wanted, only=None, keys=False, kind="distillation"):
        self.keys = keys
        faults = self.STANDBY_FAULTS if pipeline.has_standby else self.FAULTS
        self.faults = [fault for fault in faults if not only or fault[0].__name__ in only]
        if pipeline.server:
            self.faults += [fault for fault in self.SERVER_FAULTS if not only or fault[0].__name__ in only]
        if pipeline.has_relay:
            self.faults += [fault for fault in self.RELAY_FAULTS if not only or fault[0].__name__ in only]
        self.pipeline, self.disk, self.dice, self.wanted = pipeline, disk, random.Random(seed), wanted
        self.survived = {}
        self.due = []  # (time, what ends a fault)
        self.corrupted_at = None
        # A server that samples has one worker.
        self.alone = "rollout" if kind == "sampler_server" else None
        self.watcher = self.page = None
        # Learners that stand still until another has the run.
        self.replaced = []

    # Faults return False when they do not fit the moment.

    def member(self, role=None):
        names = [name for name in self.pipeline.members if not role or name.startswith(role)]
        return self.dice.choice(sorted(names)) if names else None

    def kill_member(self):
        self.pipeline.members[self.member()].send(signal.SIGKILL)

    def suspend(self, child, seconds):
        if child.stopped or child.ended():
            return False
        child.send(signal.SIGSTOP)
        self.later(seconds, lambda: child.send(signal.SIGCONT))
        return None

    def suspend_member(self):
        # Longer than a lease; now and then longer than silence counts as death.
        seconds = self.dice.choice([LEASE * 1.5, LEASE * 3, LEASE * 12])
        return self.suspend(self.pipeline.members[self.member()], seconds)

    def suspend_learner(self):
        return self.suspend(self.pipeline.learner, self.dice.uniform(1, 3) * LEASE)

    def add_member(self):
        role = self.dice.choice(self.pipeline.roles)
        if len(self.pipeline.of(role)) > 2 or role == self.alone:
            return False
        self.pipeline.start(role)
        return None

    def remove_member(self):
        name = self.member()
        if len(self.pipeline.of(name.split("-")[0])) < 2:
            return False
        child = self.pipeline.members[name]
        child.send(self.dice.choice([signal.SIGTERM, signal.SIGKILL]))
        child.send(signal.SIGCONT)
        self.pipeline.remove(name)
        self.later(30, lambda: None if child.ended() else self.pipeline.surprises.append(f"{name} does not end"))
        return None

    def cut(self):
        self.pipeline.proxies[self.member()].cut()

    def slow(self):
        self.pipeline.proxies[self.member()].slow_until = time.monotonic() + self.dice.uniform(1, 4)

    def silence(self):
        self.pipeline.proxies[self.member()].pause_until = time.monotonic() + self.dice.uniform(1.5, 4) * LEASE

    def kill_learner(self):
        """At a random moment, or at one that is hard to hit: while a checkpoint is written, right after a step, while
        weights are sent out, or when results were acknowledged of which nothing is trained yet."""
        # Messages of an encrypted run cannot be told apart.
        messages = [] if self.keys else ["broadcast", "acknowledgement"]
        moment = self.dice.choice(["checkpoint", "step", "any", *messages])
        pattern = f"{self.pipeline.folder}/runs/tiny/checkpoints/.*"
        state = {
            "checkpoint": lambda: bool(glob.glob(pattern)),
            "step": self.pipeline.steps,
            "any": lambda: None,
            "broadcast": lambda: self.pipeline.seen("broadcast"),
            "acknowledgement": lambda: self.pipeline.seen("acknowledgement"),
        }[moment]
        before, deadline = moment != "checkpoint" and state(), time.monotonic() + 3
        while moment != "any" and state() <= before:
            # The run may stand still.
            if time.monotonic() > deadline:
                moment = "any"
            time.sleep(0.0002)
        if moment in ("step", "any"):
            time.sleep(self.dice.uniform(0, 0.1))
        self.stop_learner(signal.SIGKILL)
        return None if moment == "any" else moment

    def interrupt_learner(self):
        self.stop_learner(self.dice.choice([signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]))

    def stop_learner(self, number, clock=0):
        learner = self.pipeline.learner
        learner.send(number)
        learner.send(signal.SIGCONT)
        learner.expected = True
        learner.wait()
        if not self.pipeline.has_standby:
            self.pipeline.start_learner(clock)

    def hand_over(self):
        """The learner is stopped as by a machine that is taken away."""
        self.stop_learner(self.dice.choice([signal.SIGTERM, signal.SIGUSR1]))

    def suspend_until_replaced(self):
        """The learner stands still until the standby has the run, and for a moment longer; then it goes on."""
        learner = self.pipeline.learner
        if learner.stopped or learner.ended():
            return False
        learner.send(signal.SIGSTOP)
        learner.expected = True
        self.replaced.append(learner)
        return None

    def wake_replaced(self):
        for learner in [learner for learner in self.replaced if learner is not self.pipeline.learner]:
            self.replaced.remove(learner)
            self.later(
                self.dice.choice([0, 0, self.dice.uniform(0, 2)]), functools.partial(learner.send, signal.SIGCONT)
            )

    def kill_standby(self):
        standby = self.pipeline.standby
        if self.replaced or standby.ended() or self.pipeline.has_taken_over():
            return False
        standby.send(signal.SIGKILL)
        standby.wait()
        return None

    def corrupt_checkpoint(self):
        """Changes a byte of the newest checkpoint and kills the learner, which must go on from the one before."""
        checkpoints = sorted(glob.glob(f"{self.pipeline.folder}/runs/tiny/checkpoints/step-*"))
        damaged = self.corrupted_at
        if len(checkpoints) < 2 or (damaged and damaged in checkpoints[-2:]) or not self.progressed():
            return False
        self.pipeline.learner.send(signal.SIGKILL)
        self.pipeline.learner.wait()
        newest = max(glob.glob(f"{self.pipeline.folder}/runs/tiny/checkpoints/step-*"))
        path = self.dice.choice(
            [f"{newest}/model/model.safetensors", f"{newest}/optimizer.safetensors", f"{newest}/state.json"]
        )
        with open(path, "r+b") as file:
            file.seek(self.dice.randrange(os.path.getsize(path)))
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1 << self.dice.randrange(8)]))
        self.corrupted_at = newest
        self.corrupted_step = int(newest.split("-")[-1])
        self.pipeline.start_learner()
        return None

    def progressed(self):
        return self.corrupted_at is None or self.pipeline.steps() > self.corrupted_step + 6

    def fill_disk(self):
        if not self.disk.mounted or os.path.exists(self.disk.filler):
            return False
        self.disk.fill()
        self.later(self.dice.uniform(0.5, 3), self.disk.free)
        return None

    def refused_by_full_disk(self):
        """Whether the learner could not start for a full disk, and said so with the status of a failure."""
        learner = self.pipeline.learner
        return learner.ended() and learner.process.returncode == 1 and "No space left on device" in tail(learner.log, 1)

    def move_clock(self):
        """A process starts again whose monotonic clock is days away from the others'."""
        if not pipeline.HAS_CLOCKS:
            return False
        clock = self.dice.choice([-1, 1, 30]) * 86400
        with open("/proc/uptime") as file:
            uptime = float(file.read().split()[0])
        clock = max(clock, -int(uptime) // 2)
        if self.dice.random() < 0.3:
            return self.stop_learner(signal.SIGKILL, clock)
        name = self.member()
        child = self.pipeline.members[name]
        child.send(signal.SIGKILL)
        child.wait()
        self.pipeline.start(name.split("-")[0], name, clock)
        return None

    def move_wall_clock(self):
        """The wall clock of a running process, or of all, is set to another day."""
        if not self.pipeline.wall_clocks:
            return False
        names = ["learner", *sorted(self.pipeline.members)]
        for name in names if self.dice.random() < 0.3 else [self.dice.choice(names)]:
            self.pipeline.wall_clocks.set(name, int(self.dice.choice([-1, 1]) * 10 ** self.dice.uniform(1, 8)))
        return None

    def kill_server(self):
        """It comes back at once or after a while, with the weights that it had at first."""
        server = self.pipeline.server
        if server.child.ended():
            return False
        server.child.send(signal.SIGCONT)
        server.end()
        self.later(self.dice.choice([0, self.dice.uniform(0.5, 4)]), server.start)
        return None

    def suspend_server(self):
        """Shorter or longer than the run waits for an answer."""
        return self.suspend(self.pipeline.server.child, self.dice.choice([1, SERVER_TIMEOUT + 1]))

    def kill_relay(self):
        """It comes back at once, or so late that members have gone on with the learner."""
        relay = self.pipeline.relay
        if relay.ended():
            return False
        away = self.dice.choice([0, self.dice.uniform(0.5, 2), self.dice.uniform(4, 6)])
        self.pipeline.relay_due = time.monotonic() + away
        relay.send(self.dice.choice([signal.SIGKILL, signal.SIGTERM]))
        relay.send(signal.SIGCONT)
        return "once" if away == 0 else "length" if away >= 4 else None

    def suspend_relay(self):
        return self.suspend(self.pipeline.relay, self.dice.choice([LEASE * 1.5, LEASE * 3, LEASE * 12]))

    def disturb_watcher(self):
        """Somebody watches the run: the page's process is begun, looked at, suspended, or killed."""
        log = f"{self.pipeline.folder}/out/watch.log"
        begins = self.watcher is None
        if begins:
            with open(log, "ab") as file:
                self.watcher = subprocess.Popen(
                    [self.pipeline.opd, "watch", "runs/tiny", "--port", "0"],
                    cwd=self.pipeline.folder,
                    stdout=subprocess.PIPE,
                    stderr=file,
                    text=True,
                )
            self.page = self.watcher.stdout.readline().strip()
        if not self.page or self.watcher.poll() is not None:
            self.pipeline.surprises.append(f"the page's process ended: {tail(log)}")
            self.end_watcher()
            return "its own end"
        if begins:
            return "its beginning"
        # It asks the learner while somebody looks.
        what = self.dice.choice(["a look", "a look", "suspension", "its end"])
        if what == "a look":
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.page}metrics", timeout=0.5).read()
        elif what == "suspension":
            self.watcher.send_signal(signal.SIGSTOP)
            watcher = self.watcher
            self.later(self.dice.uniform(1, 4), lambda: watcher.send_signal(signal.SIGCONT))
        else:
            self.end_watcher()
        return what

    def end_watcher(self):
        if self.watcher is not None:
            self.watcher.kill()
            self.watcher.communicate()
            self.watcher = None

    RELAY_FAULTS = ((kill_relay, 6), (suspend_relay, 3))
    SERVER_FAULTS = ((kill_server, 4), (suspend_server, 2))
    FAULTS = (
        (kill_member, 4),
        (suspend_member, 4),
        (suspend_learner, 2),
        (add_member, 2),
        (remove_member, 2),
        (cut, 4),
        (slow, 2),
        (silence, 3),
        (kill_learner, 5),
        (interrupt_learner, 1),
        (corrupt_checkpoint, 1),
        (fill_disk, 2),
        (move_clock, 2),
        (move_wall_clock, 2),
        (disturb_watcher, 2),
    )

    # A full disk or damaged checkpoints would end a standby that takes over, and nobody is left then.
    STANDBY_FAULTS = (
        (kill_member, 2),
        (suspend_member, 2),
        (cut, 2),
        (silence, 1),
        (kill_learner, 5),
        (hand_over, 2),
        (suspend_until_replaced, 5),
        (kill_standby, 1),
    )

    @classmethod
    def every_fault(cls):
        return cls.FAULTS + cls.SERVER_FAULTS + cls.RELAY_FAULTS + cls.STANDBY_FAULTS

    # Time

    def later(self, seconds, action):
        self.due.append((time.monotonic() + seconds, action))

    def settle(self, now=None):
        for entry in [entry for entry in self.due if now is None or entry[0] <= now]:
            self.due.remove(entry)
            entry[1]()

    def strike(self):
        """One fault of the schedule; a kind that does not fit is passed over."""
        while True:
            fault = self.dice.choices([f for f, _ in self.faults], [weight for _, weight in self.faults])[0]
            moment = fault(self)
            if moment is not False:
                name = fault.__name__ + (f" at {moment}" if moment else "")
                self.survived[name] = self.survived.get(name, 0) + 1
                return

    def run(self, steps):
        """Until the run is done; the faults are spread over the greater part of its steps, for some take longer."""
        done = 0
        furthest, moved = 0, time.monotonic()
        next_at = time.monotonic() + 1
        while not self.pipeline.learner.ended() or self.pipeline.learner.expected or self.refused_by_full_disk():
            now = time.monotonic()
            self.settle(now)
            self.pipeline.tend()
            self.wake_replaced()
            if self.refused_by_full_disk():
                self.pipeline.start_learner()
            reached = self.pipeline.steps()
            if reached > furthest:
                furthest, moved = reached, now
            if now - moved > PATIENCE:
                return f"stuck at step {furthest} for {PATIENCE} s: {tail(self.pipeline.learner.log)}"
            # One learner after the other: a standby that is not there yet takes nothing over.
            is_ready = not self.pipeline.has_standby or self.pipeline.is_watched()
            if is_ready and done < self.wanted and furthest >= done * steps * 0.6 / self.wanted and now >= next_at:
                self.strike()
                done += 1
                next_at = time.monotonic() + self.dice.uniform(0, 0.4)
            time.sleep(0.02)
        self.settle()
        learner = self.pipeline.learner
        if learner.process.returncode != 0:
            return f"the learner ended with {learner.process.returncode}: {tail(learner.log)}"
        if done < self.wanted:
            return f"the run was over after {done} faults"
        return None


def result(folder):
    """Weights and books of a finished run."""
    latest = f"{folder}/runs/tiny/checkpoints/latest"
    with open(f"{latest}/model/model.safetensors", "rb") as file:
        weights = file.read()
    with open(f"{latest}/state.json") as file:
        return weights, json.load(file)


def write_keys(opd, folder):
    """Keys for everybody, and their section of run.yaml."""
    command = [opd, "keygen", "--run", "keys", "--relays"]
    made = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    with open(f"{folder}/run.yaml", "a") as file:
        file.write(made.stdout)


def whole_run(opd, folder, steps, staleness, kind, chaos=None, seed=0, only=None, keys=False):
    """Runs to the end; returns the pipeline's result, what went wrong, and the faults."""
    os.makedirs(folder)
    server = None
    if kind in SERVED:
        server = Server(opd, folder, SERVED[kind], FLAWS if chaos else 0, seed)
    write_run(folder, steps, staleness, kind, server and server.url)
    if keys:
        write_keys(opd, folder)
    disk = Disk(f"{folder}/runs/tiny") if chaos else None
    run = Pipeline(
        opd,
        folder,
        moves_clocks=bool(chaos),
        samples_teacher=kind == "off_policy",
        server=server,
        has_relay=kind == "relay",
        has_standby=kind == "standby",
    )
    attack = Chaos(run, disk, seed, chaos or 0, only, keys, kind)
    try:
        if server:
            server.start()
        run.start_learner()
        if run.has_standby:
            run.wait_for_terms()
            run.start_standby()
        if run.has_relay:
            run.start_relay()
        for role in run.roles * (2 if chaos else 1):
            if role != attack.alone or not run.of(role):
                run.start(role)
        problem = attack.run(steps)
        problems = ([problem] if problem else []) + run.surprises
        if server:
            attack.survived |= {f"answers: {what}": count for what, count in server.flaws().items()}
        if problem:
            return None, None, problems, attack.survived
        return result(folder), run.metrics(), problems, attack.survived
    finally:
        attack.end_watcher()
        run.end()
        if disk:
            if disk.mounted:
                shutil.copytree(disk.folder, f"{folder}/kept", symlinks=True, ignore=shutil.ignore_patterns("filler"))
            disk.unmount()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = list(dict.fromkeys(fault.__name__ for fault, _ in Chaos.every_fault()))
    parser.add_argument("opd")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--staleness", type=int, default=0)
    parser.add_argument("--kind", default="distillation", choices=KINDS)
    parser.add_argument("--keys", action="store_true", help="encrypt; the undisturbed run stays in plain text")
    parser.add_argument("--only", nargs="+", choices=names, metavar="FAULT")
    parser.add_argument(
        "--steps-per-fault", type=int, help="3; 12 with --kind off_policy, 24 with relay, 60 with standby: members wait"
    )
    parser.add_argument("--keep", action="store_true", help="leave the folder of the runs")
    options = parser.parse_args()
    opd = os.path.abspath(options.opd)
    folder = tempfile.mkdtemp(prefix="opd-chaos-")
    begun = time.monotonic()
    # Steps that nobody grades are soon over.
    steps = options.faults * (
        options.steps_per_fault or {"off_policy": 12, "relay": 24, "standby": 60}.get(options.kind, 3)
    )
    missing = [
        what
        for what, there in [
            ("full disks", pipeline.IS_ROOT),
            ("moved clocks", pipeline.HAS_CLOCKS),
            ("workers with a host name of their own", pipeline.HAS_HOSTS),
        ]
        if not there
    ]
    if missing:
        print("without root there are no " + ", no ".join(missing), flush=True)
    if not pipeline.COMPILER:
        print("without a C compiler there are no moved wall clocks", flush=True)
    try:
        found, metrics, problems, survived = whole_run(
            opd,
            f"{folder}/disturbed",
            steps,
            options.staleness,
            options.kind,
            options.faults,
            options.seed,
            options.only,
            options.keys,
        )
        if found:
            state = found[1]
            books = state["tokens"]
            if books["generated"] != books["trained"] + books["discarded"] + books["inFlight"]:
                problems.append(f"the ledger does not balance: {books}")
            if state["step"] != steps:
                problems.append(f"the last checkpoint is of step {state['step']}, not {steps}")
            recorded = [line["step"] for line in metrics]
            if recorded != sorted(set(recorded)):
                problems.append(f"metrics.jsonl has a step twice: {recorded}")
            for line in metrics:
                if line["staleness_max"] is not None and line["staleness_max"] > options.staleness:
                    problems.append(f"step {line['step']} was trained on samples {line['staleness_max']} versions old")
        if found and options.staleness == 0:
            # The server grades with the native engine's very numbers, and a relay changes none.
            kind = "distillation" if options.kind in ("teacher_server", "relay", "standby") else options.kind
            expected, _, unexpected, _ = whole_run(opd, f"{folder}/undisturbed", steps, 0, kind)
            problems += unexpected
            if expected and expected[0] != found[0]:
                problems.append("the weights are not those of the undisturbed run")
            if expected and expected[1]["tokens"] != found[1]["tokens"]:
                problems.append(f"the books are {found[1]['tokens']}, undisturbed {expected[1]['tokens']}")
        kinds = ", ".join(f"{count} {name}" for name, count in sorted(survived.items()))
        seconds = int(time.monotonic() - begun)
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr)
        if problems:
            print(f"error: seed {options.seed}: see {folder}", file=sys.stderr)
            options.keep = True
            sys.exit(1)
        what = "the weights are those of an undisturbed run" if options.staleness == 0 else "the books balance"
        print(f"{options.faults} faults survived in {steps} steps and {seconds} s; {what} ({kinds})")
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
