"""Log-probabilities and entropies of given tokens, a block of rows at a time: tokens x vocabulary never exists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

# Values of one block of logits, 128 MiB of f32.
BLOCK_VALUES = 1 << 25


# What a family does to logits [rows, vocabulary] behind its head.
Finish = Callable[[torch.Tensor], torch.Tensor]


def unchanged(logits: torch.Tensor) -> torch.Tensor:
    """Returns the logits of a family that does nothing to them."""
    return logits


def _product(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Returns hidden times the head, summed up and kept in f32 whatever the two are."""
    if hidden.dtype == torch.float32:
        return hidden @ weight.t()
    if hidden.is_cuda:
        return torch.mm(hidden, weight.t(), out_dtype=torch.float32)
    return hidden.float() @ weight.float().t()


def _raw(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    product = _product(hidden, weight)
    return product if bias is None else product.add_(bias.float())


def _blocks(rows: int, vocabulary: int) -> Iterator[slice]:
    size = max(1, BLOCK_VALUES // vocabulary)
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


class BlockedHead(torch.autograd.Function):
    """Log-probabilities [R] and entropies [R] in nats, f32, at temperatures of their own.

    hidden is [R, D], weight [V, D], bias [V] where there is one, targets [R]. Gradients flow through the
    log-probabilities alone.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        finish: Finish,
        targets: torch.Tensor,
        inverse: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes both."""
        rows = hidden.shape[0]
        logprobs, entropies, sums = (torch.empty(rows, dtype=torch.float32, device=hidden.device) for _ in range(3))
        for block in _blocks(rows, weight.shape[0]):
            logits = finish(_raw(hidden[block], weight, bias)) * inverse[block, None]
            sums[block] = torch.logsumexp(logits, -1)
            chosen = logits.gather(1, targets[block, None])[:, 0]
            logprobs[block] = chosen - sums[block]
            entropies[block] = sums[block] - ((logits - sums[block, None]).exp_() * logits).sum(-1)
        ctx.save_for_backward(hidden, weight, bias, targets, inverse, sums)
        ctx.finish = finish
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Computes the logits again, and what is left of the gradient of the log-probabilities."""
        hidden, weight, bias, targets, inverse, sums = ctx.saved_tensors
        d_hidden = torch.empty_like(hidden)
        # In f32 over all blocks: autograd rounds them to the parameters' type, once, when they are whole.
        d_weight, d_bias = (
            torch.zeros_like(parameter, dtype=torch.float32) if is_needed else None
            for parameter, is_needed in zip((weight, bias), ctx.needs_input_grad[1:3], strict=True)
        )
        for block in _blocks(hidden.shape[0], weight.shape[0]):
            raw = _raw(hidden[block], weight, bias).requires_grad_()
            with torch.enable_grad():
                finished = ctx.finish(raw)
            # d log p / d logits = one-hot - softmax.
            d_logits = (finished.detach() * inverse[block, None]).sub_(sums[block, None]).exp_().neg_()
            d_logits.scatter_add_(1, targets[block, None], torch.ones_like(sums[block, None]))
            d_logits *= (gradients[0][block] * inverse[block])[:, None]
            (d_logits,) = torch.autograd.grad(finished, raw, d_logits)
            narrow = d_logits.to(hidden.dtype)
            d_hidden[block] = narrow @ weight
            if d_weight is not None:
                d_weight += _product(narrow.t(), hidden[block].t())
            if d_bias is not None:
                d_bias += d_logits.sum(0)
        return d_hidden, d_weight, d_bias, None, None, None
