#!/usr/bin/env python3
"""Measures the torch engine on this machine's GPU (or CPUs) and prints a row of docs/performance.md a model.

Speaks to engines as a learner does: scoring, training of all weights and of adapters, and the time from a step to the
first token that is drawn with its weights. Utilisation counts what a pass must compute, and no recomputation.
usage: bench.py [MODEL ...]      MODEL: a Hugging Face folder, or qwen3-1.7b, qwen3-8b (of that shape, random)
"""

import argparse
import json
import os
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
        rows = max(1, given.tokens // given.length)
        dice = np.random.default_rng(1)
        self.tokens = rows * given.length
        self.batch = {
            "tokens": dice.integers(0, 256, self.tokens, np.int32),
            "counts": np.full(rows, given.length, np.int32),
            "prompt_counts": np.ones(rows, np.int32),
            "temperatures": np.ones(rows, np.float32),
            "rank_counts": np.array([rows], np.int32),
        }
        self.gradient = np.full(self.tokens - rows, 1 / self.tokens, np.float32)

    def engine(self, **fields):
        """Starts an engine with the model; it is asked to end by who closes it."""
        threads = {"OMP_NUM_THREADS": str(os.cpu_count())}
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        client = conftest.Client(folder, 1, ["--device", self.given.device, "--threads", "0"], threads)
        hello = client.receive().fields
        manifest = conftest.load(client, self.model, dtype=self.given.dtype, **fields)
        return client, manifest, hello["device"]

    def timed(self, work):
        """Returns the seconds of one call, the mean of as many as fit into the time; the first does not count."""
        work()
        begun, count = time.monotonic(), 0
        while time.monotonic() - begun < self.given.seconds:
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
        seconds = self.timed(lambda: client.ask("score", {}, **self.batch))
        client.close()
        return device, self.rate(seconds, 1)

    def step(self, client):
        client.ask("forward", {}, **self.batch)
        client.ask("backward", {}, gradient=self.gradient)
        client.ask("step", STEP)

    def train(self, **fields):
        """Trains, and returns the rate; with adapters nothing is computed for the gradients of other weights."""
        client, _, _ = self.engine(recompute=self.given.recompute, **fields)
        seconds = self.timed(lambda: self.step(client))
        client.close()
        return self.rate(seconds, 2 if "adapters" in fields else 3)

    def handover(self):
        """Returns the seconds from the end of a step to the first token with its weights, both on one device."""
        trainer, manifest, _ = self.engine(recompute=self.given.recompute)
        sampler, _, _ = self.engine(use="sample", cache=0.2, manifest=manifest)
        path = Path(self.given.shared) / f"bench-of-torch-{os.getpid()}"
        prompt, none = np.arange(16, dtype=np.int32), np.zeros(0, np.int32)
        times = []
        try:
            with open(path, "wb") as file:
                file.truncate(manifest["byteCount"])
            for version in range(1, 4):
                self.step(trainer)
                begun = time.monotonic()
                trainer.ask("snapshot", {"path": str(path)})
                sampler.ask("weights", {"path": str(path), "version": version})
                given = {"numbers": [version], "limits": [1], "counts": [16]}
                arrays = {name: np.array(value, np.int32) for name, value in given.items()}
                how = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "wait": 60.0}
                answer = sampler.ask("sample", how, tokens=prompt, stop=none, cancelled=none, **arrays)
                assert answer.arrays["versions"].tolist() == [version]
                times.append(time.monotonic() - begun)
        finally:
            path.unlink(missing_ok=True)
            trainer.close()
            sampler.close()
        return f"{min(times):.2f} s"


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
    given = parser.parse_args()
    conftest.PATIENCE_MS = 3_600_000
    print("| model | device | scoring | training | adapters of rank 32 | from a step to its first token |", flush=True)
    print("|---|---|---|---|---|---|", flush=True)
    for name in given.models:
        with tempfile.TemporaryDirectory() as folder:
            model = random_model(name, Path(folder) / name) if name in SHAPES else Path(name).resolve()
            bench = Bench(model, given, folder)
            device, scoring = bench.score()
            cells = [name, device, scoring, bench.train(), bench.train(adapters=LORA), bench.handover()]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
