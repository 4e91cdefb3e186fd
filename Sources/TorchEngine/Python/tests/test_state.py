"""Checkpoints, adapters and samples."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ADAMW, GOLDEN, EngineAnswerError, Golden, Start, load, snapshot, train
from opd_torch.adapters import AdapterSettings, first_values
from opd_torch.layout import Layout
from safetensors import safe_open
from safetensors.numpy import load_file

LORA = {"rank": 4, "alpha": 16.0, "targets": [], "seed": 7, "fingerprint": "c0ffee0123456789"}


@pytest.mark.parametrize("adapters", [None, LORA])
def test_a_checkpoint_goes_on_with_any_number_of_processes(
    start: Start, tmp_path: Path, adapters: dict[str, object] | None
) -> None:
    client = start()
    golden = Golden("qwen3")
    manifest = load(client, "qwen3", adapters=adapters).fields["manifest"]
    for _ in range(2):
        train(client, golden)
    files = client.ask("save", {"folder": str(tmp_path)}).fields["files"]
    assert files == ["model", "optimizer.safetensors"] + (["adapter"] if adapters else [])
    train(client, golden)
    wanted = snapshot(client, manifest, tmp_path / "one")
    for processes in (1, 2):
        client = start(processes)
        load(client, "qwen3", adapters=adapters)
        assert client.ask("restore", {"folder": str(tmp_path)}).fields["step"] == 2
        train(client, Golden("qwen3", processes))
        found = snapshot(client, manifest, tmp_path / "other")
        for name, values in found.items():
            assert np.abs(values - wanted[name]).max() < (1e-7 if processes == 1 else 2e-4), name


def test_a_checkpoint_is_a_model_for_transformers(start: Start, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    golden = Golden("qwen2", 2)
    client = start(2)
    load(client, "qwen2", adapters=LORA)
    train(client, golden, learning_rate=1e-2)
    logprobs = client.ask("score", **golden.request()).arrays["logprobs"]
    client.ask("save", {"folder": str(tmp_path)})
    import torch

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    found = []
    for row in range(3):
        ids = torch.from_numpy(golden.ids[row, : golden.counts[row]].astype(np.int64))
        with torch.no_grad():
            all_of_them = torch.log_softmax(model(ids[None]).logits[0], -1)
        found.append(all_of_them[:-1].gather(1, ids[1:, None])[golden.prompts[row] - 1 :, 0].numpy())
    assert np.abs(np.concatenate(found) - logprobs).max() < 2e-5
    assert json.loads((tmp_path / "adapter/adapter_config.json").read_text())["r"] == 4


def test_damaged_checkpoints_are_refused(start: Start, tmp_path: Path) -> None:
    client = start()
    load(client, "qwen2", adapters=LORA)
    client.ask("save", {"folder": str(tmp_path)})
    load(client, "qwen2", adapters={**LORA, "fingerprint": "1"})
    with pytest.raises(EngineAnswerError, match="is not the model that the adapters"):
        client.ask("restore", {"folder": str(tmp_path)})
    load(client, "qwen2")
    with pytest.raises(EngineAnswerError, match=r"has no tensor exp_avg\.model\.embed_tokens\.weight"):
        client.ask("restore", {"folder": str(tmp_path)})
    (tmp_path / "optimizer.safetensors").write_bytes(b"damaged")
    with pytest.raises(EngineAnswerError, match=r"optimizer\.safetensors cannot be read"):
        client.ask("restore", {"folder": str(tmp_path)})
    with pytest.raises(EngineAnswerError, match="cannot be written"):
        client.ask("save", {"folder": "/proc/nowhere"})


@pytest.mark.parametrize("processes", [1, 2])
def test_gradients_of_adapters_follow_from_those_of_their_matrix(start: Start, tmp_path: Path, processes: int) -> None:
    golden = Golden("llama-tied", processes)
    client = start(processes)
    manifest = load(client, "llama-tied", adapters=LORA).fields["manifest"]
    weights = snapshot(client, manifest, tmp_path / "weights")
    head = (tmp_path / "weights").read_bytes()[:64]
    assert head[:8] == b"OPDLORA1" and head[24:32] == bytes.fromhex("c0ffee0123456789")[::-1]
    assert np.frombuffer(head, "<u4", 4, 8).tolist() == [4, np.float32(4).view(np.uint32), 127, 0]
    train(client, golden, clip_grad_norm=0.0)
    client.ask("save", {"folder": str(tmp_path)})
    moments = load_file(tmp_path / "optimizer.safetensors")
    for name, a in weights.items():
        if ".lora_A." not in name:
            assert not a.any()
            continue
        assert 0.5 < np.abs(a).max() * np.sqrt(a.shape[1]) <= 1
        stem = name.removesuffix(".lora_A.weight")
        # B begins at zero, so that W' = W: dB = s dW A^T and dA = s B^T dW = 0.
        wanted = 4.0 * golden.arrays[f"grad.{stem}.weight"] @ a.T
        found = moments[f"exp_avg.{stem}.lora_B.weight"] * 10
        assert np.abs(found - wanted).max() < 2e-5 * max(1, np.abs(wanted).max()), name
        assert np.abs(moments[f"exp_avg.{name}"]).max() < 1e-7
    with safe_open(tmp_path / "adapter/adapter_model.safetensors", "np") as file:
        assert file.metadata()["base_fingerprint"] == "c0ffee0123456789"
        assert set(file.keys()) == {f"base_model.model.{name}" for name in weights}


def test_adapters_begin_as_documented() -> None:
    # The first numbers of the native engine's generator for seed 1.
    values = first_values(0, (2, 8), 1)
    assert values.dtype == np.float32 and np.abs(values).max() <= 1 / np.sqrt(8)
    assert np.array_equal(values, first_values(0, (2, 8), 1))
    assert not np.array_equal(values, first_values(1, (2, 8), 1))
    state = (1 * 0x9E3779B97F4A7C15 ^ 0xD1B54A32D192ED03) & (1 << 64) - 1
    for index in range(5):
        z = (state + (index + 3) * 0x9E3779B97F4A7C15) & (1 << 64) - 1
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        z = (z ^ z >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
        uniform = np.float32(((z ^ z >> 31) >> 40) - (1 << 23)) / np.float32(1 << 23)
        assert values.flat[index] == uniform * (np.float32(1) / np.sqrt(np.float32(8)))


def test_the_layout_is_the_native_one() -> None:
    layer = "model.layers.0."
    shapes = {
        "model.embed_tokens.weight": (5, 3),
        layer + "self_attn.q_proj.weight": (3, 3),
        layer + "self_attn.k_proj.weight": (1, 3),
        layer + "self_attn.v_proj.weight": (1, 3),
        layer + "input_layernorm.weight": (3,),
        "model.norm.weight": (3,),
    }
    layout = Layout.of(shapes, "bf16")
    assert [(place.name.removeprefix(layer), place.offset, place.type) for place in layout.places] == [
        ("model.embed_tokens.weight", 0, "bf16"),
        ("input_layernorm.weight", 64, "f32"),
        ("self_attn.q_proj.weight", 128, "bf16"),
        ("self_attn.k_proj.weight", 146, "bf16"),
        ("self_attn.v_proj.weight", 152, "bf16"),
        ("model.norm.weight", 192, "f32"),
    ]
    assert layout.byte_count == 256
    assert Layout.reading(layout.manifest) == layout
    # Of a family with other parameters the order is transformers' own.
    other = Layout.of({"model.norm.weight": (3,), "model.router.weight": (2, 2)}, "f32")
    assert [place.name for place in other.places] == ["model.norm.weight", "model.router.weight"]
    assert AdapterSettings.reading(LORA) is not None


def test_samples_are_greedy_or_follow_their_seeds(start: Start) -> None:
    golden = Golden("llama3-rope")
    client = start()
    load(client, "llama3-rope", train=False)
    prompt = golden.ids[0, :8]
    wanted = golden.arrays["greedy"][8:]

    def ask(prompts: list[np.ndarray], seeds: list[int], samples: list[int], temperature: float) -> list[np.ndarray]:
        settings = {"max_tokens": len(wanted), "temperature": temperature, "top_p": 1.0, "top_k": 0}
        answer = client.ask(
            "sample",
            settings,
            tokens=np.concatenate(prompts),
            counts=np.array([len(each) for each in prompts], np.int32),
            seeds=np.array([[seed, 0] for seed in seeds], np.int32).ravel(),
            samples=np.array(samples, np.int32),
            stop=np.array([2], np.int32),
        ).arrays
        ends = np.cumsum(answer["counts"])[:-1]
        drawn = np.split(answer["tokens"], ends)
        for ids, own, logprobs in zip(prompts, drawn, np.split(answer["logprobs"], ends), strict=True):
            scored = client.ask(
                "score",
                tokens=np.concatenate([ids, own]),
                counts=np.array([len(ids) + len(own)], np.int32),
                prompt_counts=np.array([len(ids)], np.int32),
                temperatures=np.array([temperature], np.float32),
                rank_counts=np.array([1], np.int32),
            ).arrays["logprobs"]
            assert np.abs(scored - logprobs).max() < 5e-5
        return drawn

    greedy = ask([prompt, golden.ids[1, :5]], [1, 1], [0, 0], 0.0)
    end = [*wanted.tolist(), 2].index(2) + 1
    assert greedy[0].tolist() == wanted[:end].tolist()
    one, two, other = ask([prompt] * 3, [5, 5, 5], [0, 0, 1], 1.0)
    assert one.tolist() == two.tolist() != other.tolist()
    # What is sampled beside it changes nothing.
    assert ask([golden.ids[2, :7], prompt], [9, 5], [3, 0], 1.0)[1].tolist() == one.tolist()


def test_a_teacher_keeps_no_masters(start: Start) -> None:
    golden = Golden("qwen3", 2)
    client = start(2)
    load(client, "qwen3", train=False, dtype="bf16")
    logprobs = client.ask("score", **golden.request()).arrays["logprobs"]
    assert np.abs(logprobs - golden.of_responses("logprobs")).max() < 0.25
    for verb, fields in [("forward", {}), ("step", ADAMW), ("save", {"folder": str(GOLDEN)})]:
        with pytest.raises(EngineAnswerError, match="is not trained"):
            client.ask(verb, fields, **(golden.request() if verb == "forward" else {}))
