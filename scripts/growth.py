"""How speed and memory grow: with batch, context, model size, threads, workers and steps, each beside its limit.

usage: growth.py PATH_OF_OPD MODELS_FOLDER [speed] [steps] [plot]     needs matplotlib to plot

speed: everything but steps, by `opd bench`, in about ten minutes of a machine that does nothing else.
steps: resident memory of the processes of a run of 1000 short steps, in about ten minutes.
Results are kept in docs/plots/growth-*.jsonl, plots in docs/plots/growth-*.svg. Without a choice all is done.
"""

import argparse
import array
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "plots"

# Shapes of the SmolLM2 and Qwen2.5 families, and smaller ones drawn alike:
# name, vocabulary, hidden, layers, heads, KV heads, head size, intermediate
SHAPES = [
    ("5M", 24576, 128, 8, 2, 1, 64, 384),
    ("15M", 32768, 256, 8, 4, 2, 64, 768),
    ("40M", 49152, 384, 12, 6, 2, 64, 1024),
    ("135M", 49152, 576, 30, 9, 3, 64, 1536),
    ("360M", 49152, 960, 32, 15, 5, 64, 2560),
    ("494M", 151936, 896, 24, 14, 2, 64, 4864),
]


def write_random_model(folder, vocabulary, hidden, layers, heads, kv_heads, head_size, intermediate):
    """A Llama folder with tied embeddings and bf16 weights between 0.008 and 0.016 in size."""
    folder.mkdir()
    tensors = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    for layer in range(layers):
        name = f"model.layers.{layer}."
        tensors |= {
            name + "input_layernorm.weight": (hidden,),
            name + "post_attention_layernorm.weight": (hidden,),
            name + "self_attn.q_proj.weight": (heads * head_size, hidden),
            name + "self_attn.k_proj.weight": (kv_heads * head_size, hidden),
            name + "self_attn.v_proj.weight": (kv_heads * head_size, hidden),
            name + "self_attn.o_proj.weight": (hidden, heads * head_size),
            name + "mlp.gate_proj.weight": (intermediate, hidden),
            name + "mlp.up_proj.weight": (intermediate, hidden),
            name + "mlp.down_proj.weight": (hidden, intermediate),
        }
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_size,
        "intermediate_size": intermediate,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    generator = random.Random(0)
    # A prime number of values, so that rows do not repeat.
    values = (0x3C00 | generator.getrandbits(7) | generator.getrandbits(1) << 15 for _ in range(1048573))
    block = array.array("H", values)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in tensors.values():
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            if len(shape) == 1:
                file.write((array.array("H", [0x3F80]) * count).tobytes())
                continue
            file.writelines(block[: min(len(block), count - start)].tobytes() for start in range(0, count, len(block)))


def measure(opd, results, series, x, *arguments):
    print(f"growth: {series} {x}: opd bench {' '.join(map(str, arguments))}", file=sys.stderr)
    run = subprocess.run([opd, "bench", *map(str, arguments), "--json"], capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"growth: opd bench {arguments[0]} failed: {run.stderr.strip()}")
    result = {"series": series, "x": x} | json.loads(run.stdout)
    results.append(result)
    # After each, so that what was measured is there if the rest is not.
    keep("speed", results)


def measure_speed(opd, models):
    results = []
    smol = f"{models}/smollm2"
    for batch in (1, 2, 4, 8, 16, 32, 64, 128):
        measure(opd, results, "batch", batch, "generate", smol, "--batch", batch)
    with tempfile.TemporaryDirectory() as folder:
        for name, *shape in SHAPES:
            path = Path(folder) / name
            write_random_model(path, *shape)
            parameters = os.path.getsize(path / "model.safetensors") / 2
            for work in ("generate", "score", "train"):
                measure(opd, results, "size", parameters, work, path, "--repetitions", 2)
            (path / "model.safetensors").unlink()
    for threads in (1, 2):
        for work in ("generate", "score", "train"):
            measure(opd, results, "threads", threads, work, smol, "--threads", threads)
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.jsonl"
        topics = "rain bread trains moons chess bicycles salt volcanoes tea maps glass bees paper clocks rivers music"
        prompts.write_text(
            "".join(json.dumps({"prompt": f"Write two sentences about {topic}."}) + "\n" for topic in topics.split())
        )
        configuration = Path(folder) / "run.yaml"
        models = Path(models).resolve()
        configuration.write_text(
            f"name: growth\nstudent: {{ model: {models}/smollm2-26 }}\n"
            f"teachers: {{ default: {{ model: {models}/smollm2 }} }}\n"
            f"data: {{ prompts: {prompts}, prompts_per_step: 16, samples_per_prompt: 1 }}\n"
            "sampling: { max_tokens: 64 }\ntraining: { steps: 6, learning_rate: 1.0e-5 }\n"
            "pipeline: { max_staleness: 2 }\n"
        )
        for workers in (1, 2, 3, 4):
            measure(
                opd,
                results,
                "workers",
                workers,
                "pipeline",
                configuration,
                "--steps",
                6,
                "--set",
                f"pipeline.workers={workers}",
            )
    for context in (128, 256, 512, 1024, 2048, 4096):
        # Sampling the last 32 tokens of the context; scoring and training 4096 tokens in all.
        measure(
            opd,
            results,
            "context",
            context,
            "generate",
            smol,
            "--batch",
            4,
            "--prompt",
            context - 32,
            "--tokens",
            32,
            "--repetitions",
            1,
        )
        for work in ("score", "train"):
            measure(
                opd,
                results,
                "context",
                context,
                work,
                smol,
                "--batch",
                4096 // context,
                "--tokens",
                context - 1,
                "--repetitions",
                1,
            )


