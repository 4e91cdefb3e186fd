"""Checkpoints, adapters and samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ADAMW, GOLDEN, HEAD, LORA, EngineAnswerError, Golden, Start, load, snapshot, train
from opd_torch.errors import RefusalError
from opd_torch.layout import Layout
from safetensors import safe_open
from safetensors.numpy import load_file


@pytest.mark.parametrize("adapters", [None, LORA])
def test_a_checkpoint_goes_on_with_any_number_of_processes(
    start: Start, tmp_path: Path, adapters: dict[str, object] | None
) -> None:
    client = start()
    golden = Golden("qwen3")
    manifest = load(client, "qwen3", adapters=adapters)
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
    manifest = load(client, "llama-tied", adapters=LORA)
    weights = snapshot(client, manifest, tmp_path / "weights")
    head = (tmp_path / "weights").read_bytes()[:64]
    # It comes back as it was given.
    assert head == HEAD
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


def test_a_layout_is_checked() -> None:
    tensor = {"name": "a", "shape": [2, 3], "type": "bf16", "byteOffset": 64}
    layout = Layout.reading({"tensors": [tensor, {**tensor, "name": "b", "byteOffset": 0}], "byteCount": 128})
    assert [(name, place.offset, place.byte_count) for name, place in layout.places.items()] == [
        ("b", 0, 12),
        ("a", 64, 12),
    ]
    for change in ({"byteOffset": 120}, {"type": "f64"}, {"byteOffset": 4}, {"shape": 3}):
        with pytest.raises(RefusalError, match="manifest"):
            Layout.reading(
                {"tensors": [{**tensor, **change}, {**tensor, "name": "b", "byteOffset": 0}], "byteCount": 128}
            )


def test_a_teacher_keeps_no_masters(start: Start) -> None:
    golden = Golden("qwen3", 2)
    client = start(2)
    load(client, "qwen3", use="score", dtype="bf16")
    logprobs = client.ask("score", **golden.request()).arrays["logprobs"]
    assert np.abs(logprobs - golden.of_responses("logprobs")).max() < 0.25
    refused: list[tuple[str, dict[str, Any]]] = [("forward", {}), ("step", ADAMW), ("save", {"folder": str(GOLDEN)})]
    for verb, fields in refused:
        with pytest.raises(EngineAnswerError, match="is not trained"):
            client.ask(verb, fields, **(golden.request() if verb == "forward" else {}))
