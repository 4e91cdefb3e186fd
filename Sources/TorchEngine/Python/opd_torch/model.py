"""Models of transformers, sharded by FSDP2."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from opd_torch import adapters
from opd_torch.errors import RefusalError
from opd_torch.head import head_logprobs
from opd_torch.layout import TYPES, Layout
from opd_torch.packing import Row
from opd_torch.ranks import Ranks

# What some families do to logits behind the head; the head here does not, and so refuses them.
LOGIT_SETTINGS = {"final_logit_softcapping": None, "logit_scale": 1, "logits_scaling": 1}
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

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns what `function` makes of the model, whose embeddings and head are whole meanwhile."""
        return function(self.model, *arguments)


def row_logprobs(model: Any, row: Row) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns log-probabilities and entropies of a row's response tokens, f32 [R]."""
    # No mask: positions that begin again keep sequences apart, a mask of ones would join them.
    hidden = model.base_model(
        input_ids=row.ids, position_ids=row.positions, attention_mask=None, use_cache=False
    ).last_hidden_state
    weight = model.get_output_embeddings().weight
    return head_logprobs(hidden[0].index_select(0, row.rows), weight, row.targets, row.inverse_temperatures)


def build(settings: ModelSettings, ranks: Ranks, layout: Layout) -> Student:
    """Returns a model with memory for its weights but no values in it; a `RefusalError` says why it cannot be had."""
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    model, trains = _skeleton(settings, ranks), settings.use == "train"
    if settings.adapters is not None and trains:
        adapters.inject(model, settings.adapters, layout)
    model.train(trains)
    if trains and settings.recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    student = Student(model)
    if not trains:
        # Rotary frequencies and the like stay f32.
        for parameter in model.parameters():
            parameter.data = parameter.data.to(TYPES[settings.dtype])
            parameter.requires_grad_(False)
    if settings.use == "sample":
        # Transformers' sampling calls the model by itself.
        return student.to(ranks.device)
    blocks = [module for module in model.modules() if type(module).__name__ in (model._no_split_modules or [])]
    if not blocks:
        raise RefusalError("model", f"{settings.path}: {type(model).__name__} has no blocks that transformers names")
    policy = MixedPrecisionPolicy(
        param_dtype=TYPES[settings.dtype], reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for block in blocks:
        if settings.compile:
            block.compile()
        fully_shard(block, mesh=ranks.mesh, mp_policy=policy)
    fully_shard(student, mesh=ranks.mesh, mp_policy=policy)
    for module in student.modules():
        if isinstance(module, FSDPModule):
            # The caller divides by the tokens of the whole batch: gradients are summed, and gloo cannot do more.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    for buffer_owner in student.modules():
        for name, buffer in buffer_owner._buffers.items():
            if buffer is not None:
                buffer_owner._buffers[name] = buffer.to(ranks.device)
    return student


def _skeleton(settings: ModelSettings, ranks: Ranks) -> Any:
    """Returns the model of transformers, in memory that nobody has touched."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    if not os.path.isfile(os.path.join(settings.path, "config.json")):
        raise RefusalError(
            "model",
            f"{settings.path} is not a Hugging Face folder, which engine torch needs; make one with opd convert",
        )
    try:
        config = AutoConfig.from_pretrained(settings.path, local_files_only=True, trust_remote_code=False)
        if config.get_text_config() is not config:
            raise RefusalError(
                "model",
                f"{settings.path} is a model of several parts, which engine torch does not take; make one of its text "
                "part with opd convert",
            )
        for key, value in LOGIT_SETTINGS.items():
            if getattr(config, key, value) not in {value, None}:
                raise RefusalError("model", f"{settings.path}: {key} of config.json is not supported by engine torch")
        for key in vars(config):
            if key.endswith(("dropout", "pdrop")):
                setattr(config, key, 0.0)
        config.use_cache = False
        with no_init_weights():
            model = AutoModelForCausalLM.from_config(
                config, dtype=torch.float32, attn_implementation=_attention(settings, ranks)
            )
        model.tie_weights()
    except RefusalError:
        raise
    except Exception as error:
        raise RefusalError("model", f"transformers refuses {settings.path}: {error}") from None
    head = model.get_output_embeddings()
    if head is None or getattr(head, "bias", None) is not None:
        raise RefusalError("model", f"{settings.path}: a head with a bias, or none, is not supported by engine torch")
    return model


def _attention(settings: ModelSettings, ranks: Ranks) -> str:
    if settings.attention != "auto":
        return settings.attention
    has_flash = ranks.kind == "cuda" and settings.dtype == "bf16" and importlib.util.find_spec("flash_attn")
    return "flash_attention_2" if has_flash else "sdpa"


def public_name(name: str) -> str:
    """Returns a parameter's name as checkpoints have it."""
    name = name.removeprefix("model.").replace(".base_layer.", ".")
    return name.replace(".lora_A.default.", ".lora_A.").replace(".lora_B.default.", ".lora_B.")


def stored_names(model: Any, names: list[str]) -> dict[str, str]:
    """Returns the names that files have for parameters which transformers calls otherwise, by transformers' names."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightRenaming, apply_renamings

    renamings = [change for change in get_model_conversion_mapping(model) if isinstance(change, WeightRenaming)]
    own = {name for name, _ in model.named_parameters()}
    found: dict[str, str] = {}
    for name in names:
        renamed = apply_renamings(name, renamings)
        # A model that was saved without its head.
        for candidate in (renamed, f"{model.base_model_prefix}.{renamed}"):
            if candidate in own and candidate not in names and candidate != name:
                found[candidate] = name
    return found
