"""weights: takes the weights of a version, which a learner sent, out of a file."""

from __future__ import annotations

from functools import partial

import torch

from opd_torch.engine import Engine, LoadedModel
from opd_torch.layout import Snapshot
from opd_torch.messages import Message


def weights(engine: Engine, message: Message) -> Message:
    """Reads the snapshot `path`, by place; what is sampled afterwards is of `version`."""
    model, version = engine.model, int(message.number("version"))
    sampler, settings = model.sampling(), model.settings.adapters
    snapshot = Snapshot(message.text("path"), model.layout)
    with sampler.changing(version):
        if settings is None:
            model.everything.fill(snapshot.rows)
        else:
            # Summed up in f32, and rounded once.
            for matrix in model.student.adapted:
                a, b = (snapshot.read(f"{matrix.stem}.lora_{factor}.weight") for factor in "AB")
                own = f"{matrix.stem}.weight"
                sum_of = partial(_sum, model, matrix.addition(a, b, settings.scale))
                model.everything.fill(sum_of, {own: model.everything.parameters[own]})
    return Message("weights")


def _sum(model: LoadedModel, added: torch.Tensor, name: str, rows: slice, shape: tuple[int, ...]) -> torch.Tensor:
    return model.files.read(name, rows, shape).float() + added[rows]
