"""Models of transformers, sharded by FSDP2."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from opd_torch import adapters
from opd_torch.errors import RefusalError, refusing
from opd_torch.head import BlockedHead, Finish, unchanged
from opd_torch.layout import TYPES, Layout
from opd_torch.packing import Row
from opd_torch.ranks import Ranks

USES = ("train", "score", "sample")


@dataclass(frozen=True)
class ModelSettings:
    """How a model is computed."""

    path: str
    use: str  # train: f32 masters; score, sample: weights are kept in `dtype`
    dtype: str  # of activations, and of weights where they are multiplied
    attention: str  # auto, or an implementation of transformers
    recompute: bool
    compile: bool
    slots: int  # responses that are sampled at once
    cache: float  # what share of a GPU's free memory they may have
    adapters: adapters.AdapterSettings | None


class Student(nn.Module):
    """The root of the sharded modules: whatever uses its weights runs inside its forward pass."""

    def __init__(self, model: Any, adapted: list[adapters.Adapted]) -> None:
        super().__init__()
        self.model = model
        self.adapted = adapted  # matrices that have adapters
        # Whether sequences in one row would see each other, and so are read one by one.
        self.is_apart = False

    def forward(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns what `function` makes of the model, whose embeddings and head are whole meanwhile."""
        return function(self.model, *arguments)


def row_logprobs(model: Any, row: Row) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns log-probabilities and entropies of a row's response tokens, f32 [R]."""

    def hidden(part: slice) -> torch.Tensor:
        # No mask: positions that begin again keep sequences apart, a mask of ones would join them.
        given = {"input_ids": row.ids[:, part], "position_ids": row.positions[:, part], "attention_mask": None}
        # Some families have no positions.
        known = inspect.signature(type(model.base_model).forward).parameters.keys() & given
        return model.base_model(**{name: given[name] for name in known}, use_cache=False).last_hidden_state[0]

    rows = torch.cat([hidden(part) for part in row.passes]).index_select(0, row.rows)
    head = model.get_output_embeddings()
    return BlockedHead.apply(rows, head.weight, head.bias, finishing(model), row.targets, row.inverse_temperatures)


def own_logprobs(model: Any, ids: torch.Tensor, first: int) -> torch.Tensor:
    """Returns the log-probabilities of `ids` from the place `first` on, by the model's own forward pass."""
    logits = model(input_ids=ids[None], use_cache=False).logits[0, first - 1 : -1].float()
    return torch.log_softmax(logits, -1).gather(1, ids[first:, None])[:, 0]


class _Passed:
    """What the layers of any family answer when they are passed by: hidden states, and none of the rest."""

    def __init__(self, hidden: torch.Tensor) -> None:
        self.last_hidden_state = hidden

    def __getattr__(self, name: str) -> None:
        return None

    def __getitem__(self, place: int) -> torch.Tensor | None:
        return self.last_hidden_state if place == 0 else None


def finishing(model: Any) -> Finish:
    """Returns what a family does to the logits behind its head.

    Caps and scales are those of the model's own forward pass, whose layers and head are passed by.
    """

    def finish(logits: torch.Tensor) -> torch.Tensor:
        body, head = model.base_model, model.get_output_embeddings()
        nothing = logits.new_zeros(1, len(logits), 1)
        body.forward = lambda *_, **__: _Passed(nothing)
        head.forward = lambda *_, **__: logits[None]
        try:
            return model(inputs_embeds=nothing, use_cache=False).logits[0].float()
        finally:
            del body.forward, head.forward

    # A few values tell, and a family is asked once.
    if not hasattr(model, "opd_finish"):
        with torch.enable_grad():
            weight = model.get_output_embeddings().weight
            raw = torch.linspace(-60, 60, len(weight), device=weight.device, requires_grad=True)
            logits = finish(raw[None])[0]
            (slope,) = torch.autograd.grad(logits.sum(), raw)
        model.opd_finish = unchanged if torch.equal(logits, raw) and bool((slope == 1).all()) else finish
    return model.opd_finish


def build(settings: ModelSettings, ranks: Ranks, layout: Layout) -> Student:
    """Returns a model with memory for its weights but no values in it; a `RefusalError` says why it cannot be had."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    model, trains = skeleton(settings.path, _attention(settings, ranks)), settings.use == "train"
    matrices = adapters.adapted(model, layout, settings.adapters.rank) if settings.adapters else []
    if settings.adapters is not None and trains:
        adapters.inject(model, settings.adapters, matrices)
    model.train(trains)
    if trains and settings.recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    student = Student(model, matrices)
    if not trains:
        # Rotary frequencies and the like stay f32.
        for parameter in model.parameters():
            parameter.data = parameter.data.to(TYPES[settings.dtype])
            parameter.requires_grad_(False)
    if settings.use == "sample":
        # Transformers' sampling calls the model by itself.
        return student.to(ranks.device)
    blocks = [model.get_submodule(name) for name in blocks_of(model, settings.path)]
    policy = MixedPrecisionPolicy(
        param_dtype=TYPES[settings.dtype], reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for module in [*blocks, student]:
        if settings.compile and module is not student:
            module.compile()
        # What is gathered is dropped after a pass, that of the root, too: the next one sees the weights of then.
        sharded = fully_shard(module, mesh=ranks.mesh, mp_policy=policy, reshard_after_forward=True)
        # The caller divides by the tokens of the whole batch: gradients are summed, and gloo cannot do more.
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)
    for buffer in student.buffers():
        buffer.data = buffer.to(ranks.device)
    return student


def blocks_of(model: Any, path: str) -> list[str]:
    """Returns the names of the blocks that are repeated; a `RefusalError` where there are none."""
    names = [name for name, module in model.named_modules() if type(module).__name__ in (model._no_split_modules or [])]
    if not names:
        raise RefusalError("model", f"{path}: {type(model).__name__} has no blocks that transformers names")
    return names


def skeleton(path: str, attention: str | None, is_empty: bool = False) -> Any:
    """Returns the model of transformers, in memory that nobody has touched, or in none."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    if not os.path.isfile(os.path.join(path, "config.json")):
        raise RefusalError(
            "model",
            f"{path} is not a Hugging Face folder, which engine torch needs; make one with opd convert",
        )
    how = f" with torch.attention: {attention}" if attention else ""
    with refusing("model", f"transformers refuses {path}{how}"):
        config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        if config.get_text_config() is not config:
            raise RefusalError(
                "model",
                f"{path} is a model of several parts, which engine torch does not take; make one of its text "
                "part with opd convert",
            )
        for key in vars(config):
            if key.endswith(("dropout", "pdrop")):
                setattr(config, key, 0.0)
        config.use_cache = False
        config.output_router_logits = False
        with no_init_weights(), torch.device("meta") if is_empty else contextlib.nullcontext():
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=attention)
        model.tie_weights()
    if not isinstance(model.get_output_embeddings(), nn.Linear):
        raise RefusalError("model", f"{path}: a model without a head is not supported by engine torch")
    return model


def _attention(settings: ModelSettings, ranks: Ranks) -> str | None:
    """Returns an implementation of attention; none where transformers chooses the best that the family has."""
    if settings.attention != "auto":
        return settings.attention
    has_flash = ranks.kind == "cuda" and settings.dtype == "bf16" and importlib.util.find_spec("flash_attn")
    return "flash_attention_2" if has_flash else None


def public_name(name: str) -> str:
    """Returns a parameter's name as checkpoints have it."""
    name = name.removeprefix("model.").replace(".base_layer.", ".")
    return name.replace(".lora_A.default.", ".lora_A.").replace(".lora_B.default.", ".lora_B.")
