#!/usr/bin/env python3
"""Runs a distillation over bad networks: the learner on one side, workers and scorers on the other.

usage: sudo wan.py OPD [--quick] [--steps N] [CASE ...]

Each case is a network (see CASES). Its run is compared with the same run over loopback: the same weights to the last
bit where nothing is stale, all tokens accounted for, and the time of a step. Beside it stands what the link alone
takes: a bare TCP connection that carries as many bytes each way in turn. Prints a line of JSON a case, and a table.
Needs root, iproute2 and TUN devices.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from link import Conditions, Network

ROOT = Path(__file__).resolve().parents[2]
PORT = 7177
# Case: network, address family, whether the members' address changes in the middle of the run.
CASES = {
    "lan": (Conditions(), 4, False),
    "20ms": (Conditions(delay_ms=10), 4, False),
    "100ms": (Conditions(delay_ms=50), 4, False),
    "200ms": (Conditions(delay_ms=100), 4, False),
    "loss-1": (Conditions(delay_ms=10, loss=0.01), 4, False),
    "loss-3": (Conditions(delay_ms=10, loss=0.03), 4, False),
    "far-loss-1": (Conditions(delay_ms=50, loss=0.01), 4, False),
    "reordered": (Conditions(delay_ms=10, reordered=0.05), 4, False),
    "mtu-1280": (Conditions(delay_ms=10, mtu=1280), 4, False),
    "ipv6": (Conditions(delay_ms=10, mtu=1280), 6, False),
    "behind-nat": (Conditions(delay_ms=10, outward_only=True), 4, False),
    "new-address": (Conditions(delay_ms=10), 4, True),
}
QUICK = ["far-loss-1", "ipv6", "behind-nat", "new-address"]


class Run:
    """A run of the quick start's models, cut short."""

    def __init__(self, opd, folder, steps, staleness):
        self.opd, self.folder = opd, folder
        self.settings = ["Examples/arithmetic.yaml"]
        for each in [
            f"run_folder={folder}",
            f"training.steps={steps}",
            f"pipeline.max_staleness={staleness}",
            "evaluation.every=0",
            "data.heldout_count=1",
            "pipeline.allow_plaintext=true",
            "pipeline.connect_timeout_s=120",
            "pipeline.threads=1",
        ]:
            self.settings += ["--set", each]
        self.children = []

    def start(self, prefix, role, *options):
        log = open(f"{self.folder}.{role}.log", "wb")  # noqa: SIM115
        command = [*prefix, self.opd, role, *self.settings, *options]
        # Another host name has the weights go over the wire instead of through shared memory.
        command = ["unshare", "-u", "sh", "-c", f'hostname wan-{role}; exec "$@"', "sh", *command]
        child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.children.append(child)
        return child

    def go(self, address, prefixes, meanwhile=None):
        endpoint = f"tcp://[{address}]:{PORT}" if ":" in address else f"tcp://{address}:{PORT}"
        learner = self.start(prefixes[0], "learner", "--bind", endpoint)
        members = [self.start(prefixes[1], role, "--connect", endpoint) for role in ("rollout", "scorer")]
        if meanwhile:
            meanwhile(self)
        status = learner.wait(timeout=900)
        if status:
            raise RuntimeError(f"the learner ended with {status}: " + Path(f"{self.folder}.learner.log").read_text())
        for member in members:
            # A member that hears nothing of the end gives up by itself.
            if member.wait(timeout=180):
                raise RuntimeError(f"a member ended with {member.returncode}")
        return self.result()

    def steps(self):
        path = Path(self.folder) / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in map(json.loads, lines) if line["step"] > 0]

    def result(self):
        steps = self.steps()
        last = steps[-1]
        lost = last["tokens_generated"] - last["tokens_trained"] - last["tokens_discarded"]
        weights = Path(self.folder) / "checkpoints" / "latest" / "model" / "model.safetensors"
        # The first step waits for the processes to start, and for the first, whole weights.
        later = [line["step_s"] for line in steps[1:]]
        return {
            "steps": len(steps),
            "step_s": sum(later) / len(later),
            "lost": lost,
            "weights": hashlib.sha256(weights.read_bytes()).hexdigest(),
        }

    def stop(self):
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
            child.wait()


