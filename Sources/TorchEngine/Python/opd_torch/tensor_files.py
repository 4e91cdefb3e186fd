"""Safetensors files: read a rank's rows of a tensor, written a tensor at a time."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable

import torch
from safetensors import SafetensorError, safe_open

from opd_torch.errors import RefusalError
from opd_torch.ranks import Ranks


class TensorFiles:
    """The tensors of a folder (`model.safetensors`, or what its index lists) or of one file."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            paths = [path] if os.path.isfile(path) else _files(path)
            self.files = [safe_open(file, framework="pt") for file in paths]
            self.metadata = {key: text for file in self.files for key, text in (file.metadata() or {}).items()}
            self.places = {name: file for file in self.files for name in file.keys()}  # noqa: SIM118
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise RefusalError("file", f"{path} cannot be read: {error}") from None

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor that has to be there."""
        if name not in self.places:
            raise RefusalError("file", f"{self.path} has no tensor {name}")
        return tuple(self.places[name].get_slice(name).get_shape())

    def read(self, name: str, rows: slice, shape: tuple[int, ...], prefix: str = "") -> torch.Tensor:
        """Returns some rows of a tensor that has to have this shape; `prefix` stands before its name in the file."""
        name = prefix + name
        found = self.shape(name)
        if found != shape:
            raise RefusalError("file", f"{self.path}: {name} is {list(found)}, not {list(shape)}")
        return self.places[name].get_slice(name)[rows] if shape else self.places[name].get_tensor(name)


def _files(folder: str) -> list[str]:
    whole, index = (os.path.join(folder, name) for name in ("model.safetensors", "model.safetensors.index.json"))
    if os.path.isfile(whole):
        return [whole]
    if not os.path.isfile(index):
        raise RefusalError("model", f"{folder} has no model.safetensors; write it anew with opd convert")
    with open(index) as file:
        names = sorted(set(json.load(file)["weight_map"].values()))
    if any(os.path.basename(name) != name for name in names):
        raise ValueError("the index names files outside the folder")
    return [os.path.join(folder, name) for name in names]


def write_tensors(
    path: str,
    ranks: Ranks,
    shapes: dict[str, tuple[int, ...]],
    values: Iterable[tuple[str, torch.Tensor]],
    metadata: dict[str, str] | None = None,
) -> None:
    """Has rank 0 write f32 tensors as they come, flushed to disk. `values` is gone through on every rank."""
    header: dict[str, object] = {"__metadata__": metadata or {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)

    def reserve() -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 8 + len(text) + end)

    # A full disk is met here, by all ranks, and not by one of them in the middle of what all do together.
    ranks.first(path, reserve)
    with open(path if ranks.is_first else os.devnull, "r+b") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for wanted, (name, tensor) in zip(shapes, values, strict=True):
            if name != wanted:
                raise RuntimeError(f"{path} has {wanted} where {name} comes")
            if ranks.is_first:
                file.write(tensor.float().contiguous().cpu().numpy().data)
        if ranks.is_first:
            file.flush()
            os.fsync(file.fileno())


def write_json(path: str, content: object) -> None:
    """Writes a small file, flushed to disk."""
    with open(path, "w") as file:
        file.write(json.dumps(content, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
