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
    model = engine.model
    model.training()
    if engine.pending is not None:
        raise RefusalError("request", "a forward pass is waiting for its backward pass")
    sequences = Sequences.of(message, engine.ranks.count, model.vocabulary)
    row = sequences.row(engine.ranks.rank, engine.ranks.device)
    logprobs, entropies = model.student(row_logprobs, row)
    engine.pending = (logprobs, sequences)
    return evaluation(engine, message.verb, logprobs, entropies)


def evaluation(engine: Engine, verb: str, logprobs: torch.Tensor, entropies: torch.Tensor) -> Message:
    """Returns what all ranks computed, one after the other."""
    parts = engine.ranks.gather(torch.stack([logprobs.detach(), entropies.detach()]).cpu().numpy())
    both = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0), np.float32)
    return Message(verb, {}, {"logprobs": both[0], "entropies": both[1]})
