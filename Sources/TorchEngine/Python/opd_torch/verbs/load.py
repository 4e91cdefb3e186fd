"""load: makes a model of transformers ready to be trained, to score or to sample."""

from __future__ import annotations

import dataclasses
import re

import torch

from opd_torch import adapters
from opd_torch.adapters import AdapterSettings
from opd_torch.engine import Engine, LoadedModel, Weights
from opd_torch.errors import RefusalError
from opd_torch.layout import TYPES, Layout, Snapshot
from opd_torch.messages import Message
from opd_torch.model import USES, ModelSettings, Student, build, public_name, row_logprobs, stored_names
from opd_torch.packing import Row
from opd_torch.tensor_files import TensorFiles


def load(engine: Engine, message: Message) -> Message:
    """Loads the folder `model` and answers what it is."""
    fields = {**message.fields, "path": message.text("model")}
    manifest, given = fields.get("manifest"), fields.get("adapters")
    try:
        own = {
            field.name: fields[field.name] for field in dataclasses.fields(ModelSettings) if field.name != "adapters"
        }
        settings = ModelSettings(**own, adapters=AdapterSettings(**given) if given else None)
    except (KeyError, TypeError) as error:
        raise RefusalError("request", f"load has not the settings that it needs: {error}") from None
    layout = Layout.reading(manifest) if manifest else Layout([], 0)
    if settings.dtype not in TYPES or settings.use not in USES:
        raise RefusalError("request", f"load needs a dtype of {', '.join(TYPES)} and a use of {', '.join(USES)}")
    if settings.use == "sample" and engine.ranks.count > 1:
        raise RefusalError("request", "a sampler is one process; start as many workers as there are GPUs")
    if settings.use != "score" and not layout.places:
        raise RefusalError("request", f"a model that is to {settings.use} needs the manifest of its weights")
    # What was there before makes room.
    engine.close()
    # Missing weights are refused before there is memory for them.
    files = TensorFiles(settings.path)
    student = build(settings, engine.ranks, layout)
    stored = stored_names(student.model, list(files.places))
    own_names = {public_name(name): parameter for name, parameter in student.named_parameters()}
    parameters = {stored.get(name, name): parameter for name, parameter in own_names.items()}
    base = Weights({name: value for name, value in parameters.items() if ".lora_" not in name}, engine.ranks)
    _check_names(settings.path, base, files, student)
    for name, shape in base.shapes.items():
        base.set(name, files.read(name, base.rows(name), shape))
    trained, head = base, b""
    if settings.adapters is not None:
        adapters.check(layout, base.shapes, settings.adapters.rank)
        if settings.use == "train":
            snapshot = Snapshot(settings.adapters.values, layout)
            head = snapshot.memory[: adapters.HEAD_BYTES]
            trained = Weights({name: parameters[name] for name in layout.shapes}, engine.ranks)
            for place in layout.places:
                trained.set(place.name, snapshot.read(place)[trained.rows(place.name)])
    elif layout.places and layout.shapes != base.shapes:
        name = min(set(layout.shapes.items()) ^ set(base.shapes.items()))[0]
        raise RefusalError("model", f"{name} is not the same parameter for the learner and for transformers")
    model = LoadedModel(student, settings, files, base, trained, layout, head)
    _check_head(model, engine)
    if model.sampler is not None:
        model.sampler.probe()
    engine.loaded = model
    return Message("load")


def _check_names(path: str, base: Weights, files: TensorFiles, student: Student) -> None:
    """Refuses weights that transformers stores under other names: they could not be written back."""
    if missing := [name for name in base.shapes if name not in files.places]:
        raise RefusalError(
            "model",
            f"{path} lacks {missing[0]}: transformers makes it from others, or it is not there; not supported by "
            "engine torch",
        )
    tied = {"lm_head.weight"} if student.model.config.tie_word_embeddings else set()
    # Masks and positions that older versions stored, which a class of transformers names, too.
    ignored = [*(student.model._keys_to_ignore_on_load_unexpected or []), r"inv_freq$", r"masked_bias$"]
    surplus = [
        name
        for name in files.places
        if name not in base.shapes and name not in tied and not any(re.search(pattern, name) for pattern in ignored)
    ]
    if surplus:
        raise RefusalError("model", f"{path}: {surplus[0]} is no weight that transformers knows of; remove it")


def _check_head(model: LoadedModel, engine: Engine) -> None:
    """Refuses models that do something to logits which the head in blocks does not."""
    ids = torch.arange(8, device=engine.ranks.device) % model.vocabulary
    row = Row(ids[None], ids[None], ids[:-1], ids[1:], torch.ones(7, device=engine.ranks.device))

    def both(causal: torch.nn.Module, row: Row) -> tuple[torch.Tensor, torch.Tensor]:
        logits = causal(input_ids=row.ids, position_ids=row.positions, use_cache=False).logits[0, :-1].float()
        return row_logprobs(causal, row)[0], torch.log_softmax(logits, -1).gather(1, row.targets[:, None])[:, 0]

    with torch.no_grad():
        own, theirs = model.student(both, row)
    model.forget_whole_weights()
    if not torch.isfinite(own).all():
        raise RefusalError(
            "model", f"{model.settings.path}: its log-probabilities are not finite; is a weight damaged?"
        )
    if (own - theirs).abs().max() > (2e-3 if model.settings.dtype == "f32" else 0.5):
        raise RefusalError("model", f"{model.settings.path}: this family changes logits behind its head; not supported")
