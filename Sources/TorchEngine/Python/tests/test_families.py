"""Families that only transformers has: the same numbers as there, or a refusal by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ADAMW, EngineAnswerError, Start, load, snapshot
from safetensors.numpy import load_file
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    GPT2Config,
    GPTNeoXConfig,
    OlmoConfig,
    PhiConfig,
    PreTrainedModel,
    StableLmConfig,
    Starcoder2Config,
)

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
RUNS = {
    "gpt_neox": GPTNeoXConfig(**SIZES),
    "stablelm": StableLmConfig(**SIZES, num_key_value_heads=4, partial_rotary_factor=0.25),
    "olmo": OlmoConfig(**SIZES, num_key_value_heads=4, clip_qkv=None),
    "starcoder2": Starcoder2Config(**SIZES, num_key_value_heads=2, tie_word_embeddings=True),
}
RUNS["gpt2"] = GPT2Config(vocab_size=64, n_positions=64, n_embd=32, n_layer=2, n_head=4)
# The names in the files are others than the class has.
STORED = {"gpt_neox": ("lm_head.weight", "embed_out.weight")}
REFUSED = {
    "cohere": (CohereConfig(**SIZES, num_key_value_heads=4, logit_scale=0.5), "logit_scale"),
    "phi": (PhiConfig(**SIZES), "a head with a bias"),
}


def make(folder: Path, config: Any) -> PreTrainedModel:
    """Writes a model with random weights."""
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.0 if parameter.ndim > 1 else 0.5, std=0.2)
    model.save_pretrained(folder)
    return model


COUNTS, PROMPTS = [9, 5, 12], [3, 2, 6]


def tokens() -> np.ndarray:
    """Returns the tokens of three sequences, one behind the other."""
    return np.random.default_rng(3).integers(3, 64, sum(COUNTS)).astype(np.int32)


@pytest.mark.parametrize("family", RUNS)
def test_numbers_are_those_of_transformers(start: Start, tmp_path: Path, family: str) -> None:
    model = make(tmp_path / family, RUNS[family])
    client = start()
    manifest = load(client, tmp_path / family)
    before = snapshot(client, manifest, tmp_path / "before")
    own, stored = STORED.get(family, ("", ""))
    parameters = {stored if name == own else name: parameter for name, parameter in model.named_parameters()}
    assert set(before) == set(parameters)
    for name, values in before.items():
        assert np.array_equal(values, parameters[name].detach().numpy()), name
    ids = tokens()
    rows = np.split(ids, np.cumsum(COUNTS)[:-1])
    losses = []
    for row, prompt in zip(rows, PROMPTS, strict=True):
        logits = model(input_ids=torch.tensor(row, dtype=torch.long)[None]).logits[0]
        chosen = torch.log_softmax(logits[:-1], -1).gather(1, torch.tensor(row[1:], dtype=torch.long)[:, None])[:, 0]
        losses.append(chosen[prompt - 1 :])
    wanted = torch.cat(losses)
    found = client.ask(
        "forward",
        tokens=ids,
        counts=np.array(COUNTS, np.int32),
        prompt_counts=np.array(PROMPTS, np.int32),
        temperatures=np.ones(3, np.float32),
        rank_counts=np.array([3], np.int32),
    ).arrays["logprobs"]
    assert np.abs(found - wanted.detach().numpy()).max() < 5e-5
    (-wanted.sum()).backward()
    client.ask("backward", gradient=-np.ones(len(found), np.float32))
    client.ask("step", {**ADAMW, "weight_decay": 0.0, "clip_grad_norm": 0.0, "apply": True})
    client.ask("save", {"folder": str(tmp_path)})
    moments = load_file(tmp_path / "optimizer.safetensors")
    for name, parameter in parameters.items():
        assert parameter.grad is not None
        gradient = parameter.grad.numpy()
        apart = np.abs(moments[f"exp_avg.{name}"] * 10 - gradient).max()
        assert apart < 1e-4 * max(1, np.abs(gradient).max()), name
    # What is written is the family's own folder.
    written = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert type(written) is type(model)


@pytest.mark.parametrize("family", REFUSED)
def test_what_it_cannot_compute_is_refused_by_name(start: Start, tmp_path: Path, family: str) -> None:
    config, words = REFUSED[family]
    make(tmp_path / family, config)
    with pytest.raises(EngineAnswerError, match=words):
        load(start(), tmp_path / family)


@pytest.mark.parametrize(("family", "samples"), [("olmo", True), ("starcoder2", True), ("gpt_neox", False)])
def test_who_cannot_be_sampled_from_is_refused(start: Start, tmp_path: Path, family: str, samples: bool) -> None:
    make(tmp_path / family, RUNS[family])
    client = start(fresh=True)
    if samples:
        load(client, tmp_path / family, use="sample")
        return
    with pytest.raises(EngineAnswerError, match=r"rollout\.engine: server"):
        load(client, tmp_path / family, use="sample")