def keep(name, results):
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"growth-{name}.jsonl").write_text("".join(json.dumps(result) + "\n" for result in results))


def kept(name):
    path = FOLDER / f"growth-{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def resident(pid):
    """Command and resident bytes of a process and of all that descend from it."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        # A child is listed with the thread that started it.
        children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
    except OSError:
        return []
    size = re.search(r"VmRSS:\s+(\d+)", text)
    own = [(command[1] if len(command) > 1 else "", int(size[1]) * 1024)] if size else []
    return own + [each for child in children for each in resident(child)]


def measure_steps(opd, models, steps=1000):
    results = []
    models = Path(models).resolve()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "prompts.jsonl").write_text('{"prompt": "Name a colour."}\n{"prompt": "Name a tree."}\n')
        (Path(folder) / "run.yaml").write_text(
            f"name: steps\nstudent: {{ model: {models}/smollm2-26 }}\n"
            f"teachers: {{ default: {{ model: {models}/smollm2 }} }}\n"
            "data: { prompts: prompts.jsonl, prompts_per_step: 2, samples_per_prompt: 1 }\n"
            f"sampling: {{ max_tokens: 16 }}\ntraining: {{ steps: {steps}, learning_rate: 1.0e-6 }}\n"
        )
        with open(Path(folder) / "log", "w") as log:
            run = subprocess.Popen([os.path.abspath(opd), "run", "run.yaml"], cwd=folder, stdout=log, stderr=log)
        metrics = Path(folder) / "runs" / "steps" / "metrics.jsonl"
        while run.poll() is None:
            time.sleep(2)
            done = len(metrics.read_text().splitlines()) if metrics.exists() else 0
            for role, size in resident(run.pid):
                if done and role in ("learner", "rollout", "scorer"):
                    results.append({"series": "steps", "x": done, "role": role, "rss_bytes": size})
        if run.returncode:
            sys.exit(f"growth: the run failed: {(Path(folder) / 'log').read_text()[-2000:]}")
    keep("steps", results)


def plot_speed(plt, results):
    colours = {"generate": "C0", "score": "C1", "train": "C2"}
    names = {"generate": "sampling", "score": "scoring", "train": "training"}
    titles = {
        "batch": "sequences at once (prompt 32, 64 new tokens)",
        "context": "tokens of context (sampling: batch 4; scoring, training: 4096 tokens)",
        "size": "parameters (sampling: batch 16; scoring 16 x 128; training 8 x 128)",
        "threads": "threads",
    }
    for series, title in titles.items():
        if not any(r["series"] == series for r in results):
            continue
        figure, (speed, memory) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
        for work, colour in colours.items():
            points = [r for r in results if r["series"] == series and r["what"] == work]
            if not points:
                continue
            x = [r["x"] for r in points]
            speed.plot(x, [r["tokens_per_second"] for r in points], "o-", color=colour, label=names[work], ms=4)
            speed.plot(
                x,
                [r["limit_tokens_per_second"] for r in points],
                "--",
                color=colour,
                alpha=0.6,
                label=f"{names[work]}, limit",
            )
            memory.plot(x, [r["peak_rss_bytes"] / 1e9 for r in points], "o-", color=colour, label=names[work], ms=4)
        for axes, label in ((speed, "tokens/s"), (memory, "peak resident memory, GB")):
            axes.set_xlabel(title.split(" (")[0])
            axes.set_ylabel(label)
            if series != "threads":
                axes.set_xscale("log", base=10 if series == "size" else 2)
                axes.set_yscale("log")
            else:
                axes.set_ylim(bottom=0)
                axes.set_xticks([1, 2])
            axes.grid(alpha=0.3, which="both")
        speed.legend(fontsize=7)
        figure.suptitle(re.sub(r"^[^(]*", "", title).strip("()") or "", fontsize=8)
        figure.savefig(FOLDER / f"growth-{series}.svg", metadata={"Date": None})
    points = [r for r in results if r["series"] == "workers"]
    if not points:
        return
    figure, axes = plt.subplots(figsize=(4.5, 3.2), layout="constrained")
    axes.plot([r["x"] for r in points], [r["samples_per_second"] for r in points], "o-")
    axes.set_xlabel("rollout workers, one scorer and a learner beside them on two cores")
    axes.set_ylabel("samples/s of the whole pipeline")
    axes.set_ylim(bottom=0)
    axes.set_xticks([r["x"] for r in points])
    axes.grid(alpha=0.3)
    figure.savefig(FOLDER / "growth-workers.svg", metadata={"Date": None})


def plot_steps(plt, results):
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for role in ("learner", "rollout", "scorer"):
        points = [r for r in results if r["role"] == role]
        axes.plot([r["x"] for r in points], [r["rss_bytes"] / 1e9 for r in points], label=role)
    axes.set_xlabel("steps")
    axes.set_ylabel("resident memory, GB")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(FOLDER / "growth-steps.svg", metadata={"Date": None})


def plot():
    import matplotlib

    matplotlib.use("Agg")
    # Text stays text, and the same figures give the same file.
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "growth", "font.size": 9}
    import matplotlib.pyplot as plt

    if speed := kept("speed"):
        plot_speed(plt, speed)
    if steps := kept("steps"):
        plot_steps(plt, steps)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("opd")
parser.add_argument("models")
parser.add_argument("what", nargs="*", choices=["speed", "steps", "plot", []], help="default: all")
arguments = parser.parse_args()
what = arguments.what or ["speed", "steps", "plot"]
if "speed" in what:
    measure_speed(arguments.opd, arguments.models)
if "steps" in what:
    measure_steps(arguments.opd, arguments.models)
if "plot" in what:
    plot()
