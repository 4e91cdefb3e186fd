"""What an engine tells its learner when it cannot do what was asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


class RefusalError(Exception):
    """One line that says what does not fit; every rank comes to it by itself, and the engine goes on.

    Codes: `request` (a message), `model` (transformers or this package does not take it), `adapters`, `device`,
    `file`, `memory`, `failure`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(one_line(message))
        self.code = code


def is_of_memory(error: Exception) -> bool:
    """Says whether memory ended, for which torch has no type of its own on a CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


@contextlib.contextmanager
def refusing(code: str, what: str, advice: str = "") -> Iterator[None]:
    """Makes a refusal of what goes wrong in another's code, but for memory that ends."""
    try:
        yield
    except Exception as error:
        if isinstance(error, RefusalError) or is_of_memory(error):
            raise
        raise RefusalError(code, f"{what} ({type(error).__name__}: {error}){advice}") from None


def one_line(text: str, limit: int = 600) -> str:
    """Returns a text without line breaks, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
