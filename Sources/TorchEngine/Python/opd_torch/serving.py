"""The loop of a rank: takes requests, has every rank do them, answers."""

from __future__ import annotations

import os
import select
import sys
import threading
from typing import Any

import torch
import zmq

from opd_torch.engine import Engine
from opd_torch.errors import RefusalError, one_line
from opd_torch.messages import Message
from opd_torch.verbs import VERBS

# The learner's words for what went wrong begin with this.
PREFIX = "opd_torch: "


class FatalError(Exception):
    """What a rank cannot go on after, in one line that is said already."""


def say(line: str) -> None:
    """Writes one line for the learner, which reads what the ranks say last."""
    print(PREFIX + one_line(line), file=sys.stderr, flush=True)


def end_with(process_id: int) -> None:
    """Ends this process as soon as another ends: a rank without a learner would keep its GPU for ever."""
    try:
        descriptor = os.pidfd_open(process_id)
    except OSError:
        say(f"the learner {process_id} is gone")
        os._exit(3)

    def wait() -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not poll.poll():
            pass
        os._exit(3)

    threading.Thread(target=wait, daemon=True).start()


class Channel:
    """Rank 0's socket."""

    def __init__(self, endpoint: str) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 2000)
        self.socket.connect(endpoint)

    def receive(self) -> list[bytes]:
        """Waits for a message and returns its frames."""
        return self.socket.recv_multipart()

    def send(self, message: Message) -> None:
        """Sends a message."""
        self.socket.send_multipart(message.frames())

    def close(self) -> None:
        """Sends what is left."""
        self.socket.close()
        self.context.term()


def serve(engine: Engine, channel: Channel | None) -> None:
    """Answers until a learner says stop. Rank 0 has the channel."""
    while True:
        request = _next(channel) if channel else None
        request = engine.ranks.share(request)
        if request is None:
            continue
        answer = _answer(engine, request, channel)
        answer.id = request.id
        if channel:
            channel.send(answer)
        if request.verb == "stop":
            return


def _next(channel: Channel) -> Message | None:
    try:
        return Message.reading(channel.receive())
    except RefusalError as refusal:
        channel.send(refused(refusal))
        return None


def _answer(engine: Engine, request: Message, channel: Channel | None) -> Message:
    try:
        verb = VERBS.get(request.verb)
        if verb is None:
            raise RefusalError("request", f"there is no verb {request.verb}")
        return verb(engine, request)
    except RefusalError as refusal:
        return refused(refusal)
    except Exception as error:
        # Other ranks may be in the middle of a pass: there is no way back.
        line = f"rank {engine.ranks.rank}: {_reason(error, request.verb)}"
        say(line)
        if channel:
            code = "memory" if _is_out_of_memory(error) else "failure"
            answer = refused(RefusalError(code, line))
            answer.id = request.id
            channel.send(answer)
            channel.close()
        raise FatalError(line) from error


def refused(refusal: RefusalError) -> Message:
    """Returns the answer that is none."""
    fields: dict[str, Any] = {"code": refusal.code, "message": str(refusal)}
    return Message("error", fields)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def _reason(error: Exception, verb: str) -> str:
    if _is_out_of_memory(error):
        return (
            f"out of memory in {verb}; lower training.token_budget, set torch.recompute: true, or raise torch.processes"
        )
    return f"{verb} failed: {type(error).__name__}: {error}"
