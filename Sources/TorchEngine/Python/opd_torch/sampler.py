"""Responses under way: transformers' continuous batching over a paged cache, and which weights drew each token."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from opd_torch.errors import RefusalError, refusing
from opd_torch.messages import Array
from opd_torch.model import own_logprobs

# Of the cache on a CPU, whose memory holds twice the first responses; a GPU has pages as large as its kernels want.
PAGE = 32
# Most tokens of one pass on a CPU: its mask is of these times all that they see.
PASS = 1024
# In which two tokens are drawn from any model that can be sampled from.
PROBE_SECONDS = 300


# How tokens are drawn, the same way for all responses of an engine: the temperature, top_p and top_k.
Drawing = tuple[float, float, int]
# A response that has ended: its number, tokens, their log-probabilities and the versions that drew them.
Response = tuple[int, list[int], list[float], Array]


class Sampler:
    """Draws by itself, on a thread of its own, what it was given."""

    def __init__(self, causal: Any, slots: int, memory: float) -> None:
        self.causal, self.slots, self.memory = causal, slots, memory
        self.manager: Any = None
        self.drawing: Drawing | None = None
        self.capacity = 0  # tokens of one response, its prompt included
        self.version = 0
        # Of every response under way: from which of its tokens on which version draws.
        self.spans: dict[int, list[tuple[int, int]]] = {}
        self.ended: list[Response] = []
        self.passes = 0

    def submit(
        self, numbers: list[int], prompts: list[Array], limits: list[int], stop: list[int], how: Drawing
    ) -> None:
        """Begins responses, each with a number of its own."""
        lengths = [len(prompt) + limit for prompt, limit in zip(prompts, limits, strict=True)]
        if self.manager is None or (how != self.drawing and not self.spans):
            self.close()
            self._start(how, max(lengths))
        if how != self.drawing:
            raise RefusalError("request", "sampling changed while responses are under way; engine torch draws one way")
        if max(lengths) > self.capacity:
            raise RefusalError(
                "request",
                f"a prompt and its response of {max(lengths)} tokens are more than the {self.capacity} that fit; "
                "lower sampling.max_tokens, or shorten the prompts",
            )
        for number, prompt, limit in zip(numbers, prompts, limits, strict=True):
            self.spans[number] = [(0, self.version)]
            self.manager.add_request(
                prompt.tolist(), request_id=str(number), max_new_tokens=limit, eos_token_id=stop or [-1]
            )

    def _start(self, how: Drawing, longest: int) -> None:
        from transformers import ContinuousBatchingConfig, GenerationConfig
        from transformers import __version__ as version

        if tuple(int(part) for part in version.split(".")[:2]) < (5, 24):
            raise RefusalError("device", f"transformers {version} cannot pause its sampling; install 5.24 or newer")
        (temperature, top_p, top_k), config, device = how, self.causal.config, self.causal.device
        if temperature <= 0 or not 0 < top_p <= 1 or top_k < 0:
            raise RefusalError(
                "request",
                "engine torch draws with a sampling.temperature above 0, a sampling.top_p above 0 and at most 1, and a "
                "sampling.top_k of at least 0",
            )
        # Every field: what is not said would be the model's own, or a default that cuts tokens off.
        generation = GenerationConfig(
            do_sample=True, temperature=temperature, top_p=top_p, top_k=top_k, eos_token_id=-1
        )
        batching = ContinuousBatchingConfig(
            return_logprobs=True,
            # A prompt that was read with older weights must not be read from the cache.
            allow_block_sharing=False,
            # Otherwise a pass is under way while weights change, and nobody knows which drew its tokens.
            use_async_batching=False,
            auto_switch_to_flash=False,
            max_requests_per_batch=self.slots,
        )
        self.capacity = int(getattr(config, "max_position_embeddings", 0) or 1 << 30)
        if device.type == "cpu":
            batching.page_size, batching.max_batch_tokens = PAGE, PASS
            batching.num_blocks = max(64, self.slots * -(-2 * longest // PAGE))
            self.capacity = min(self.capacity, (batching.num_blocks - 1) * PAGE)
        else:
            batching.max_memory_percent = self.memory
        with refusing("model", "transformers cannot sample from this model"):
            self.manager = self.causal.init_continuous_batching(generation, batching)
        self.drawing = how
        self.manager.start()

    def probe(self) -> None:
        """Draws some tokens; a `RefusalError` says why transformers cannot sample from this model."""
        deadline, prompt = time.monotonic() + PROBE_SECONDS, np.arange(5, dtype=np.int32)
        what = "transformers' continuous batching cannot sample from this model"
        advice = "; let engine native or a server sample where they know the family (rollout.engine)"
        try:
            with refusing("model", what, advice), torch.no_grad():
                self.submit([0], [prompt], [4], [], (1.0, 1.0, 0))
                while not (ended := self.collect(1.0)[1]):
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"no token in {PROBE_SECONDS} s")
                _, drawn, logprobs, _ = ended[0]
                wanted = own_logprobs(self.causal, torch.tensor([*prompt, *drawn], device=self.causal.device), 5)
                apart = float((wanted.cpu() - torch.tensor(logprobs)).abs().max())
                if not apart < (2e-3 if self.causal.dtype == torch.float32 else 0.5):
                    raise RuntimeError(f"what it draws is {apart:.3g} nats from the model's own forward pass")
        finally:
            self.close()
            self.spans.clear()

    def cancel(self, numbers: list[int]) -> None:
        """Forgets responses."""
        for number in numbers:
            if self.spans.pop(number, None) is not None:
                self.manager.cancel_request(str(number))

    @contextlib.contextmanager
    def changing(self, version: int) -> Iterator[None]:
        """Stops between two passes; what is drawn afterwards is of `version`."""
        if self.manager is None or not self.spans:
            yield
        else:
            self._check()
            with self.manager.pause():
                # What has ended is of the weights before.
                self._take(0)
                yield
                scheduler = self.manager.batch_processor.scheduler
                states = {**scheduler.waiting_requests, **scheduler.active_requests}
                for number, spans in self.spans.items():
                    state = states.get(str(number))
                    drawn = len(state.logprobs) if state else 0
                    if spans[-1][0] == drawn:
                        spans.pop()
                    spans.append((drawn, version))
        self.version = version

    def collect(self, seconds: float) -> tuple[bool, list[Response]]:
        """Waits for a response to end; returns whether anything was drawn since the last time, and what has ended."""
        if self.spans and not self.ended:
            self._check()
            self._take(seconds)
        ended, self.ended = self.ended, []
        passes, self.passes = self.passes, getattr(self.manager, "current_batch", 0)
        return bool(ended) or self.passes != passes, ended

    def _take(self, seconds: float) -> None:
        while (output := self.manager.get_result(timeout=seconds)) is not None:
            if output.error is not None:
                self._check()
                raise RuntimeError(output.error)
            spans = self.spans.pop(int(output.request_id), None)
            if spans is not None:
                count = len(output.generated_tokens)
                versions = np.zeros(count, np.int32)
                for start, version in spans:
                    versions[start:] = version
                self.ended.append((int(output.request_id), output.generated_tokens, output.logprobs, versions))
            # Without waiting for more of them.
            seconds = 0

    def _check(self) -> None:
        """Throws what the thread died of."""
        error = self.manager.background_thread_status.fatal_error
        if error is not None or not self.manager.is_running():
            raise error or RuntimeError("transformers' sampling has stopped")

    def close(self) -> None:
        """Ends the thread, without which the process does not end."""
        if self.manager is not None:
            self.manager.stop(hard_stop=True)
            self.manager = None
