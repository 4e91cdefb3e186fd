"""weights: takes the weights of a version, which a learner sent, out of a file."""

from __future__ import annotations

from opd_torch.adapters import addition, stems
from opd_torch.engine import Engine
from opd_torch.layout import Snapshot
from opd_torch.messages import Message


def weights(engine: Engine, message: Message) -> Message:
    """Reads the snapshot `path`, by place; what is sampled afterwards is of `version`."""
    model, version = engine.model, int(message.number("version"))
    sampler, settings, layout = model.sampling(), model.settings.adapters, model.layout
    snapshot = Snapshot(message.text("path"), layout)
    with sampler.changing(version):
        if settings is None:
            for place in layout.places:
                model.everything.set(place.name, snapshot.read(place))
        else:
            # Summed up in f32, and rounded once.
            for stem in stems(layout):
                name = f"{stem}.weight"
                base = model.files.read(name, slice(None), model.everything.shapes[name]).float()
                model.everything.set(name, base + addition(snapshot, layout, settings, stem))
    return Message("weights")
