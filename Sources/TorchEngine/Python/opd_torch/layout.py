"""Where parameters lie in the bytes of a snapshot: the native engine's places, so that its workers can read it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from opd_torch.errors import RefusalError

ALIGNMENT = 64
ADAPTER_HEAD_BYTES = 64
EMBEDDING, FINAL_NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
# Of one layer, in order; those of a line lie one right behind the other.
LAYER = [
    ["input_layernorm.weight"],
    ["self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"],
    ["self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"],
    ["self_attn.q_norm.weight"],
    ["self_attn.k_norm.weight"],
    ["self_attn.o_proj.weight"],
    ["self_attn.o_proj.bias"],
    ["post_attention_layernorm.weight"],
    ["mlp.gate_proj.weight", "mlp.up_proj.weight"],
    ["mlp.gate_proj.bias", "mlp.up_proj.bias"],
    ["mlp.down_proj.weight"],
    ["mlp.down_proj.bias"],
]
_LAYER_NAME = re.compile(r"model\.layers\.(\d+)\.")


@dataclass(frozen=True)
class Place:
    """One parameter of a snapshot."""

    name: str
    shape: tuple[int, ...]
    type: str  # f32 or bf16
    offset: int

    @property
    def count(self) -> int:
        """The number of its values."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def byte_count(self) -> int:
        """The number of its bytes."""
        return self.count * (4 if self.type == "f32" else 2)


@dataclass(frozen=True)
class Layout:
    """All places of a snapshot, by rising offset."""

    places: list[Place]
    byte_count: int

    @staticmethod
    def of(shapes: dict[str, tuple[int, ...]], matrix_type: str) -> Layout:
        """Returns the native layout; of a model with other parameters that of transformers' own order.

        Matrices have `matrix_type`, everything else is f32. Every parameter starts at a multiple of 64 bytes but those
        that one product uses with the one before.
        """
        lines = _native_lines(shapes) or [[name] for name in shapes]
        return _laid_out(lines, shapes, matrix_type, 0)

    @staticmethod
    def of_adapters(shapes: dict[str, tuple[int, ...]]) -> Layout:
        """Returns where adapters lie, behind their head."""
        return _laid_out([[name] for name in shapes], shapes, "f32", ADAPTER_HEAD_BYTES)

    @staticmethod
    def reading(given: Any) -> Layout:
        """Returns the layout that a request gives."""
        try:
            places = [
                Place(tensor["name"], tuple(tensor["shape"]), tensor["type"], tensor["byteOffset"])
                for tensor in given["tensors"]
            ]
            layout = Layout(sorted(places, key=lambda place: place.offset), given["byteCount"])
            end = 0
            for place in layout.places:
                fits = place.type in {"f32", "bf16"} and place.offset >= end
                end = place.offset + place.byte_count
                if not fits or end > layout.byte_count:
                    raise ValueError(place.name)
        except (KeyError, TypeError, ValueError) as error:
            raise RefusalError("request", f"the manifest of the weights is malformed at {error}") from None
        return layout

    @property
    def manifest(self) -> dict[str, Any]:
        """The layout as it is sent."""
        tensors = [
            {"name": place.name, "shape": list(place.shape), "type": place.type, "byteOffset": place.offset}
            for place in self.places
        ]
        return {"tensors": tensors, "byteCount": self.byte_count}


def _native_lines(shapes: dict[str, tuple[int, ...]]) -> list[list[str]] | None:
    """Returns the names in native order, by what lies together; nothing for a model that has others."""
    numbers = {int(found[1]) for name in shapes if (found := _LAYER_NAME.match(name))}
    lines = [[EMBEDDING]]
    for number in range(len(numbers)):
        lines += [[f"model.layers.{number}.{name}" for name in line] for line in LAYER]
    lines += [[FINAL_NORM], [HEAD]]
    present = [[name for name in line if name in shapes] for line in lines]
    present = [line for line in present if line]
    return present if sum(len(line) for line in present) == len(shapes) else None


def _laid_out(lines: list[list[str]], shapes: dict[str, tuple[int, ...]], matrix_type: str, start: int) -> Layout:
    places: list[Place] = []
    offset = start
    for line in lines:
        offset = -(-offset // ALIGNMENT) * ALIGNMENT
        for name in line:
            place = Place(name, shapes[name], matrix_type if len(shapes[name]) == 2 else "f32", offset)
            offset += place.byte_count
            places.append(place)
    return Layout(places, -(-offset // ALIGNMENT) * ALIGNMENT)
