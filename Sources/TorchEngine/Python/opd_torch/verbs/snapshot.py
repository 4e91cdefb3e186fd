"""snapshot: writes the weights as workers take them."""

from __future__ import annotations

import mmap
import os

import torch

from opd_torch.engine import Engine
from opd_torch.errors import RefusalError
from opd_torch.messages import Message


def snapshot(engine: Engine, message: Message) -> Message:
    """Writes into the file `path`, which has the layout's size, by place."""
    model = engine.model
    memory = _mapped(message.text("path"), model.layout.byte_count) if engine.ranks.is_first else None
    if memory is not None and model.settings.adapters is not None:
        memory[: len(model.settings.adapters.head)] = model.settings.adapters.head
    for place in model.layout.places:
        kind = torch.float32 if place.type == "f32" else torch.bfloat16
        whole = model.trained.whole(place.name, model.trained.local(place.name).to(kind))
        if memory is not None:
            values = whole.contiguous().cpu().view(torch.uint8).numpy()
            memory[place.offset : place.offset + place.byte_count] = values.tobytes()
    if memory is not None:
        memory.close()
    return Message("snapshot", {"byteCount": model.layout.byte_count})


def _mapped(path: str, byte_count: int) -> mmap.mmap:
    try:
        with open(path, "r+b") as file:
            if os.fstat(file.fileno()).st_size != byte_count:
                raise RefusalError("file", f"{path} has not the {byte_count} bytes of a snapshot")
            return mmap.mmap(file.fileno(), byte_count)
    except OSError as error:
        raise RefusalError("file", f"{path} cannot be written: {error.strerror}") from None
