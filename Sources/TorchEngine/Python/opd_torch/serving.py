"""The loop of a rank: takes requests, has every rank do them, answers."""

from __future__ import annotations

import os
import select
import sys
import threading

import zmq

from opd_torch.engine import Engine
from opd_torch.errors import RefusalError, is_of_memory, one_line
from opd_torch.messages import Message
from opd_torch.verbs import VERBS

# The learner's words for what went wrong begin with this.
PREFIX = "opd_torch: "
# What to change where memory ends, by who needs it.
ROOM = {
    "sample": "lower torch.cache or pipeline.slots",
    "score": "raise torch.processes, or set torch.dtype: bf16",
    "load": "raise torch.processes, or set torch.dtype: bf16",
}
TRAINING_ROOM = "lower training.token_budget, set torch.recompute: true, or raise torch.processes"


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
        poll.poll()
        os._exit(3)

    threading.Thread(target=wait, daemon=True).start()


class Channel:
    """Rank 0's socket; the other ranks have one that leads nowhere."""

    def __init__(self, endpoint: str | None) -> None:
        self.socket: zmq.Socket[bytes] | None = None
        if endpoint is not None:
            self.socket = zmq.Context().socket(zmq.DEALER)
            self.socket.setsockopt(zmq.LINGER, 2000)
            self.socket.connect(endpoint)

    def receive(self) -> Message | None:
        """Waits for a request; there is none where it was malformed, which is answered."""
        if self.socket is None:
            return None
        try:
            return Message.reading(self.socket.recv_multipart())
        except RefusalError as refusal:
            self.send(refused(refusal))
            return None

    def send(self, message: Message) -> None:
        """Sends a message."""
        if self.socket is not None:
            self.socket.send_multipart(message.frames())

    def close(self) -> None:
        """Sends what is left."""
        if self.socket is not None:
            self.socket.context.destroy(2000)


def serve(engine: Engine, channel: Channel) -> None:
    """Answers until a learner says stop."""
    while True:
        request = engine.ranks.share(channel.receive())
        if request is None:
            continue
        answer = _answer(engine, request, channel)
        answer.id = request.id
        channel.send(answer)
        if request.verb == "stop":
            return


def _answer(engine: Engine, request: Message, channel: Channel) -> Message:
    try:
        if request.verb not in VERBS:
            raise RefusalError("request", f"there is no verb {request.verb}")
        return VERBS[request.verb](engine, request)
    except RefusalError as refusal:
        return refused(refusal)
    except Exception as error:
        # Other ranks may be in the middle of a pass: there is no way back.
        code, reason = "failure", f"{request.verb} failed: {type(error).__name__}: {error}"
        if is_of_memory(error):
            code, reason = "memory", f"out of memory in {request.verb}; {ROOM.get(request.verb, TRAINING_ROOM)}"
        line = f"rank {engine.ranks.rank}: {reason}"
        say(line)
        channel.send(refused(RefusalError(code, line), request.id))
        channel.close()
        raise FatalError(line) from error


def refused(refusal: RefusalError, request: int = 0) -> Message:
    """Returns the answer that is none."""
    return Message("error", {"code": refusal.code, "message": str(refusal)}, id=request)
