#!/usr/bin/env python3
"""Measures the torch engine on this machine's GPU (or CPUs) and prints a row of docs/performance.md a model.

Speaks to engines as a learner does: scoring, training of all weights and of adapters, the time from a step to the
first token that is drawn with its weights, and whole steps, in which responses are drawn, graded by a teacher of the
same files and trained on; beside these, the same steps by TRL's DistillationTrainer, where it is installed (its wheel
carried: pip install trl). Utilisation counts what a pass must compute, and no recomputation.
usage: bench.py [MODEL ...]      MODEL: a Hugging Face folder, or qwen3-1.7b, qwen3-8b (of that shape, random)
       bench.py --smoke          a tiny model on CPUs: shows that all of it works, and no speed
"""

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# The tests' learner.
sys.path[:0] = [str(Path(__file__).parents[2] / "Sources/TorchEngine/Python" / part) for part in ("", "tests")]
import conftest  # noqa: E402

SHAPES = {
    "qwen3-1.7b": {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16},
    "qwen3-8b": {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32},
}
LORA = {**conftest.LORA, "rank": 32, "alpha": 32.0, "scale": 1.0}
STEP = {**conftest.ADAMW, "learning_rate": 1e-6}
DRAWING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "wait": 60.0}
TINY = conftest.GOLDEN / "qwen2"
SMOKE = {"models": [TINY], "device": "cpu", "dtype": "f32", "tokens": 64, "length": 32, "seconds": 0}


def random_model(name, folder):
    """Writes a random model of a shape."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    config = Qwen3Config(
        **SHAPES[name], vocab_size=151936, num_key_value_heads=8, head_dim=128, tie_word_embeddings=name == "qwen3-1.7b"
    )
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


def operations(model, length):
    """Returns the multiplications and additions of a forward pass a token, in sequences of `length`."""
    config, of = json.loads((model / "config.json").read_text()), conftest.shapes(model)
    embedding = next(shape for name, shape in of.items() if name.endswith("embed_tokens.weight"))
    matrices = sum(int(np.prod(shape)) for name, shape in of.items() if len(shape) == 2 and "embed_tokens" not in name)
    if "lm_head.weight" not in of:
        matrices += int(np.prod(embedding))
    heads = config["num_attention_heads"]
    width = heads * (config.get("head_dim") or config["hidden_size"] // heads)
    # A token sees half of its sequence, for its scores and for their sum of values.
    return 2 * matrices + 4 * config["num_hidden_layers"] * width * length / 2


class Bench:
    def __init__(self, model, given, folder):
        self.model, self.given, self.folder = model, given, folder
        self.forward = operations(model, given.length)
        self.rows = max(1, given.tokens // given.length)
        self.dice = np.random.default_rng(1)
        self.tokens = self.rows * given.length
        # Of a sequence in whole steps.
        self.prompt = given.length // 4
        self.batch = self.sequences(self.dice.integers(0, 256, self.tokens), 1)
        self.gradient = np.full(self.tokens - self.rows, 1 / self.tokens, np.float32)

    def sequences(self, tokens, prompt):
        """Returns the arrays of a pass over all rows, whose first tokens are a prompt."""
        return {
            "tokens": tokens.astype(np.int32),
            "counts": np.full(self.rows, self.given.length, np.int32),
            "prompt_counts": np.full(self.rows, prompt, np.int32),
            "temperatures": np.ones(self.rows, np.float32),
            "rank_counts": np.array([self.rows], np.int32),
        }

    def engine(self, **fields):
        """Starts an engine with the model; it is asked to end by who closes it."""
        threads = {"OMP_NUM_THREADS": str(os.cpu_count())}
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        client = conftest.Client(folder, 1, ["--device", self.given.device, "--threads", "0"], threads)
        with contextlib.ExitStack() as stack:
            stack.callback(client.close)
            hello = client.receive().fields
            manifest = conftest.load(client, self.model, dtype=self.given.dtype, **fields)
            stack.pop_all()
        return client, manifest, hello["device"]

    def timed(self, work):
        """Returns the seconds of one call, the mean of as many as fit into the time; the first does not count."""
        work()
        begun, count = time.monotonic(), 0
        while count == 0 or time.monotonic() - begun < self.given.seconds:
            work()
            count += 1
        return (time.monotonic() - begun) / count

    def rate(self, seconds, passes):
        """Returns tokens a second, and the utilisation where the peak is known."""
        rate = self.tokens / seconds
        use = f", {rate * passes * self.forward / self.given.peak / 1e10:.0f}%" if self.given.peak else ""
        return f"{rate:,.0f}/s{use}"

    def score(self):
        client, _, device = self.engine(use="score")
        with contextlib.closing(client):
            return device, self.rate(self.timed(lambda: client.ask("score", {}, **self.batch)), 1)

    def step(self, client):
        client.ask("forward", {}, **self.batch)
        client.ask("backward", {}, gradient=self.gradient)
        client.ask("step", STEP)

    def train(self, **fields):
        """Trains, and returns the rate; with adapters nothing is computed for the gradients of other weights."""
        client, _, _ = self.engine(recompute=self.given.recompute, **fields)
        with contextlib.closing(client):
            return self.rate(self.timed(lambda: self.step(client)), 2 if "adapters" in fields else 3)

    def trl(self, device):
        """Returns the seconds of TRL's steps, in a process of their own."""
        if importlib.util.find_spec("trl") is None:
            return "TRL is not installed"
        given = self.given
        words = [sys.executable, Path(__file__).with_name("bench_trl.py"), self.model, "--dtype", given.dtype]
        words += ["--device", "cpu" if device == "cpu" else "cuda", "--seconds", str(given.seconds)]
        words += ["--rows", str(self.rows), "--prompt", str(self.prompt), "--response", str(given.length - self.prompt)]
        words += ["--recompute"] if given.recompute else []
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
        return "failed" if done.returncode else done.stdout.splitlines()[-1]


