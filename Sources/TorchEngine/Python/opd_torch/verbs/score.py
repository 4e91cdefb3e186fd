"""score: log-probabilities of response tokens, for a teacher."""

from __future__ import annotations

from opd_torch.engine import Engine
from opd_torch.messages import Message
from opd_torch.verbs.forward import evaluate


def score(engine: Engine, message: Message) -> Message:
    """Answers as forward does, and keeps nothing."""
    return evaluate(engine, message, keeps=False)
