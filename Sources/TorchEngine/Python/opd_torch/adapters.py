"""Low-rank adapters: peft's modules, with the native engine's names and form of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from opd_torch.errors import RefusalError
from opd_torch.layout import Layout

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
    stems = [name.removesuffix(".lora_A.weight") for name in layout.shapes if name.endswith(".lora_A.weight")]
    wanted: dict[str, tuple[int, ...]] = {}
    for stem in stems:
        if stem not in known:
            raise RefusalError("adapters", f"{stem} is no matrix of this model; choose others for lora.targets")
        wanted[f"{stem}.lora_A.weight"] = (rank, known[stem].inputs)
        wanted[f"{stem}.lora_B.weight"] = (known[stem].outputs, rank)
    if not wanted or layout.shapes != wanted:
        raise RefusalError("adapters", "the manifest is not one of adapters of this rank on this model")
    return [known[stem] for stem in stems]


def inject(model: torch.nn.Module, settings: AdapterSettings, matrices: list[Adapted]) -> None:
    """Puts adapters into a model, whose other parameters then stay as they are."""
    from peft import LoraConfig, inject_adapter_in_model

    # Of it peft makes the scale, whatever made that of the run's own alpha.
    alpha: Any = settings.scale * settings.rank
    names = [matrix.stem for matrix in matrices]
    is_transposed = any(matrix.is_transposed for matrix in matrices)
    configuration = LoraConfig(r=settings.rank, lora_alpha=alpha, target_modules=names, fan_in_fan_out=is_transposed)
    inject_adapter_in_model(configuration, model)
