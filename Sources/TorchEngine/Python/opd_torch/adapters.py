"""Low-rank adapters: peft's modules, with the native engine's names and form of a snapshot."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from opd_torch.errors import RefusalError
from opd_torch.layout import Layout, Snapshot

PREFIX = "base_model.model."
FINGERPRINT_KEY = "base_fingerprint"
# What a snapshot begins with; it is the learner's, and comes back as it was.
HEAD_BYTES = 64


@dataclass(frozen=True)
class AdapterSettings:
    """What adapters a run has."""

    rank: int
    alpha: float  # as peft is told it
    scale: float  # what B A is multiplied by
    targets: list[str]
    fingerprint: str  # of the weights below them
    values: str  # the snapshot that they begin with; none: they come later


def stems(layout: Layout) -> list[str]:
    """Returns the modules whose adapters lie in a layout."""
    return [name.removesuffix(".lora_A.weight") for name in layout.shapes if name.endswith(".lora_A.weight")]


@dataclass(frozen=True)
class Adapted:
    """A matrix that has adapters, or can have them."""

    stem: str  # of its name in the model
    outputs: int
    inputs: int
    is_transposed: bool  # its weight is [inputs, outputs]

    def addition(self, a: torch.Tensor, b: torch.Tensor, scale: float) -> torch.Tensor:
        """Returns what adapters add to the weight."""
        product = scale * (b @ a)
        return product.t() if self.is_transposed else product


def adaptable(model: Any) -> list[Adapted]:
    """Returns the linear layers of a model that has no adapters yet, but for its head."""
    from transformers.pytorch_utils import Conv1D

    found, head = [], model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module is not head:
            found.append(Adapted(name, module.out_features, module.in_features, False))
        elif isinstance(module, Conv1D):
            found.append(Adapted(name, module.weight.shape[1], module.weight.shape[0], True))
    return found


def adapted(model: Any, layout: Layout, rank: int) -> list[Adapted]:
    """Returns the matrices whose adapters a layout has; a `RefusalError` where they do not fit."""
    known = {matrix.stem: matrix for matrix in adaptable(model)}
    wanted: dict[str, tuple[int, ...]] = {}
    for stem in stems(layout):
        if stem not in known:
            raise RefusalError("adapters", f"{stem} is no matrix of this model; choose others for lora.targets")
        wanted[f"{stem}.lora_A.weight"] = (rank, known[stem].inputs)
        wanted[f"{stem}.lora_B.weight"] = (known[stem].outputs, rank)
    if not wanted or layout.shapes != wanted:
        raise RefusalError("adapters", "the manifest is not one of adapters of this rank on this model")
    return [known[stem] for stem in stems(layout)]


def inject(model: torch.nn.Module, settings: AdapterSettings, layout: Layout) -> None:
    """Puts adapters into a model, whose other parameters then stay as they are."""
    from peft import LoraConfig, inject_adapter_in_model

    configuration = LoraConfig(
        r=settings.rank, lora_alpha=1, target_modules=stems(layout), lora_dropout=0.0, bias="none"
    )
    with warnings.catch_warnings():
        # It finds out by itself which weights are [inputs, outputs].
        warnings.simplefilter("ignore")
        inject_adapter_in_model(configuration, model)
    for module in model.modules():
        scaling = getattr(module, "scaling", None)
        if isinstance(scaling, dict) and "default" in scaling:
            scaling["default"] = settings.scale


def factors(snapshot: Snapshot, stem: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns A and B of a matrix in a snapshot."""
    return snapshot.read(f"{stem}.lora_A.weight"), snapshot.read(f"{stem}.lora_B.weight")
