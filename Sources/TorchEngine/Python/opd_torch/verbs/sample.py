"""sample: responses to prompts, drawn by random numbers of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from opd_torch.engine import Engine
from opd_torch.errors import RefusalError
from opd_torch.messages import Array, Message


@dataclass
class _Settings:
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    stop: torch.Tensor


def sample(engine: Engine, message: Message) -> Message:
    """Answers `tokens`, `logprobs` (of the tempered softmax over the whole vocabulary) and `counts`.

    Takes `tokens` and `counts` of prompts and, for each, `seeds` (two i32, low half first) and `samples`: these, the
    prompt and the weights decide what is drawn. Every rank computes all of it.
    """
    model = engine.model
    tokens, counts = message.array("tokens", "i32").astype(np.int64), message.array("counts", "i32").astype(np.int64)
    seeds, samples = message.array("seeds", "i32"), message.array("samples", "i32")
    fits = len(counts) > 0 and len(seeds) == 2 * len(counts) and len(samples) == len(counts)
    if not fits or (counts < 1).any() or int(counts.sum()) != len(tokens):
        raise RefusalError("request", "sample has arrays that do not fit together, or an empty prompt")
    if ((tokens < 0) | (tokens >= model.vocabulary)).any():
        raise RefusalError("request", f"sample has ids outside the model's vocabulary of {model.vocabulary}")
    settings = _Settings(
        max_tokens=max(1, int(message.number("max_tokens"))),
        temperature=message.number("temperature"),
        top_p=message.number("top_p"),
        top_k=int(message.number("top_k")),
        stop=torch.from_numpy(message.array("stop", "i32").astype(np.int64)).to(engine.ranks.device),
    )
    halves = seeds.reshape(-1, 2).astype(np.int64).astype(np.uint64) & np.uint64(0xFFFFFFFF)
    keys = _mix((halves[:, 1] << np.uint64(32) | halves[:, 0]) ^ _mix(samples.astype(np.uint64)))
    prompts = np.split(tokens, np.cumsum(counts)[:-1])
    training = model.student.training
    model.student.eval()
    with torch.no_grad():
        drawn = model.student(_draw, prompts, keys, settings, engine.ranks.device)
    model.student.train(training)
    model.forget_whole_weights()
    return Message(
        "sample",
        {},
        {
            "tokens": np.concatenate([ids for ids, _ in drawn]).astype(np.int32),
            "logprobs": np.concatenate([values for _, values in drawn]).astype(np.float32),
            "counts": np.array([len(ids) for ids, _ in drawn], np.int32),
        },
    )


def _draw(
    causal: Any, prompts: list[Array], keys: Array, settings: _Settings, device: torch.device
) -> list[tuple[list[int], list[float]]]:
    """Draws a token of every response that has not ended, until all have."""
    from transformers import DynamicCache

    width = max(len(prompt) for prompt in prompts)
    ids = torch.zeros(len(prompts), width, dtype=torch.int64, device=device)
    mask = torch.zeros_like(ids)
    for index, prompt in enumerate(prompts):
        ids[index, width - len(prompt) :] = torch.from_numpy(prompt).to(device)
        mask[index, width - len(prompt) :] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache(config=causal.config)
    drawn: list[tuple[list[int], list[float]]] = [([], []) for _ in prompts]
    active = list(range(len(prompts)))
    for place in range(settings.max_tokens):
        hidden = causal.base_model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        ).last_hidden_state[:, -1]
        logits = causal.get_output_embeddings()(hidden).float()
        chosen, logprobs = _choose(logits, _uniform(keys[active], place), settings)
        ended = torch.isin(chosen, settings.stop).tolist()
        for row, index in enumerate(active):
            drawn[index][0].append(int(chosen[row]))
            drawn[index][1].append(float(logprobs[row]))
        left = [row for row in range(len(active)) if not ended[row]]
        if not left:
            break
        kept = torch.tensor(left, device=device)
        if len(left) < len(active):
            cache.batch_select_indices(kept)
        active = [active[row] for row in left]
        ids = chosen[kept, None]
        mask = torch.cat([mask[kept], torch.ones(len(left), 1, dtype=mask.dtype, device=device)], 1)
        positions = positions[kept, -1:] + 1
    return drawn


def _choose(logits: torch.Tensor, uniform: Array, settings: _Settings) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns a token of each row and its log-probability; temperature 0 is greedy."""
    logprobs = torch.log_softmax(logits / (settings.temperature if settings.temperature > 0 else 1.0), -1)
    if settings.temperature <= 0:
        chosen = logits.argmax(-1)
    else:
        # Sorted by probability: what is left out lies at the end.
        probabilities, order = logprobs.double().exp().sort(dim=-1, descending=True, stable=True)
        if settings.top_k > 0:
            probabilities[:, settings.top_k :] = 0
        before = probabilities.cumsum(-1) - probabilities
        probabilities[before >= settings.top_p * probabilities.sum(-1, keepdim=True)] = 0
        sums = probabilities.cumsum(-1)
        thresholds = torch.from_numpy(uniform).to(logits.device)[:, None] * sums[:, -1:]
        place = torch.searchsorted(sums, thresholds, right=True).clamp(max=logits.shape[-1] - 1)
        chosen = order.gather(1, place)[:, 0]
    return chosen, logprobs.gather(1, chosen[:, None])[:, 0]


def _mix(value: Array) -> Array:
    """Returns SplitMix64's finaliser of each number."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _uniform(keys: Array, place: int) -> Array:
    """Returns a number of 0 ..< 1 for each response, which depends on its key and the place alone."""
    return (_mix(keys ^ _mix(np.array([place], np.uint64))) >> np.uint64(11)).astype(np.float64) / (1 << 53)
