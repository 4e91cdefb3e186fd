#!/usr/bin/env python3
"""Runs distillations with a real vLLM server on this machine, and checks what comes of them.

One server, whose log-probabilities are compared with the native ones, is a teacher that hangs, and is killed and
started again, in mid-run, and then a sampler that is brought all weights. Another is a sampler that is brought
adapters. A third has a family that the native engine does not know: it is the teacher of a native student, and then
samples for one of that family, which torch trains.
usage: check.py OPD MODELS PYTHON [--only NAME ...]
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from vllm import VLLM

# Largest difference from the native engine's log-probabilities, in nats: both compute in f32. 4e-5 was seen.
BOUND = 1e-3
STEPS = 3
# In this order: the teacher's server is given other weights afterwards.
CHECKS = ["teacher", "weights", "adapters", "family"]
# What sampler and trainer may differ by, in nats. 4e-5 was seen.
MISMATCH_BOUND = 1e-3
# Prints the log-probabilities that transformers has of the ids in every line.
REFERENCE = """
import json, sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
for line in sys.stdin:
    ids = torch.tensor([json.loads(line)])
    logprobs = torch.log_softmax(model(ids).logits[0, :-1], -1)
    print(json.dumps(logprobs.gather(1, ids[0, 1:, None])[:, 0].tolist()))