ECHO = """
import socket, sys, time
mode, address, port, there, back, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), *map(int, sys.argv[4:])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
def read(end, count):
    while count:
        got = len(end.recv(min(count, 1 << 20)))
        if not got: sys.exit(1)
        count -= got
if mode == "serve":
    server = socket.create_server((address, port), family=family)
    print("ready", flush=True)
    end, _ = server.accept()
    for _ in range(rounds): end.sendall(bytes(there)); read(end, back)
else:
    end = socket.create_connection((address, port))
    start = time.monotonic()
    for _ in range(rounds): read(end, there); end.sendall(bytes(back))
    print((time.monotonic() - start) / rounds)
"""


def bare(network, there, back, rounds=5):
    """Seconds that a plain TCP connection takes for so many bytes there and back."""
    numbers = [str(PORT + 1), str(there), str(back), str(rounds)]
    address = network.addresses[0]
    server = subprocess.Popen(
        network.command(0, sys.executable, "-c", ECHO, "serve", address, *numbers), stdout=subprocess.PIPE
    )
    try:
        server.stdout.readline()
        client = subprocess.run(
            network.command(1, sys.executable, "-c", ECHO, "ask", address, *numbers),
            capture_output=True,
            text=True,
            timeout=600,
            check=True,
        )
        return float(client.stdout)
    finally:
        server.kill()
        server.wait()


def change_address(network):
    def change(run):
        deadline = time.monotonic() + 300
        while len(run.steps()) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        network.readdress()

    return change


def finished(run, *arguments, **options):
    try:
        return run.go(*arguments, **options)
    finally:
        run.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("opd")
    parser.add_argument("cases", nargs="*", help="by name; default: all")
    parser.add_argument("--quick", action="store_true", help="some cases, of few steps")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--staleness", type=int, nargs="+", default=[0, 2])
    options = parser.parse_args()
    cases = options.cases or (QUICK if options.quick else list(CASES))
    for case in cases:
        if case not in CASES:
            parser.error(f"there is no case '{case}'; there are {', '.join(CASES)}")
    if os.geteuid():
        sys.exit("error: network namespaces need root; use sudo")
    if not os.path.exists("/dev/net/tun") or not shutil.which("ip"):
        sys.exit("error: TUN devices and iproute2 are needed: modprobe tun, apt-get install iproute2")
    steps = options.steps or (4 if options.quick else 12)
    opd = os.path.abspath(options.opd)
    with tempfile.TemporaryDirectory(prefix="opd-wan-") as folder:
        failures = measure(opd, folder, cases, steps, options.staleness)
    if failures:
        sys.exit("wan: " + "; ".join(failures))


def measure(opd, folder, cases, steps, all_staleness):
    failures, rows = [], []
    for staleness in all_staleness:
        base = finished(Run(opd, f"{folder}/loopback-{staleness}", steps, staleness), "127.0.0.1", ([], []))
        print(json.dumps({"case": "loopback", "staleness": staleness, **base}), flush=True)
        rows.append(["loopback", "", staleness, base["step_s"], None, None])
        # What a step takes over a link without faults, in bytes, is what a bare connection is given to carry.
        volume = None
        for case in ["lan", *[case for case in cases if case != "lan"]]:
            conditions, family, moves = CASES[case]
            with Network(f"w{os.getpid() % 100000}", conditions, family=family) as network:
                result = finished(
                    Run(opd, f"{folder}/{case}-{staleness}", steps, staleness),
                    network.addresses[0],
                    (network.command(0), network.command(1)),
                    meanwhile=change_address(network) if moves else None,
                )
                volume = volume or [count // steps for count in network.carried()]
                result["bare_s"] = bare(network, *volume)
            result["same_weights"] = result["weights"] == base["weights"]
            print(json.dumps({"case": case, "staleness": staleness, "bytes": volume, **result}), flush=True)
            if staleness == 0 and not result["same_weights"]:
                failures.append(f"{case}: other weights than over loopback")
            if result["lost"] or result["steps"] != steps:
                failures.append(f"{case}: {result['lost']} tokens lost, {result['steps']} of {steps} steps")
            rows.append([case, str(conditions), staleness, result["step_s"], result["bare_s"], base["step_s"]])
    show(rows)
    return failures


def show(rows):
    print("\n| case | link | max_staleness | a step, s | loopback and bare transfer, s | of that |")
    print("|---|---|---|---|---|---|")
    for case, link, staleness, step, transfer, base in rows:
        ideal = None if transfer is None else base + transfer
        cells = ["", ""] if ideal is None else [f"{ideal:.2f}", f"{step / ideal:.2f}"]
        print("| " + " | ".join([case, link, str(staleness), f"{step:.2f}", *cells]) + " |")


if __name__ == "__main__":
    main()
