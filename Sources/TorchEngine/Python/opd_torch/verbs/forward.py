"""forward: log-probabilities and entropies of response tokens, with what the backward pass needs."""

from __future__ import annotations

import numpy as np
import torch

from opd_torch.engine import Engine
from opd_torch.errors import RefusalError
from opd_torch.messages import Message
from opd_torch.model import row_logprobs
from opd_torch.packing import Sequences


def forward(engine: Engine, message: Message) -> Message:
    """Answers `logprobs` and `entropies`, one a response token, in the order of the request."""
    engine.model.training()
    if engine.pending is not None:
        raise RefusalError("request", "a forward pass is waiting for its backward pass")
    return evaluate(engine, message, keeps=True)


def evaluate(engine: Engine, message: Message, keeps: bool) -> Message:
    """Has every rank compute its sequences, and returns what all of them found, one after the other."""
    model = engine.model
    sequences = Sequences.of(message, engine.ranks.count)
    model.check_ids(sequences.tokens, message.verb)
    model.check_length(int(sequences.counts.max(initial=0)))
    row = sequences.row(engine.ranks.rank, engine.ranks.device, model.student.is_apart)
    with torch.set_grad_enabled(keeps):
        logprobs, entropies = model.student(row_logprobs, row)
    if keeps:
        engine.pending = (logprobs, sequences)
    parts = engine.ranks.gather(torch.stack([logprobs.detach(), entropies.detach()]).cpu().numpy())
    both = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0), np.float32)
    return Message(message.verb, {}, {"logprobs": both[0], "entropies": both[1]})
