"""score: log-probabilities of response tokens, for a teacher."""

from __future__ import annotations

import torch

from opd_torch.engine import Engine
from opd_torch.messages import Message
from opd_torch.model import row_logprobs
from opd_torch.packing import Sequences
from opd_torch.verbs.forward import evaluation


def score(engine: Engine, message: Message) -> Message:
    """Answers as forward does, and keeps nothing."""
    model = engine.model
    sequences = Sequences.of(message, engine.ranks.count, model.vocabulary)
    with torch.no_grad():
        logprobs, entropies = model.student(row_logprobs, sequences.row(engine.ranks.rank, engine.ranks.device))
    model.forget_whole_weights()
    return evaluation(engine, message.verb, logprobs, entropies)
