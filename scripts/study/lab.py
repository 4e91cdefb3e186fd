"""Runs and evaluations that are made once: each has a name, and its result is a line of docs/study/results.jsonl.

A run that was stopped goes on from its checkpoint. Paths are relative to the repository, so that results of one
machine mean the same on another.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "study" / "results.jsonl"
RUNS = Path("runs") / "study"
# What of a metrics line is kept at each evaluation.
KEPT = {
    "step": "step",
    "eval_pass_at_1": "pass",
    "eval_teacher_kl": "kl",
    "eval_response_length_mean": "length",
    "sampling_flops": "sampling_flops",
    "scoring_flops": "scoring_flops",
    "training_flops": "training_flops",
    "tokens_trained": "tokens",
    "entropy": "entropy",
    "staleness_mean": "staleness",
    "ratio_max": "ratio_max",
    "teacher_kl": "batch_kl",
    "reward_mean": "reward",
}


def kept():
    """The results so far, by name."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return {result["name"]: result for result in map(json.loads, lines)}


class Lab:
    """Keeps results by name; may be used from several threads."""

    def __init__(self, opd):
        self.opd = os.path.abspath(opd)
        self.lock = threading.Lock()
        self.running = set()
        self.stopped = False
        self.results = kept()

    def train(self, name, config, seed=1, command="run", **settings):
        """The result of a run with `config` and `settings` (key with __ for a dot) on top of it."""
        if name in self.results:
            return self.results[name]
        folder = RUNS / name
        arguments = [command, str(config)]
        for key, value in {"name": name.replace("/", "-"), "run_folder": folder, "seed": seed, **settings}.items():
            arguments += ["--set", f"{key.replace('__', '.')}={value}"]
        # A folder without a checkpoint has nothing to go on from.
        resumed = (ROOT / folder / "checkpoints" / "latest").exists()
        if not resumed:
            shutil.rmtree(ROOT / folder, ignore_errors=True)
        print(f"{time.strftime('%T')} {name}" + (": goes on" if resumed else ""), flush=True)
        cpu, _ = self.call(name, [*arguments, "--quiet", *(["--resume"] if resumed else [])])
        curve, wall, norms = [], 0.0, []
        for line in (ROOT / folder / "metrics.jsonl").read_text().splitlines():
            metrics = json.loads(line)
            wall += metrics["step_s"]
            if metrics.get("grad_norm") is not None:
                norms.append(metrics["grad_norm"])
            if metrics.get("eval_responses"):
                curve.append({new: metrics.get(old) for old, new in KEPT.items()} | {"wall_s": round(wall, 2)})
            last = metrics
        return self.keep(
            {
                "name": name,
                "command": "opd " + " ".join(arguments),
                "seed": seed,
                "steps": last["step"],
                "wall_s": round(wall, 1),
                "cpu_s": None if resumed else round(cpu, 1),
                **{new: last.get(old) for old, new in KEPT.items() if new.endswith("flops") or new == "tokens"},
                "gradient_square": sum(norm * norm for norm in norms) / len(norms) if norms else None,
                "curve": curve,
            }
        )

    def evaluate(self, name, model, task, **options):
        """The result of `opd eval`; options by their names."""
        if name in self.results:
            return self.results[name]
        arguments = ["eval", str(model), str(task), "--dtype", "f32", "--threads", "1", "--json"]
        for key, value in options.items():
            arguments += [f"--{key.replace('_', '-')}", str(value)]
        _, output = self.call(name, arguments)
        measured = json.loads(output)
        first = measured["pass_at"]["1"]
        return self.keep(
            {
                "name": name,
                "command": "opd " + " ".join(arguments),
                "pass": first["mean"],
                "low": first["low"],
                "high": first["high"],
                "kl": (measured["teacher_kl"] or {}).get("mean"),
                "problems": measured["problems"],
                "length": measured["response_length_mean"],
            }
        )

    def model(self, name):
        """The final model of a run."""
        return RUNS / name / "checkpoints" / "latest" / "model"

    def call(self, name, arguments):
        """CPU seconds, of all its processes, and standard output of a command that must succeed."""
        with self.lock:
            if self.stopped:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                [self.opd, *arguments],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            self.running.add(process)
        errors = []
        reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
        reader.start()
        output = process.stdout.read()
        reader.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.running.discard(process)
        if self.stopped:
            raise KeyboardInterrupt
        if process.returncode:
            raise RuntimeError(
                f"{name}: status {process.returncode}: {errors[0].strip()[-500:]}\n  opd {' '.join(arguments)}"
            )
        return usage.ru_utime + usage.ru_stime, output

    def keep(self, result):
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        # An evaluation of what is in the repository can be the first of all, before any run makes this folder.
        (ROOT / RUNS).mkdir(parents=True, exist_ok=True)
        with self.lock, open(ROOT / RUNS / "lock", "w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            # What another sitting has added meanwhile stays.
            self.results |= kept() | {result["name"]: result}
            # In the order of names, in one piece: two sittings give the same file.
            text = "".join(json.dumps(self.results[name]) + "\n" for name in sorted(self.results))
            temporary = RESULTS.with_suffix(".new")
            temporary.write_text(text)
            temporary.replace(RESULTS)
        return result

    def stop(self):
        """Ends what runs, after a checkpoint each."""
        self.stopped = True
        for process in list(self.running):
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGTERM)
