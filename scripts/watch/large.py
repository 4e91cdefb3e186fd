#!/usr/bin/env python3
"""Measures the live page on ten hours of a run: 100,000 steps and 200 MB of responses, made up here.

large.py OPD [FOLDER]: seconds until a browser shows curves, and until it is told of a new step; the watcher's memory.
"""

import json
import math
import pathlib
import random
import sys
import tempfile
import time

from browser import Browser
from shots import start

STEPS, SAMPLE_BYTES = 100_000, 200_000_000
OPENS_WITHIN, MEMORY = 2.0, 300


def metrics_line(step):
    line = {"step": step, "version": step, "loss": 0.1, "teacher_kl": 2 / (1 + step / 500) + 0.02 * math.sin(step)}
    line |= {
        "entropy": 0.4,
        "ratio_mean": 1.0,
        "ratio_max": 1.4,
        "clip_fraction": 0.01,
        "grad_norm": 1.5 + math.sin(step / 9),
    }
    line |= {"lr": 1e-5, "response_length_mean": 31.25, "truncated_fraction": 0.0, "staleness_mean": 0.5}
    line |= {"staleness_max": 1, "batch_tokens": 2000, "tokens_generated": 2100 * step, "tokens_trained": 2000 * step}
    line |= {"tokens_discarded": 50 * step, "tokens_in_flight": 50 * step, "sampling_tokens_per_second": 5000.5}
    line |= {"scoring_tokens_per_second": 9000.25, "training_tokens_per_second": 7000.125, "wait_rollouts_s": 0.05}
    line |= {"wait_scores_s": 0.02, "wait_evaluation_s": 0.0, "train_s": 0.25, "step_s": 0.36}
    if step % 100 == 0:
        line |= {
            "eval_teacher_kl": 2 / (1 + step / 500),
            "eval_responses": 64,
            "eval_tokens": 2000,
            "eval_pass_at_1": step / 1e5,
        }
        line |= {"eval_teacher_pass_at_1": 0.98}
    return json.dumps(line) + "\n"


def make(folder):
    """Writes the run's folder; returns its path."""
    run = folder / "ten-hours"
    (run / "logs").mkdir(parents=True)
    (run / "checkpoints").mkdir()
    (run / "config.yaml").write_text(
        "name: ten-hours\nstudent: { model: s }\nteachers: { default: { model: t } }\ndata: { prompts: p.jsonl }\n"
        f"training: {{ steps: {2 * STEPS} }}\n"
    )
    with open(run / "metrics.jsonl", "w") as file:
        file.writelines(metrics_line(step) for step in range(STEPS))
    numbers = random.Random(1)
    with open(run / "samples.jsonl", "w") as file:
        step = 0
        while file.tell() < SAMPLE_BYTES:
            step += 20
            count = 200
            student = [round(-numbers.random(), 5) for _ in range(count)]
            teacher = [round(value - numbers.random() + 0.4, 5) for value in student]
            line = {
                "step": step,
                "id": f"{step}.0",
                "kind": "evaluation" if step % 400 == 0 else "train",
                "teacher": "default",
            }
            line |= {"prompt": f"question {step % 1000}", "response": "word " * count, "finish_reason": "stop"}
            line |= {
                "ids": list(range(count)),
                "student_logprobs": student,
                "teacher_logprobs": teacher,
                "versions": [step] * count,
            }
            line |= {"entropies": [round(-value, 4) for value in student], "ratios": [1.0] * count}
            line |= {"advantages": [round(b - a, 4) for a, b in zip(student, teacher, strict=True)]}
            line |= {"ends": [5 * (index + 1) for index in range(count)]}
            file.write(json.dumps(line) + "\n")
    return run


def memory(process, name):
    """MB of a process, as /proc has it."""
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) / 1000 for line in text.splitlines() if line.startswith(name))


def cpu(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main():
    opd = sys.argv[1]
    with tempfile.TemporaryDirectory() as temporary:
        run = make(pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else temporary))
        sizes = ", ".join(
            f"{name} {(run / name).stat().st_size / 1e6:.0f} MB" for name in ("metrics.jsonl", "samples.jsonl")
        )
        print(f"{STEPS} steps: {sizes}")
        # The browser is there before: what is measured is the watcher and the page.
        browser = Browser()
        began = time.monotonic()
        process, address = start(opd, [run])
        try:
            browser.open(address)
            browser.wait("document.querySelectorAll('.chart canvas').length > 4")
            opened = time.monotonic() - began
            print(f"curves {opened:.2f} s after the command, {cpu(process):.2f} s of them the watcher's on a core")
            browser.wait(f"document.body.innerText.includes('{STEPS - 1:,} of {2 * STEPS:,}')")
            browser.open(f"{address}#tokens")
            waited = browser.wait("document.querySelector('.card')")
            print(f"responses {waited:.2f} s after they were asked for")
            browser.open(f"{address}#overview")
            browser.wait("document.querySelectorAll('.chart canvas').length > 4")
            slowest, before = 0, cpu(process)
            for step in range(STEPS, STEPS + 10):
                with open(run / "metrics.jsonl", "a") as file:
                    file.write(metrics_line(step))
                slowest = max(slowest, browser.wait(f"document.body.innerText.includes('{step:,} of {2 * STEPS:,}')"))
            print(f"a new step after at most {slowest:.2f} s; {(cpu(process) - before) / 10:.3f} s of a core each")
            now, peak = memory(process, "VmRSS"), memory(process, "VmHWM")
            print(f"memory {now:.0f} MB, at most {peak:.0f} MB")
            for error in browser.errors:
                print(f"complaint: {error}")
            return 1 if opened > OPENS_WITHIN or peak > MEMORY or browser.errors else 0
        finally:
            process.terminate()
            process.wait(timeout=20)
            browser.close()


if __name__ == "__main__":
    sys.exit(main())
