"""Messages between a learner and its engine: frames, a JSON header, arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from opd_torch import PROTOCOL_VERSION
from opd_torch.errors import RefusalError

# The first frame of every message: `OPE` and the version.
MAGIC = b"OPE" + bytes([PROTOCOL_VERSION])
MAXIMUM_HEADER_BYTES = 4 << 20
MAXIMUM_ARRAYS = 8
TYPES: dict[str, np.dtype[Any]] = {"i32": np.dtype("<i4"), "f32": np.dtype("<f4")}

Array: TypeAlias = npt.NDArray[Any]


@dataclass
class Message:
    """A request or its answer: what is to be done, settings by name, arrays by name."""

    verb: str
    fields: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    id: int = 0

    def frames(self) -> list[bytes]:
        """Returns the frames that are sent."""
        names = {dtype: name for name, dtype in TYPES.items()}
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        listed = [[name, names[array.dtype.newbyteorder("<")], int(array.size)] for name, array in arrays.items()]
        header = {**self.fields, "verb": self.verb, "id": self.id, "arrays": listed}
        return [MAGIC, json.dumps(header).encode(), *(array.tobytes() for array in arrays.values())]

    @staticmethod
    def reading(frames: Sequence[bytes]) -> Message:
        """Returns the message in `frames`; a `RefusalError` says why there is none."""
        if len(frames) < 2 or frames[0] != MAGIC:
            raise RefusalError("request", f"a first frame is not {MAGIC!r}: learner and engine are of two versions")
        if len(frames[1]) > MAXIMUM_HEADER_BYTES or len(frames) > 2 + MAXIMUM_ARRAYS:
            raise RefusalError("request", "a message is too long")
        try:
            header = json.loads(frames[1])
        except (ValueError, RecursionError) as error:
            raise RefusalError("request", f"a header is not JSON: {error}") from None
        if not isinstance(header, dict) or not isinstance(header.get("verb"), str):
            raise RefusalError("request", "a header has no verb")
        listed = header.pop("arrays", [])
        if not isinstance(listed, list) or len(listed) != len(frames) - 2:
            raise RefusalError("request", "a header lists other arrays than came with it")
        arrays: dict[str, Array] = {}
        for entry, frame in zip(listed, frames[2:], strict=True):
            match entry:
                case [str(name), str(kind), int(count)] if kind in TYPES and count * 4 == len(frame):
                    arrays[name] = np.frombuffer(frame, TYPES[kind])
                case _:
                    raise RefusalError("request", f"the array {entry!r} is not what came with it")
        number = header.pop("id", 0)
        if not isinstance(number, int):
            raise RefusalError("request", "a header's id is no number")
        return Message(header.pop("verb"), header, arrays, number)

    def array(self, name: str, kind: str) -> Array:
        """Returns an array that has to be there."""
        array = self.arrays.get(name)
        if array is None or array.dtype != TYPES[kind]:
            raise RefusalError("request", f"{self.verb} needs an array {name} of {kind}")
        return array

    def number(self, name: str) -> float:
        """Returns a setting that has to be a number."""
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RefusalError("request", f"{self.verb} needs a number {name}")
        return float(value)

    def text(self, name: str) -> str:
        """Returns a setting that has to be a text."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise RefusalError("request", f"{self.verb} needs a text {name}")
        return value
