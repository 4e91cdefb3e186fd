"""backward: adds the gradient of the last forward pass to those before it."""

from __future__ import annotations

import torch

from opd_torch.engine import Engine
from opd_torch.errors import RefusalError
from opd_torch.messages import Message


def backward(engine: Engine, message: Message) -> Message:
    """Takes `gradient`, dL/ds of every response token in the order of the forward pass."""
    if engine.pending is None:
        raise RefusalError("request", "no forward pass is waiting for this backward pass")
    gradient = message.array("gradient", "f32")
    logprobs, sequences = engine.pending
    if len(gradient) != int((sequences.counts - sequences.prompt_counts).sum()):
        raise RefusalError("request", "backward has not one value a response token")
    engine.pending = None
    mine = gradient[sequences.response_slice(engine.ranks.rank)]
    logprobs.backward(torch.tensor(mine, device=logprobs.device))
    return Message("backward")
