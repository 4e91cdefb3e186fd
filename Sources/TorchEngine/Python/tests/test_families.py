"""Families that only transformers has: the same numbers as there, or a refusal by name."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ADAMW, LORA, EngineAnswerError, Start, load, manifest, snapshot
from peft import PeftModel
from safetensors.numpy import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    GptOssConfig,
    GraniteConfig,
    MixtralConfig,
    OlmoConfig,
    OlmoeConfig,
    OPTConfig,
    PhiConfig,
    PreTrainedModel,
    Qwen2MoeConfig,
    Qwen3MoeConfig,
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
# Their logits are capped or scaled behind the head, or the head has a bias.
HEADS = {
    "cohere": CohereConfig(**SIZES, num_key_value_heads=4, logit_scale=0.5),
    "gemma2": Gemma2Config(**SIZES, num_key_value_heads=2, head_dim=8, sliding_window=4, final_logit_softcapping=3.0),
    "granite": GraniteConfig(**SIZES, num_key_value_heads=2, logits_scaling=4.0, embedding_multiplier=2.0),
    "phi": PhiConfig(**SIZES),
}
# Transformers makes one weight of those of a layer's experts, but for the last, whose files have one.
MIXED = {**SIZES, "num_experts_per_tok": 2, "num_key_value_heads": 2}
EXPERTS = {
    "mixtral": MixtralConfig(**MIXED, num_local_experts=4),
    "qwen2_moe": Qwen2MoeConfig(
        **MIXED, num_experts=4, moe_intermediate_size=24, shared_expert_intermediate_size=40, mlp_only_layers=[0]
    ),
    "qwen3_moe": Qwen3MoeConfig(**MIXED, num_experts=5, moe_intermediate_size=24, head_dim=8),
    "olmoe": OlmoeConfig(**MIXED, num_experts=4),
    "gpt_oss": GptOssConfig(**MIXED, num_local_experts=4, head_dim=8, sliding_window=4),
}
# They heed no positions that begin again: their sequences are read one by one, as those of gpt_oss.
APART = {
    "opt": OPTConfig(**{**SIZES, "ffn_dim": 64, "word_embed_proj_dim": 32}),
}
FAMILIES = {**RUNS, **HEADS, **EXPERTS, **APART}
# The names in the files are others than the class has.
STORED = {"gpt_neox": ("lm_head.weight", "embed_out.weight")}


def make(folder: Path, config: Any) -> PreTrainedModel:
    """Writes a model with random weights."""
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.0 if parameter.ndim > 1 else 0.5, std=0.2)
    model.save_pretrained(folder)
    return model


def in_files(model: PreTrainedModel, values: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Returns values of parameters by the names that files have, as transformers saves them."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, state_dict={name: value.detach() for name, value in values.items()})
        return load_file(Path(folder) / "model.safetensors")


COUNTS, PROMPTS = [9, 5, 12], [3, 2, 6]


def tokens() -> np.ndarray:
    """Returns the tokens of three sequences, one behind the other."""
    return np.random.default_rng(3).integers(3, 64, sum(COUNTS)).astype(np.int32)


def wanted_logprobs(model: Any, ids: np.ndarray) -> torch.Tensor:
    """Returns the log-probabilities of the response tokens, one sequence at a time."""
    losses = []
    for row, prompt in zip(np.split(ids, np.cumsum(COUNTS)[:-1]), PROMPTS, strict=True):
        logits = model(input_ids=torch.tensor(row, dtype=torch.long)[None]).logits[0]
        chosen = torch.log_softmax(logits[:-1], -1).gather(1, torch.tensor(row[1:], dtype=torch.long)[:, None])[:, 0]
        losses.append(chosen[prompt - 1 :])
    return torch.cat(losses)


def request(ids: np.ndarray, ranks: int = 1) -> dict[str, np.ndarray]:
    """Returns the arrays of a forward pass of the three sequences."""
    return {
        "tokens": ids,
        "counts": np.array(COUNTS, np.int32),
        "prompt_counts": np.array(PROMPTS, np.int32),
        "temperatures": np.ones(3, np.float32),
        "rank_counts": np.array([3] if ranks == 1 else [1, 2], np.int32),
    }


@pytest.mark.parametrize(
    ("family", "processes"), [(family, 1) for family in FAMILIES] + [("gemma2", 2), ("mixtral", 2), ("gpt_oss", 2)]
)
def test_numbers_are_those_of_transformers(start: Start, tmp_path: Path, family: str, processes: int) -> None:
    model = make(tmp_path / family, FAMILIES[family])
    client = start(processes)
    recomputes = family in {"gpt_oss", "gemma2"}
    before = snapshot(client, load(client, tmp_path / family, recompute=recomputes), tmp_path / "before")
    files = load_file(tmp_path / family / "model.safetensors")
    assert set(before) == set(files)
    for name, values in before.items():
        assert np.array_equal(values, files[name]), name
    ids = tokens()
    wanted = wanted_logprobs(model, ids)
    found = client.ask("forward", **request(ids, processes)).arrays["logprobs"]
    assert np.abs(found - wanted.detach().numpy()).max() < 5e-5
    (-wanted.sum()).backward()
    client.ask("backward", gradient=-np.ones(len(found), np.float32))
    client.ask("step", {**ADAMW, "weight_decay": 0.0, "clip_grad_norm": 0.0, "apply": True})
    (tmp_path / "saved").mkdir()
    client.ask("save", {"folder": str(tmp_path / "saved")})
    moments = load_file(tmp_path / "saved/optimizer.safetensors")
    assert {name.removeprefix("exp_avg.") for name in moments if name.startswith("exp_avg.")} == set(files)
    gradients = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in model.named_parameters()
    }
    if family in STORED:
        own, stored = STORED[family]
        gradients[stored] = gradients.pop(own)
        found_gradients = {name: value.numpy() for name, value in gradients.items()}
    else:
        found_gradients = in_files(model, gradients)
    for name, gradient in found_gradients.items():
        apart = np.abs(moments[f"exp_avg.{name}"] * 10 - gradient).max()
        assert apart < 1e-4 * max(1, np.abs(gradient).max()), name
    # What is written is the family's own folder, which another engine goes on from.
    written = AutoModelForCausalLM.from_pretrained(tmp_path / "saved/model")
    assert type(written) is type(model)
    after = client.ask("forward", **request(ids, processes)).arrays["logprobs"]
    assert np.abs(after - wanted_logprobs(written, ids).detach().numpy()).max() < 5e-5
    client.ask("backward", gradient=np.zeros(len(found), np.float32))
    client.ask("step", {**ADAMW, "apply": False})
    load(client, tmp_path / family)
    client.ask("restore", {"folder": str(tmp_path / "saved")})
    again = client.ask("forward", **request(ids, processes)).arrays["logprobs"]
    assert np.array_equal(again, after)
    client.ask("backward", gradient=np.zeros(len(found), np.float32))


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "phi", "mixtral", "qwen2_moe"])
def test_adapters_are_those_of_peft(start: Start, tmp_path: Path, family: str) -> None:
    model = make(tmp_path / family, FAMILIES[family])
    client = start()
    answer = client.ask("describe", {"model": str(tmp_path / family), "rank": 4, "targets": []})
    lora = {**LORA, "targets": sorted({stem.rpartition(".")[2] for stem, _, _ in answer.fields["matrices"]})}
    # All linear layers of the blocks; the gate of the shared expert has one row.
    linear = {
        name
        for name, module in model.named_modules()
        if type(module).__name__ in {"Linear", "Conv1D"} and name.count(".") > 1 and "shared_expert_gate" not in name
    }
    assert {stem for stem, _, _ in answer.fields["matrices"]} == linear
    of: dict[str, list[int]] = {}
    for stem, outputs, inputs in answer.fields["matrices"]:
        of |= {f"{stem}.lora_A.weight": [4, inputs], f"{stem}.lora_B.weight": [outputs, 4]}
    given = manifest(of, start=64)
    load(client, tmp_path / family, adapters=lora, manifest=given)
    ids = tokens()
    client.ask("forward", **request(ids))
    client.ask("backward", gradient=-np.ones(sum(COUNTS) - sum(PROMPTS), np.float32))
    client.ask("step", {**ADAMW, "apply": True})
    (tmp_path / "saved").mkdir()
    client.ask("save", {"folder": str(tmp_path / "saved")})
    found = client.ask("forward", **request(ids)).arrays["logprobs"]
    client.ask("backward", gradient=np.zeros(len(found), np.float32))
    client.ask("step", {**ADAMW, "apply": False})
    adapted = PeftModel.from_pretrained(model, str(tmp_path / "saved/adapter"))
    wanted = wanted_logprobs(adapted, ids).detach().numpy()
    assert np.abs(found - wanted).max() < 5e-5
    # The model that is written has what the adapters add.
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "saved/model")
    assert np.abs(wanted_logprobs(merged, ids).detach().numpy() - wanted).max() < 5e-5
    # So has a model that samples, once it was sent them.
    snapshot(client, given, tmp_path / "values")
    if family not in {"gpt_neox", "gpt2"}:
        load(client, tmp_path / family, use="sample", adapters=lora, manifest=given)
        client.ask("weights", {"path": str(tmp_path / "values"), "version": 1})


def test_adapters_that_cannot_be_are_refused_by_name(start: Start, tmp_path: Path) -> None:
    make(tmp_path / "mixtral", EXPERTS["mixtral"])
    client, asked = start(), {"model": str(tmp_path / "mixtral"), "rank": 4, "targets": ["q_proj"]}
    client.ask("describe", asked)
    with pytest.raises(EngineAnswerError, match=r"w1 is no matrix of .* k_proj, o_proj, q_proj, v_proj"):
        client.ask("describe", {**asked, "targets": ["w1"]})
    with pytest.raises(EngineAnswerError, match="17 is above 16, the smaller side"):
        client.ask("describe", {**asked, "rank": 17, "targets": ["k_proj"]})
    with pytest.raises(EngineAnswerError, match="no matrices beside which"):
        client.ask("describe", {**asked, "rank": 64, "targets": []})


def test_experts_that_files_lack_are_named(start: Start, tmp_path: Path) -> None:
    make(tmp_path / "mixtral", EXPERTS["mixtral"])
    path = tmp_path / "mixtral/model.safetensors"
    files = load_file(path)
    lost = next(name for name in files if name.endswith("experts.2.w1.weight"))
    del files[lost]
    save_file(files, path, {"format": "pt"})
    with pytest.raises(EngineAnswerError, match=r"lacks .*experts"):
        load(start(), tmp_path / "mixtral")


@pytest.mark.parametrize(("family", "samples"), [("olmo", True), ("starcoder2", True), ("gpt_neox", False)])
def test_who_cannot_be_sampled_from_is_refused(start: Start, tmp_path: Path, family: str, samples: bool) -> None:
    make(tmp_path / family, RUNS[family])
    client = start(fresh=True)
    if samples:
        load(client, tmp_path / family, use="sample")
        return
    with pytest.raises(EngineAnswerError, match=r"rollout\.engine"):
        load(client, tmp_path / family, use="sample")
