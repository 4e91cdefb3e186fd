#!/usr/bin/env python3
"""Runs the quick start's models for ten steps, natively and with the torch engine, and compares what they learn.

The torch engine trains with one process, with two, and with one that is killed in mid-run; then it samples and grades
as well, samples with adapters that are trained natively, distils between models of families that transformers has
alone (all weights, adapters, and experts), and imitates given responses beside its own. Held-out divergence after ten
steps has to be within BOUND of the native run's, relative to that of the beginning. Then a torch run's checkpoint is
continued natively, and a native one by torch.

usage: scripts/torch/runs.py OPD PYTHON
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = 10
# Sampled tokens differ as soon as a weight does in its last bit, and the rest is noise of other samples.
BOUND = 0.02
# What is drawn by the torch engine has random numbers of its own, so that divergences are of other responses and tell
# little; but trainer and sampler must agree on what they were drawn with, to so many nats.
MISMATCH_BOUND = 1e-4
# Whose tokenizer models of other families have.
TOKENIZER = "Examples/models/arithmetic-student"
SETTINGS = {
    "data.prompts_per_step": "32",
    "data.heldout_count": "64",
    "training.warmup_steps": "0",
    "training.learning_rate": "5.0e-5",
    "student.dtype": "f32",
    "teachers.default.dtype": "f32",
    "evaluation.every": str(STEPS),
    "evaluation.teachers": "false",
    "checkpoint.every": "5",
    "pipeline.slots": "64",
    "torch.recompute": "false",
}


def command(opd: str, folder: Path, settings: dict[str, str], resume: bool = False) -> list[str]:
    """Returns the command of a run into `folder`."""
    given = {**SETTINGS, "run_folder": str(folder), **settings}
    sets = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    return [opd, "run", "Examples/arithmetic-sampled.yaml", *sets, *(["--resume"] if resume else [])]


def divergences(folder: Path) -> tuple[float, float]:
    """Returns the held-out divergence at the beginning and at the end of a run."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    values = [line["eval_teacher_kl"] for line in lines if line.get("eval_teacher_kl") is not None]
    return values[0], values[-1]


