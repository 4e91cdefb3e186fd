"""restore: continues from what save, or the native engine, wrote."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import partial

import torch

from opd_torch.adapters import FINGERPRINT_KEY, PREFIX
from opd_torch.engine import Engine, LoadedModel
from opd_torch.errors import RefusalError
from opd_torch.messages import Message
from opd_torch.tensor_files import TensorFiles
from opd_torch.verbs.save import MOMENTS, STEP_KEY
from opd_torch.verbs.step import sum_of_squares


def restore(engine: Engine, message: Message) -> Message:
    """Reads weights, moments and the step from `folder`. A file that does not fit changes nothing but the weights."""
    model, folder = engine.model, message.text("folder")
    optimizer = model.training()
    weights, prefix = _weights(model, folder)
    model.trained.fill(partial(weights.read, prefix=prefix))
    _check_finite(engine, model.trained.parameters, f"{weights.path}: a weight")
    moments = TensorFiles(os.path.join(folder, "optimizer.safetensors"))
    step = moments.metadata.get(STEP_KEY, "")
    if not step.isdecimal():
        raise RefusalError("file", f"{moments.path}: its metadata lack '{STEP_KEY}'; use another checkpoint")
    for kind in MOMENTS:
        state = optimizer.state(kind)
        model.trained.fill(partial(moments.read, prefix=f"{kind}."), state)
        _check_finite(engine, state, f"{moments.path}: a moment")
    for count in optimizer.state("step").values():
        count.fill_(int(step))
    engine.pending = None
    return Message("restore", {"step": int(step)})


def _weights(model: LoadedModel, folder: str) -> tuple[TensorFiles, str]:
    settings = model.settings.adapters
    if settings is None:
        return TensorFiles(os.path.join(folder, "model")), ""
    files = TensorFiles(os.path.join(folder, "adapter", "adapter_model.safetensors"))
    if files.metadata.get(FINGERPRINT_KEY) != settings.fingerprint:
        raise RefusalError(
            "model",
            f"{model.settings.path} is not the model that the adapters of {folder} were trained on; give that one",
        )
    return files, PREFIX


def _check_finite(engine: Engine, tensors: Mapping[str, torch.Tensor], what: str) -> None:
    """Refuses numbers gone bad, on every rank when they are on any."""
    if not math.isfinite(sum_of_squares(engine, tensors.values())):
        raise RefusalError("file", f"{what} is not finite; use another checkpoint")
