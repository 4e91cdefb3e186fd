"""snapshot: writes the weights as workers take them."""

from __future__ import annotations

from opd_torch.engine import Engine
from opd_torch.layout import Snapshot
from opd_torch.messages import Message


def snapshot(engine: Engine, message: Message) -> Message:
    """Writes into the file `path`, which has the layout's size, by place."""
    model = engine.model
    file = Snapshot(message.text("path"), model.layout, writes=True) if engine.ranks.is_first else None
    if file:
        file.memory[: len(model.head)] = model.head
    for name, values in model.trained.wholes(types={name: place.type for name, place in model.layout.places.items()}):
        if file:
            file.read(name).copy_(values)
    return Message("snapshot", {"byteCount": model.layout.byte_count})
