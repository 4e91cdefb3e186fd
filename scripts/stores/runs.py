"""Small runs that copy their checkpoints, for what tests it."""

import hashlib
import os
import subprocess
import sys

CONFIGURATION = """\
name: tiny
student: { dtype: f32 }
shape: { layers: 2, hidden: 32, heads: 4, kv_heads: 2, intermediate: 64, context: 64 }
objective: { kind: supervised }
data: { task: "arithmetic:digits=1", heldout_count: 12, prompts_per_step: 8 }
sampling: { max_tokens: 16 }
training: { steps: 40, learning_rate: 5.0e-3, token_budget: 128 }
pipeline: { threads: 1 }
evaluation: { every: 0 }
checkpoint: { every: 5, keep_last: 2 }
"""


def begin(opd, where, *arguments, environment=None):
    """Starts the program in a folder."""
    os.makedirs(where, exist_ok=True)
    with open(f"{where}/run.yaml", "w") as file:
        file.write(CONFIGURATION)
    return subprocess.Popen(
        [opd, "run", "run.yaml", *arguments],
        cwd=where,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(opd, where, *arguments, environment=None, status=0):
    """Runs the program in a folder to its end; its standard error."""
    process = begin(opd, where, *arguments, environment=environment)
    said = process.communicate()[1]
    if process.returncode != status:
        sys.exit(f"{' '.join(arguments)}: status {process.returncode}, not {status}:\n{said}")
    return said


def weights(where, checkpoint="latest"):
    with open(f"{where}/runs/tiny/checkpoints/{checkpoint}/model/model.safetensors", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def expect(condition, what):
    if not condition:
        sys.exit(f"not so: {what}")