"""
# A run of three small steps, beside a server that is slow to start.
PATIENCE = 900
# Seconds that a server may take for its first answers beside other work.
START = 300


class Checks:
    def __init__(self, opd, models, python, folder):
        self.opd, self.python, self.folder = opd, python, folder
        self.teacher, self.student = f"{models}/smollm2", f"{models}/smollm2-26"
        self.whole, self.untied = None, f"{folder}/untied"

    def server(self, name, model, *options):
        return VLLM(self.python, model, open(f"{self.folder}/{name}.log", "ab"), *options)

    def configuration(self, name, sections):
        """Writes a configuration: what every run here has, and what this one has of its own."""
        path = f"{self.folder}/{name}.yaml"
        lines = {
            "name": name,
            "run_folder": f"{self.folder}/{name}",
            "student": f"{{ model: {self.student}, dtype: f32 }}",
            "data": "{ prompts: Examples/prompts.jsonl, prompts_per_step: 2, samples_per_prompt: 2 }",
            "sampling": "{ max_tokens: 8 }",
            "training": f"{{ steps: {STEPS}, learning_rate: 1.0e-3 }}",
            "pipeline": "{ lease_s: 60, heartbeat_s: 0.5, connect_timeout_s: 300 }",
            "evaluation": "{ every: 0 }",
            "checkpoint": "{ every: 0 }",
            **sections,
        }
        with open(path, "w") as file:
            file.write("".join(f"{key}: {value}\n" for key, value in lines.items()))
        return path

    def run(self, name, sections, *disturbances):
        """Runs to the end; the first of `disturbances` is called after the first step, the next after the second."""
        path = self.configuration(name, sections)
        begun, waiting = time.monotonic(), list(disturbances)
        run = subprocess.Popen([self.opd, "run", path])
        try:
            while run.poll() is None:
                if waiting and len(self.metrics(name)) > len(disturbances) - len(waiting):
                    waiting.pop(0)()
                if time.monotonic() - begun > PATIENCE:
                    raise SystemExit(f"error: {name} is not done after {PATIENCE} s; see {self.folder}")
                time.sleep(0.1)
        finally:
            if run.poll() is None:
                run.terminate()
                run.wait()
        steps = self.metrics(name)
        print(f"{name}: {json.dumps(steps[-1]) if steps else 'no steps'}", flush=True)
        if run.returncode or len(steps) != STEPS:
            raise SystemExit(f"error: {name} ended with {run.returncode} after {len(steps)} steps; see {self.folder}")
        if waiting:
            raise SystemExit(f"error: {name} was over before it could be disturbed")
        return steps

    def metrics(self, name):
        try:
            with open(f"{self.folder}/{name}/metrics.jsonl") as file:
                return [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []

    # What is checked, one after the other.

    def end(self):
        if self.whole:
            self.whole.kill()
            self.whole = None

    def whole_server(self):
        """The server of the teacher's weights, with a head of their own: it takes others, too."""
        if not self.whole:
            subprocess.run([self.opd, "convert", self.teacher, self.untied, "--untie"], check=True)
            self.whole = self.server("whole-server", self.untied)
            self.whole.start()
        return self.whole

    def check_teacher(self):
        """A teacher at a server that grades as the native one, hangs, and is killed and started again."""
        server = self.whole_server()
        self.compare(server, "the native engine", [self.opd, "score", self.teacher, "--dtype", "f32"])
        self.run(
            "teacher",
            {"teachers": self.teachers(server, self.teacher)},
            lambda: self.suspend(server, "teacher"),
            lambda: self.restart(server, "teacher"),
        )

    def suspend(self, server, name):
        """Stops the server's processes until the status names it."""
        server.signal(signal.SIGSTOP)
        try:
            self.named(server, name, "hangs")
        finally:
            server.signal(signal.SIGCONT)

    def restart(self, server, name):
        """Kills the server, waits until the status names it, and starts it again."""
        server.kill()
        self.named(server, name, "is down")
        server.start(wait=False)

    def named(self, server, name, what):
        """Waits until `opd status` names the server."""
        begun = time.monotonic()
        while True:
            status = subprocess.run(
                [self.opd, "status", f"{self.folder}/{name}"], capture_output=True, text=True, check=False
            )
            if server.url in status.stdout:
                break
            if time.monotonic() - begun > 120:
                raise SystemExit(f"error: opd status does not name {server.url}:\n{status.stdout}{status.stderr}")
            time.sleep(0.2)
        line = next(line for line in status.stdout.splitlines() if server.url in line)
        print(f"while the server {what}, after {time.monotonic() - begun:.0f} s: {line}", flush=True)

    def compare(self, server, name, command):
        """The server's log-probabilities of random ids are those that a command prints."""
        dice = random.Random(1)
        sequences = [[dice.randrange(1000, 40_000) for _ in range(length)] for length in (2, 17, 64, 200)]
        wanted = subprocess.run(
            command,
            input="".join(json.dumps(ids) + "\n" for ids in sequences),
            capture_output=True,
            text=True,
            check=True,
        )
        worst = 0.0
        for ids, line in zip(sequences, wanted.stdout.splitlines(), strict=True):
            body = {"model": "model", "prompt": ids, "max_tokens": 1, "prompt_logprobs": 0}
            status, answer = server.request("POST", "/v1/completions", body)
            if status != 200:
                raise SystemExit(f"error: vLLM answers {status}: {answer[:300]}")
            logprobs = json.loads(answer)["choices"][0]["prompt_logprobs"]
            theirs = [entry[str(token)]["logprob"] for entry, token in zip(logprobs[1:], ids[1:], strict=True)]
            worst = max(worst, *(abs(a - b) for a, b in zip(theirs, json.loads(line), strict=True)))
        print(f"vLLM is at most {worst:.1e} nats from {name} (bound {BOUND:.0e})", flush=True)
        if worst > BOUND:
            raise SystemExit("error: that is too far")

    def check_weights(self):
        """A sampler that is brought all weights. The student is the larger model here: the server has its shape."""
        student = f"{{ model: {self.teacher}, dtype: f32 }}"
        self.sampler("weights", self.whole_server(), self.student, {"student": student})
        self.end()

    def check_adapters(self):
        """A sampler that is brought adapters, each version under a name of its own."""
        # A server that grades dies of adapters, so this is another one.
        self.end()
        options = ("--enable-lora", "--max-lora-rank", "8", "--max-loras", "2")
        server = self.server("adapters-server", self.student, *options)
        server.start()
        try:
            self.sampler("adapters", server, self.teacher, {"lora": "{ rank: 8, alpha: 16 }"})
        finally:
            server.kill()

    def check_family(self):
        """A teacher, and then a sampler with all weights, of a family that the native engine does not know."""
        self.end()
        folders = [f"{self.folder}/gpt2-{seed}" for seed in range(2)]
        for seed, folder in enumerate(folders):
            words = [self.python, "scripts/torch/other_family.py", "gpt2", self.student, str(seed), folder]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        server = self.server("family-server", folders[0])
        server.start()
        try:
            self.compare(server, "transformers", [self.python, "-c", REFERENCE, folders[0]])
            self.run("family-teacher", {"teachers": self.teachers(server, folders[0])})
            student = {
                "student": f"{{ model: {folders[1]}, dtype: f32, engine: torch }}",
                "torch": f"{{ python: {self.python}, recompute: false }}",
            }
            self.sampler("family-sampler", server, self.student, student)
        finally:
            server.kill()

    def teachers(self, server, model):
        """The section of a teacher at a server."""
        return (
            f"{{ default: {{ model: {model}, dtype: f32, tokenizer: {model}, "
            f"server: {{ kind: vllm, urls: ['{server.url}'], model: model, start_timeout_s: {START} }} }} }}"
        )

    def sampler(self, name, server, teacher, sections):
        server_section = (
            f"{{ engine: server, server: {{ kind: vllm, url: '{server.url}', start_timeout_s: {START} }} }}"
        )
        teachers = f"{{ default: {{ model: {teacher}, dtype: f32 }} }}"
        steps = self.run(name, {"teachers": teachers, "rollout": server_section, **sections})
        # The learner's weights are the server's: with none of them stale every ratio is 1, as far as f32 goes.
        for step in steps:
            if not 0.99 < step["ratio_mean"] < 1.01 or step["ratio_max"] > 1.05:
                raise SystemExit(f"error: {name}: the server does not sample with the learner's weights: {step}")
        apart = [step["mismatch_max"] for step in steps if step.get("mismatch_max") is not None]
        if len(apart) != STEPS or max(apart) > MISMATCH_BOUND:
            raise SystemExit(f"error: {name}: sampler and trainer differ by more than {MISMATCH_BOUND} nats: {apart}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("opd")
    parser.add_argument("models")
    parser.add_argument("python")
    parser.add_argument("--only", nargs="*", choices=CHECKS, default=CHECKS)
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    given = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="opd-servers-")
    checks = Checks(os.path.abspath(given.opd), given.models, given.python, folder)
    # The server is in a process group of its own, and is not to be left behind when time is up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: the test was stopped"))
    try:
        for name in [name for name in CHECKS if name in given.only]:
            begun = time.monotonic()
            getattr(checks, f"check_{name}")()
            print(f"{name}: as it should be, after {time.monotonic() - begun:.0f} s", flush=True)
    finally:
        checks.end()
    if not given.keep:
        subprocess.run(["rm", "-rf", folder], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
