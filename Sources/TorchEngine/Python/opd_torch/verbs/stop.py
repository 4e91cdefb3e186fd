"""stop: ends the engine."""

from __future__ import annotations

from opd_torch.engine import Engine
from opd_torch.messages import Message


def stop(engine: Engine, message: Message) -> Message:
    """Answers; the ranks end after it."""
    engine.close()
    return Message(message.verb)
