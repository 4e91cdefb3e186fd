"""What an engine tells its learner when it cannot do what was asked."""

from __future__ import annotations


class RefusalError(Exception):
    """One line that says what does not fit; every rank comes to it by itself, and the engine goes on.

    Codes: `request` (a message), `model` (transformers or this package does not take it), `adapters`, `device`,
    `file`, `memory`, `failure`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(one_line(message))
        self.code = code


def one_line(text: str, limit: int = 600) -> str:
    """Returns a text without line breaks, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
