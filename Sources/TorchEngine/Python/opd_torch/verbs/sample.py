"""sample: begins and forgets responses, and answers those that have ended."""

from __future__ import annotations

import numpy as np

from opd_torch.engine import Engine
from opd_torch.errors import RefusalError
from opd_torch.messages import Array, Message

# Seconds.
LONGEST_WAIT = 60.0


def sample(engine: Engine, message: Message) -> Message:
    """Takes prompts (`tokens`, `counts`), their `numbers` and `limits`, and `cancelled`; waits `wait` seconds at most.

    Answers `numbers`, `counts`, `tokens`, `logprobs` of the distribution that was drawn from, and the `versions` of the
    weights that drew them.
    """
    model = engine.model
    sampler = model.sampling()
    tokens, counts, numbers, limits, stop, cancelled = (
        message.array(name, "i32") for name in ("tokens", "counts", "numbers", "limits", "stop", "cancelled")
    )
    lengths = counts.astype(np.int64)
    if not len(counts) == len(numbers) == len(limits) or (lengths < 1).any() or int(lengths.sum()) != len(tokens):
        raise RefusalError("request", "sample has arrays that do not fit together, or an empty prompt")
    if (limits < 1).any() or len(set(numbers.tolist()) | sampler.spans.keys()) != len(numbers) + len(sampler.spans):
        raise RefusalError("request", "sample has a response without a number of its own, or without a token")
    model.check_ids(tokens, message.verb)
    model.check_length(int((lengths + limits).max(initial=0)))
    sampler.cancel(cancelled.tolist())
    if len(counts):
        how = (message.number("temperature"), message.number("top_p"), int(message.number("top_k")))
        sampler.submit(numbers.tolist(), np.split(tokens, np.cumsum(lengths)[:-1]), limits.tolist(), stop.tolist(), how)
    moved, ended = sampler.collect(min(max(message.number("wait"), 0), LONGEST_WAIT))

    def joined(place: int, kind: type[np.generic]) -> Array:
        return np.concatenate([np.zeros(0, kind), *(np.asarray(response[place], kind) for response in ended)])

    arrays = {
        "numbers": np.array([response[0] for response in ended], np.int32),
        "counts": np.array([len(response[1]) for response in ended], np.int32),
        "tokens": joined(1, np.int32),
        "logprobs": joined(2, np.float32),
        "versions": joined(3, np.int32),
    }
    return Message("sample", {"moved": moved}, arrays)