def mismatch(folder: Path) -> list[float]:
    """Returns how far sampler and trainer were apart at most, in every step that has it."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["mismatch_max"] for line in lines if line.get("mismatch_max") is not None]


def engine_processes(log: Path) -> list[int]:
    """Returns the processes of torch engines whose words go to `log`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdecimal() else []
            if b"opd_torch" in words and Path(os.readlink(entry / "fd/2")) == log.resolve():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def run_and_kill(words: list[str], folder: Path) -> None:
    """Runs, and kills the engine once, after the seventh step."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    killed = False
    while process.poll() is None:
        metrics = folder / "metrics.jsonl"
        if not killed and metrics.is_file() and metrics.read_text().count('"step"') >= 7:
            for engine in engine_processes(folder / "logs/torch.log"):
                os.kill(engine, signal.SIGKILL)
                killed = True
        time.sleep(0.02)
    if process.returncode != 0 or not killed:
        sys.exit(f"error: the run whose engine was killed ended with {process.returncode}, killed: {killed}")


def other_family(opd: str, python: str, root: Path, family: str, roles: dict[str, str]) -> bool:
    """Distils between two models that transformers has alone, resumes, and says whether sampler and trainer agree."""
    name = family + ("-lora" if "lora.rank" in roles else "")
    models = {role: str(root / f"{name}-{role}") for role in ("student", "teacher")}
    for seed, path in enumerate(models.values()):
        words = [python, "scripts/torch/other_family.py", family, TOKENIZER, str(seed), path]
        subprocess.run(words, check=True, capture_output=True)
    given = {
        **roles,
        "student.model": models["student"],
        "teachers.default.model": models["teacher"],
        "training.learning_rate": "1.0e-3",
        "evaluation.every": "5",
    }
    folder = root / name
    for steps, resume in (("5", False), (str(STEPS), True)):
        words = command(opd, folder, {**given, "training.steps": steps}, resume)
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    before, after = divergences(folder)
    apart = max(mismatch(folder))
    print(f"{name}: held-out divergence {before:.4f} -> {after:.4f}, sampler and trainer within {apart:.2e} nats")
    # Divergences of 64 responses from random models vary by more than ten steps take away.
    return after < 1.1 * before and apart < MISMATCH_BOUND


def given_responses(opd: str, root: Path, torch: dict[str, str]) -> bool:
    """Imitates given responses beside what is sampled, and says whether both engines find the same of them."""
    losses = {}
    for name, settings in (("native", {}), ("torch", torch)):
        folder = root / f"given-{name}"
        given = {
            **settings,
            "training.steps": "3",
            "evaluation.every": "0",
            "objective.cross_entropy_coefficient": "0.5",
        }
        subprocess.run(command(opd, folder, given), check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        losses[name] = [line["cross_entropy"] for line in lines if line.get("cross_entropy") is not None]
    apart = [abs(one / other - 1) for one, other in zip(losses["native"], losses["torch"], strict=True)]
    print(f"given responses: losses of {len(apart)} steps within {max(apart):.2e} of the native ones")
    # The first is of the same weights; later ones are of weights that other samples have moved.
    return len(apart) == 3 and apart[0] < 1e-4 and max(apart) < 0.05


def main() -> None:
    """Compares the runs."""
    opd, python = sys.argv[1:]
    torch = {"student.engine": "torch", "torch.python": python}
    with tempfile.TemporaryDirectory() as root:
        folders = {name: Path(root) / name for name in ("native", "torch", "two", "killed", "all", "lora")}
        ten = {"training.steps": str(STEPS)}
        subprocess.run(command(opd, folders["native"], ten), check=True, stdout=subprocess.DEVNULL)
        subprocess.run(command(opd, folders["torch"], {**ten, **torch}), check=True, stdout=subprocess.DEVNULL)
        two = {**ten, **torch, "torch.processes": "2"}
        subprocess.run(command(opd, folders["two"], two), check=True, stdout=subprocess.DEVNULL)
        run_and_kill(command(opd, folders["killed"], {**ten, **torch}), folders["killed"])
        roles = {**torch, "rollout.engine": "torch", "teachers.default.engine": "torch"}
        subprocess.run(command(opd, folders["all"], {**ten, **roles}), check=True, stdout=subprocess.DEVNULL)
        lora = {**ten, **roles, "student.engine": "native", "lora.rank": "8", "training.learning_rate": "1.0e-3"}
        subprocess.run(command(opd, folders["lora"], lora), check=True, stdout=subprocess.DEVNULL)
        failed = False
        for name in ("all", "lora"):
            apart = mismatch(folders[name])
            failed = failed or len(apart) != STEPS or not max(apart) < MISMATCH_BOUND
            print(f"{name}: sampler and trainer differ by at most {max(apart):.2e} nats in {len(apart)} steps")
        before, native = divergences(folders["native"])
        for name in ("torch", "two", "killed"):
            start, end = divergences(folders[name])
            apart = abs(end - native) / before
            failed = failed or apart > BOUND or abs(start - before) > 1e-6
            print(f"{name}: held-out divergence {start:.4f} -> {end:.4f}; native {before:.4f} -> {native:.4f}")
        more = {"training.steps": str(STEPS + 5)}
        for name, settings in (("torch", {}), ("native", torch)):
            words = command(opd, folders[name], {**more, **settings}, resume=True)
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            end = divergences(folders[name])[1]
            print(f"{name}, continued by the other engine: {end:.4f}")
            failed = failed or not end < 1.1 * divergences(folders["native"])[0]
        lora = {**roles, "lora.rank": "4", "lora.targets": "[q_proj, v_proj, down_proj]"}
        for family, settings in (("olmo", roles), ("olmo", lora), ("mixtral", roles)):
            failed = not other_family(opd, python, Path(root), family, settings) or failed
        failed = not given_responses(opd, Path(root), torch) or failed
        if failed:
            sys.exit("error: the torch engine does not learn what the native one does")


if __name__ == "__main__":
    main()
