"""step: one optimizer step with the gradient of the backward passes since the last."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from opd_torch.engine import Engine, local
from opd_torch.errors import RefusalError
from opd_torch.messages import Message

# Its square is far from the largest f32, so that no moment ever is infinite.
LARGEST_NORM = 1e18
# What adapters add stays a number.
LARGEST_ADAPTER_SQUARES = 1e30


def step(engine: Engine, message: Message) -> Message:
    """Clips and applies the gradient, or with `apply` false forgets it.

    Answers the gradient's norm before clipping, whether weights and moments were changed, and whether the weights are
    finite then. A gradient that is not finite changes nothing.
    """
    model = engine.model
    optimizer = model.training()
    if engine.pending is not None:
        raise RefusalError("request", "a forward pass is waiting for its backward pass")
    names = ("learning_rate", "epsilon", "weight_decay", "clip_grad_norm", "beta1", "beta2")
    rate, epsilon, decay, limit, *betas = (message.number(name) for name in names)
    parameters: dict[str, Any] = dict(optimizer.parameters)
    for parameter in parameters.values():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [local(parameter.grad) for parameter in parameters.values()]
    norm = math.sqrt(sum_of_squares(engine, gradients))
    # The guard against a zero norm is that of torch.nn.utils.clip_grad_norm_.
    scale = limit / (norm + 1e-6) if limit > 0 and norm > limit else 1.0
    applied = bool(message.fields.get("apply", True)) and math.isfinite(norm) and norm * scale < LARGEST_NORM
    finite = True
    if applied:
        torch._foreach_mul_(gradients, scale)
        optimizer.adamw.param_groups[0] |= {"lr": rate, "eps": epsilon, "weight_decay": decay, "betas": betas}
        optimizer.adamw.step()
        squares = sum_of_squares(engine, parameters.values())
        finite = squares < LARGEST_ADAPTER_SQUARES if model.settings.adapters else math.isfinite(squares)
    optimizer.adamw.zero_grad()
    # What JSON has no number for.
    return Message("step", {"norm": norm if math.isfinite(norm) else None, "applied": applied, "finite": finite})


def sum_of_squares(engine: Engine, tensors: Iterable[torch.Tensor]) -> float:
    """Returns the sum of the squares of what all ranks have, on every rank."""
    sums = [torch.linalg.vector_norm(local(tensor), dtype=torch.float64).square() for tensor in tensors]
    return float(engine.ranks.sum(torch.stack(sums).sum()))
