"""Low-rank adapters: peft's modules, with the native engine's names and form of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass

import torch

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


def check(layout: Layout, shapes: dict[str, tuple[int, ...]], rank: int) -> None:
    """Refuses a layout of adapters that do not fit beside the matrices that have these shapes."""
    wanted: dict[str, tuple[int, ...]] = {}
    for stem in stems(layout):
        matrix = shapes.get(f"{stem}.weight")
        if matrix is None or len(matrix) != 2:
            raise RefusalError("adapters", f"{stem} is no matrix of this model; choose others for lora.targets")
        wanted[f"{stem}.lora_A.weight"], wanted[f"{stem}.lora_B.weight"] = (rank, matrix[1]), (matrix[0], rank)
    if not wanted or layout.shapes != wanted:
        raise RefusalError("adapters", "the manifest is not one of adapters of this rank on this model")


def inject(model: torch.nn.Module, settings: AdapterSettings, layout: Layout) -> None:
    """Puts adapters into a model, whose other parameters then stay as they are."""
    from peft import LoraConfig, inject_adapter_in_model

    configuration = LoraConfig(
        r=settings.rank, lora_alpha=1, target_modules=stems(layout), lora_dropout=0.0, bias="none"
    )
    inject_adapter_in_model(configuration, model)
    for module in model.modules():
        scaling = getattr(module, "scaling", None)
        if isinstance(scaling, dict) and "default" in scaling:
            scaling["default"] = settings.scale


def addition(snapshot: Snapshot, layout: Layout, settings: AdapterSettings, stem: str) -> torch.Tensor:
    """Returns what the adapters of a snapshot add to a matrix."""
    places = {place.name: place for place in layout.places}
    a, b = (snapshot.read(places[f"{stem}.lora_{factor}.weight"]) for factor in "AB")
    return settings.scale * (b @ a)