class Loop:
    """What a whole step needs: a trainer and a sampler, and a scorer for who asks for it, all on one device."""

    def __init__(self, bench, stack):
        self.bench, self.stack = bench, stack
        self.trainer, self.manifest = self.start(recompute=bench.given.recompute)
        self.sampler, _ = self.start(use="sample", cache=0.2, slots=bench.rows, manifest=self.manifest)
        self.path = Path(bench.given.shared) / f"bench-of-torch-{os.getpid()}"
        stack.callback(self.path.unlink, missing_ok=True)
        with open(self.path, "wb") as file:
            file.truncate(self.manifest["byteCount"])
        self.version = self.number = 0

    def start(self, **fields):
        client, manifest, _ = self.bench.engine(**fields)
        self.stack.callback(client.close)
        return client, manifest

    def publish(self):
        """Brings the sampler the weights of the last step."""
        self.version += 1
        self.trainer.ask("snapshot", {"path": str(self.path)})
        self.sampler.ask("weights", {"path": str(self.path), "version": self.version})

    def draw(self, prompts, limit):
        """Returns so many tokens for each of the prompts, drawn with the newest weights."""
        numbers = range(self.number, self.number + len(prompts))
        self.number += len(prompts)
        given = {
            "tokens": prompts.reshape(-1),
            "counts": [prompts.shape[1]] * len(prompts),
            "numbers": numbers,
            "limits": [limit] * len(prompts),
        }
        none, found = np.zeros(0, np.int32), {}
        while len(found) < len(prompts):
            arrays = {name: np.array(values, np.int32) for name, values in given.items()}
            answer = self.sampler.ask("sample", DRAWING, stop=none, cancelled=none, **arrays).arrays
            assert set(answer["versions"].tolist()) <= {self.version}
            responses = np.split(answer["tokens"], np.cumsum(answer["counts"]))[:-1]
            found |= zip(answer["numbers"].tolist(), responses, strict=True)
            given = dict.fromkeys(given, none)
        return np.stack([found[number] for number in numbers])

    def handover(self):
        """Returns the seconds from the end of a step to the first token with its weights."""
        times = []
        for _ in range(3):
            self.bench.step(self.trainer)
            begun = time.monotonic()
            self.publish()
            self.draw(np.arange(16)[None], 1)
            times.append(time.monotonic() - begun)
        return f"{min(times):.2f} s"

    def whole(self):
        """Returns the seconds of a whole step, in which the student is led by the grades of the tokens it has drawn."""
        scorer, _ = self.start(use="score")
        bench = self.bench

        def step():
            prompts = bench.dice.integers(1, 256, (bench.rows, bench.prompt))
            responses = self.draw(prompts, bench.given.length - bench.prompt)
            batch = bench.sequences(np.concatenate([prompts, responses], axis=1).reshape(-1), bench.prompt)
            grades = scorer.ask("score", {}, **batch).arrays["logprobs"]
            logprobs = self.trainer.ask("forward", {}, **batch).arrays["logprobs"]
            self.trainer.ask("backward", {}, gradient=((logprobs - grades) / len(grades)).astype(np.float32))
            self.trainer.ask("step", STEP)
            self.publish()

        return f"{bench.timed(step):.2f} s"


def cell(work, *arguments, **fields):
    """Returns what a measurement says, or why there is none: the others of its row are worth having without it."""
    try:
        return work(*arguments, **fields)
    except conftest.EngineAnswerError as error:
        print(error, file=sys.stderr)
        return "no room" if error.code == "memory" else "refused"


def loop_cells(bench):
    """Returns the seconds to the first token, and those of a whole step."""
    with contextlib.ExitStack() as stack:
        loop = cell(Loop, bench, stack)
        return [cell(loop.handover), cell(loop.whole)] if isinstance(loop, Loop) else [loop, loop]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["models/smollm2", *SHAPES])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--dtype", default="bf16", choices=["bf16", "f32"])
    parser.add_argument("--tokens", type=int, default=16384, help="of a batch, which is one micro-batch")
    parser.add_argument("--length", type=int, default=1024, help="tokens of a sequence")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--recompute", action="store_true", help="compute activations again in the backward pass")
    parser.add_argument("--peak", type=float, help="what the device can do in this type, in TFLOP/s (H100, H200: 989)")
    parser.add_argument("--shared", default="/dev/shm", help="where weights are handed over")
    parser.add_argument("--smoke", action="store_true", help="a tiny model on CPUs, everything once")
    given = parser.parse_args()
    if given.smoke:
        vars(given).update(SMOKE)
    conftest.PATIENCE_MS = 3_600_000
    print(
        "| model | device | scoring | training | adapters of rank 32 | from a step to its first token | a whole step | "
        "TRL's whole step |\n|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    for name in given.models:
        with tempfile.TemporaryDirectory() as folder:
            model = random_model(name, Path(folder) / name) if name in SHAPES else Path(name).resolve()
            bench = Bench(model, given, folder)
            device, scoring = bench.score()
            cells = [Path(name).name, device, scoring, cell(bench.train), cell(bench.train, adapters=LORA)]
            cells += [*loop_cells(bench), bench.trl(device)]
            print(f"| {' | '.join(cells)} |", flush=True)
        # Nothing may be missing here, but for TRL.
        if given.smoke and {"no room", "refused", "failed"} & set(cells):
            sys.exit("error: not all of it works")


if __name__ == "__main__":
    main()
