"""What goes quietly wrong in engines like this one: each has a test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ADAMW, GOLDEN, LORA, Client, EngineAnswerError, Golden, Start, load, snapshot, train
from safetensors.numpy import load_file, save_file


def test_packed_sequences_do_not_see_each_other(start: Start) -> None:
    golden = Golden("llama3-rope")
    client = start()
    load(client, "llama3-rope")
    alone = [client.ask("score", **golden.request([row])).arrays["logprobs"] for row in range(3)]
    together = client.ask("score", **golden.request([0, 1, 2])).arrays["logprobs"]
    assert np.abs(together - np.concatenate(alone)).max() < 2e-5
    # What the first says is of no account to the others.
    request = golden.request([0, 1, 2])
    request["tokens"] = request["tokens"].copy()
    first = int(golden.counts[0])
    request["tokens"][:first] = (request["tokens"][:first] + 7) % golden.arrays["logits"].shape[-1]
    changed = client.ask("score", **request).arrays["logprobs"]
    assert np.abs(changed[len(alone[0]) :] - together[len(alone[0]) :]).max() < 2e-5
    assert np.abs(changed[: len(alone[0])] - alone[0]).max() > 0.1


def test_a_score_sees_the_weights_of_the_last_step(start: Start) -> None:
    for processes in (1, 2):
        golden = Golden("qwen3", processes)
        client = start(processes)
        load(client, "qwen3")
        request = golden.request()
        before = client.ask("score", **request).arrays["logprobs"]
        train(client, golden, learning_rate=1e-2)
        after = client.ask("score", **request).arrays["logprobs"]
        assert np.abs(after - before).max() > 0.05
        assert np.abs(client.ask("forward", **request).arrays["logprobs"] - after).max() < 1e-6
        client.ask("backward", gradient=np.zeros(len(after), np.float32))
        client.ask("step", {**ADAMW, "apply": False})


def test_tied_weights_stay_one(start: Start, tmp_path: Path) -> None:
    golden = Golden("llama-tied", 2)
    client = start(2)
    manifest = load(client, "llama-tied")
    assert "lm_head.weight" not in [tensor["name"] for tensor in manifest["tensors"]]
    train(client, golden, learning_rate=1e-2)
    trained = client.ask("score", **golden.request()).arrays["logprobs"]
    client.ask("save", {"folder": str(tmp_path)})
    assert "lm_head.weight" not in load_file(tmp_path / "model/model.safetensors")
    load(client, tmp_path / "model")
    assert np.abs(client.ask("score", **golden.request()).arrays["logprobs"] - trained).max() < 1e-6


def test_gradients_are_sums_and_not_means_of_the_ranks(start: Start) -> None:
    norms = []
    for processes in (1, 2):
        golden = Golden("llama-tied", processes)
        client = start(processes)
        load(client, "llama-tied")
        norms.append(train(client, golden)[1].fields["norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(start: Start, tmp_path: Path, bad: float) -> None:
    golden = Golden("qwen2", 2)
    client = start(2)
    manifest = load(client, "qwen2")
    before = snapshot(client, manifest, tmp_path / "before")
    logprobs = client.ask("forward", **golden.request()).arrays["logprobs"]
    gradient = golden.gradient(logprobs)
    gradient[-1] = bad
    client.ask("backward", gradient=gradient)
    answer = client.ask("step", ADAMW)
    assert answer.fields == {"norm": None, "applied": False, "finite": True}
    after = snapshot(client, manifest, tmp_path / "after")
    assert all(np.array_equal(before[name], after[name]) for name in before)
    # And is forgotten.
    assert train(client, golden)[1].fields["norm"] == pytest.approx(float(golden.arrays["grad_norm"][0]), rel=1e-4)


def test_a_step_called_off_changes_nothing(start: Start, tmp_path: Path) -> None:
    golden = Golden("qwen2")
    client = start()
    manifest = load(client, "qwen2")
    before = snapshot(client, manifest, tmp_path / "before")
    _, step = train(client, golden, apply=False)
    assert step.fields["norm"] == pytest.approx(float(golden.arrays["grad_norm"][0]), rel=1e-4)
    assert not step.fields["applied"]
    after = snapshot(client, manifest, tmp_path / "after")
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_recomputation_changes_no_bit(start: Start, tmp_path: Path) -> None:
    golden = Golden("llama-tied")
    client = start()
    saved = []
    for recompute in (False, True):
        load(client, "llama-tied", recompute=recompute)
        train(client, golden)
        folder = tmp_path / str(recompute)
        folder.mkdir()
        client.ask("save", {"folder": str(folder)})
        saved.append((folder / "optimizer.safetensors").read_bytes())
    assert saved[0] == saved[1]


def _changed_model(folder: Path, case: str, **settings: object) -> Path:
    shutil.copytree(GOLDEN / case, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    return folder


def _refusal(client: Client, folder: Path | str, **fields: object) -> EngineAnswerError:
    with pytest.raises(EngineAnswerError) as caught:
        load(client, folder, **fields)
    assert "\n" not in str(caught.value)
    return caught.value


def test_models_that_do_not_fit_are_refused_by_name(start: Start, tmp_path: Path) -> None:
    client = start()
    error = _refusal(client, tmp_path / "absent")
    assert error.code == "file" or "model.safetensors" in str(error)
    error = _refusal(client, _changed_model(tmp_path / "unknown", "qwen2", model_type="no_such_family"))
    assert error.code == "model" and "transformers refuses" in str(error) and "no_such_family" in str(error)
    error = _refusal(client, _changed_model(tmp_path / "wide", "qwen2", hidden_size=112, intermediate_size=224))
    assert "model.embed_tokens.weight is [300, 56], not [300, 112]" in str(error)
    error = _refusal(client, _changed_model(tmp_path / "more", "llama-tied", num_hidden_layers=4))
    assert "lacks model.layers.3." in str(error)
    error = _refusal(client, _changed_model(tmp_path / "fewer", "llama-tied", num_hidden_layers=2))
    assert "model.layers.2." in str(error) and "no weight that transformers knows of" in str(error)
    parts = {"text_config": {"model_type": "llama"}, "vision_config": {"model_type": "clip_vision_model"}}
    error = _refusal(client, _changed_model(tmp_path / "parts", "llama-tied", model_type="llava", **parts))
    assert error.code == "model" and "a model of several parts" in str(error) and "opd convert" in str(error)
    folder = _changed_model(tmp_path / "spoilt", "qwen2")
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = np.full_like(weights["model.norm.weight"], np.nan)
    save_file(weights, folder / "model.safetensors")
    assert "not finite" in str(_refusal(client, folder))
    (folder / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    assert "cannot be read" in str(_refusal(client, folder))
    # It lives on.
    load(client, "qwen2")


def test_a_layout_of_other_parameters_is_refused(start: Start) -> None:
    client = start()
    manifest = load(client, "qwen2")
    adapters = load(client, "qwen2", adapters=LORA)
    assert "needs the manifest" in str(_refusal(client, "qwen2", manifest=None))
    manifest["tensors"][3]["name"] = "model.layers.0.self_attn.other.weight"
    assert "is not the same parameter" in str(_refusal(client, "qwen2", manifest=manifest))
    manifest["tensors"][3]["byteOffset"] = 3
    assert "manifest" in str(_refusal(client, "qwen2", manifest=manifest))
    for tensor in adapters["tensors"]:
        tensor["name"] = tensor["name"].replace("self_attn.q_proj", "self_attn.other")
    assert "self_attn.other is no matrix" in str(_refusal(client, "qwen2", adapters=LORA, manifest=adapters))


@pytest.mark.parametrize("use", ["train", "score", "sample"])
def test_longrope_beyond_its_short_factors_is_refused(start: Start, use: str) -> None:
    golden = Golden("phi3-longrope")
    client = start()
    load(client, "phi3-longrope", use=use)
    # 64 positions are turned by short factors, and with one more all of a row by long ones.
    for count in (64, 65):
        tokens = np.resize(golden.ids[0], count).astype(np.int32)
        counts = {"counts": np.array([count], np.int32), "tokens": tokens}
        request = {**golden.request([0]), **counts, "prompt_counts": np.array([8], np.int32)}
        if use == "sample":
            numbers, limits = np.array([count], np.int32), np.array([1], np.int32)
            request = {**counts, "numbers": numbers, "limits": limits, "stop": numbers[:0], "cancelled": numbers[:0]}
            request |= {"counts": np.array([count - 1], np.int32), "tokens": tokens[1:]}
        fields = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "wait": 5.0} if use == "sample" else {}
        verb = "forward" if use == "train" else use
        if count == 64:
            client.ask(verb, fields, **request)
            continue
        if use == "train":
            load(client, "phi3-longrope", use=use)
        with pytest.raises(EngineAnswerError, match="longer than the 64 up to which longrope"):
            client.ask(verb, fields, **request)
