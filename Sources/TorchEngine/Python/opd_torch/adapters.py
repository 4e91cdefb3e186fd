"""Low-rank adapters: peft's modules, with the native engine's names, first values and form of a snapshot."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from opd_torch.errors import RefusalError
from opd_torch.messages import Array

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PREFIX = "base_model.model."
FINGERPRINT_KEY = "base_fingerprint"


@dataclass(frozen=True)
class AdapterSettings:
    """What adapters a run trains."""

    rank: int
    alpha: float
    targets: list[str]
    seed: int
    fingerprint: int  # of the weights below them

    @staticmethod
    def reading(given: Any) -> AdapterSettings | None:
        """Returns the settings that a request gives, if any."""
        if given is None:
            return None
        try:
            targets = [name for name in TARGETS if name in (given["targets"] or TARGETS)]
            settings = AdapterSettings(
                int(given["rank"]), float(given["alpha"]), targets, int(given["seed"]), int(given["fingerprint"], 16)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RefusalError("request", f"the adapters are malformed at {error}") from None
        if settings.rank < 1 or not settings.targets:
            raise RefusalError("request", "adapters need a rank and targets")
        return settings

    @property
    def scale(self) -> float:
        """What B A is multiplied by, alpha / rank rounded to f32."""
        return float(np.float32(self.alpha) / np.float32(self.rank))

    @property
    def head(self) -> bytes:
        """The 64 bytes before the adapters of a snapshot."""
        bits = sum(1 << bit for bit, name in enumerate(TARGETS) if name in self.targets)
        head = b"OPDLORA1" + struct.pack("<IfIIQ", self.rank, self.scale, bits, 0, self.fingerprint)
        return head.ljust(64, b"\0")

    def configuration(self, base: str) -> dict[str, Any]:
        """Returns `adapter_config.json` as peft reads it."""
        return {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": self.rank,
            "lora_alpha": int(self.alpha) if self.alpha == int(self.alpha) else self.alpha,
            "target_modules": self.targets,
            "lora_dropout": 0,
            "bias": "none",
            "fan_in_fan_out": False,
            "init_lora_weights": True,
            "inference_mode": True,
        }


def inject(model: torch.nn.Module, settings: AdapterSettings) -> None:
    """Puts adapters into a model, whose other parameters then stay as they are."""
    from peft import LoraConfig, inject_adapter_in_model

    for name, module in model.named_modules():
        if name.rpartition(".")[2] in settings.targets and isinstance(module, torch.nn.Linear):
            limit = min(module.in_features, module.out_features)
            if settings.rank > limit:
                shape = [module.out_features, module.in_features]
                raise RefusalError(
                    "adapters", f"{settings.rank} is above {limit}, the smaller side of {name}.weight {shape}"
                )
    targets = [
        name
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in settings.targets and isinstance(module, torch.nn.Linear)
    ]
    if not targets:
        raise RefusalError("adapters", f"this model has none of {', '.join(settings.targets)}")
    configuration = LoraConfig(r=settings.rank, lora_alpha=1, target_modules=targets, lora_dropout=0.0, bias="none")
    inject_adapter_in_model(configuration, model)
    for module in model.modules():
        scaling = getattr(module, "scaling", None)
        if isinstance(scaling, dict) and "default" in scaling:
            scaling["default"] = settings.scale


def first_values(index: int, shape: tuple[int, ...], seed: int) -> Array:
    """Returns what A begins with: uniform in +-1 / sqrt(inputs), as the native engine draws it.

    SplitMix64 (Steele, Lea and Flood, 2014) with a stream of its own for every factor of a model.
    """
    mask = (1 << 64) - 1
    increment = 0x9E3779B97F4A7C15
    state = (seed * increment & mask) ^ ((index + 1) * 0xD1B54A32D192ED03 & mask)
    count = int(np.prod(shape))
    # The first two of a stream are thrown away.
    steps = np.arange(3, count + 3, dtype=np.uint64)
    z = np.uint64(state) + steps * np.uint64(increment)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    uniform = ((z >> np.uint64(40)).astype(np.int64) - (1 << 23)).astype(np.float32) / np.float32(1 << 23)
    bound = np.float32(1) / np.sqrt(np.float32(shape[1]))
    return (bound * uniform).reshape(shape)
