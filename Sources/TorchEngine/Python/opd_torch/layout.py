"""Where parameters lie in the bytes of a snapshot, as a learner says it."""

from __future__ import annotations

import math
import mmap
import os
from dataclasses import dataclass
from typing import Any

import torch

from opd_torch.errors import RefusalError

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Place:
    """One parameter of a snapshot."""

    shape: tuple[int, ...]
    type: torch.dtype
    offset: int

    @property
    def byte_count(self) -> int:
        """The number of its bytes."""
        return math.prod(self.shape) * self.type.itemsize


@dataclass(frozen=True)
class Layout:
    """All places of a snapshot by their names, in the order of their offsets."""

    places: dict[str, Place]
    byte_count: int

    @staticmethod
    def reading(given: Any) -> Layout:
        """Returns the layout that a request gives."""
        try:
            places: dict[str, Place] = {}
            end = 0
            for tensor in sorted(given["tensors"], key=lambda tensor: tensor["byteOffset"]):
                place = Place(tuple(tensor["shape"]), TYPES[tensor["type"]], tensor["byteOffset"])
                if place.offset < end or place.offset + place.byte_count > given["byteCount"]:
                    raise ValueError(tensor["name"])
                end = place.offset + place.byte_count
                places[tensor["name"]] = place
            return Layout(places, given["byteCount"])
        except (KeyError, TypeError, ValueError) as error:
            raise RefusalError("request", f"the manifest of the weights is malformed at {error}") from None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the parameters by their names."""
        return {name: place.shape for name, place in self.places.items()}


class Snapshot:
    """The file of a snapshot, mapped: who reads it sees what is in it now."""

    def __init__(self, path: str, layout: Layout, writes: bool = False) -> None:
        try:
            with open(path, "r+b" if writes else "rb") as file:
                if os.fstat(file.fileno()).st_size != layout.byte_count:
                    raise RefusalError("file", f"{path} has not the {layout.byte_count} bytes of a snapshot")
                access = mmap.ACCESS_WRITE if writes else mmap.ACCESS_COPY
                self.memory = mmap.mmap(file.fileno(), layout.byte_count, access=access)
        except (OSError, ValueError) as error:
            raise RefusalError("file", f"{path} cannot be opened: {error}") from None
        self.places = layout.places

    def rows(self, name: str, rows: slice, _: tuple[int, ...]) -> torch.Tensor:
        """Returns some rows of a parameter, as a view; the layout was compared with the model's."""
        return self.read(name)[rows]

    def read(self, name: str) -> torch.Tensor:
        """Returns a parameter, as a view."""
        place = self.places[name]
        count = math.prod(place.shape)
        return torch.frombuffer(self.memory, dtype=place.type, count=count, offset=place.offset).view(place.shape)
