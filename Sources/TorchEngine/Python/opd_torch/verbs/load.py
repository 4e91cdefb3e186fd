"""load: makes a model of transformers ready to be trained, to score or to sample."""

from __future__ import annotations

import dataclasses
import re

import torch

from opd_torch import adapters
from opd_torch.adapters import AdapterSettings
from opd_torch.conversion import stored_form
from opd_torch.engine import Engine, LoadedModel, Weights
from opd_torch.errors import RefusalError, refusing
from opd_torch.layout import TYPES, Layout, Snapshot
from opd_torch.messages import Message
from opd_torch.model import USES, ModelSettings, Student, build, own_logprobs, public_name, row_logprobs
from opd_torch.packing import Row
from opd_torch.tensor_files import TensorFiles


def load(engine: Engine, message: Message) -> Message:
    """Loads the folder `model`."""
    fields = {**message.fields, "path": message.text("model")}
    manifest, given = fields.get("manifest"), fields.get("adapters")
    try:
        fields["adapters"] = AdapterSettings(**given) if given else None
        settings = ModelSettings(**{field.name: fields[field.name] for field in dataclasses.fields(ModelSettings)})
    except (KeyError, TypeError) as error:
        raise RefusalError("request", f"load has not the settings that it needs: {error}") from None
    layout = Layout.reading(manifest) if manifest else Layout({}, 0)
    if settings.dtype not in TYPES or settings.use not in USES:
        raise RefusalError("request", f"load needs a dtype of {', '.join(TYPES)} and a use of {', '.join(USES)}")
    if settings.use == "sample" and engine.ranks.count > 1:
        raise RefusalError("request", "a sampler is one process; start as many workers as there are GPUs")
    if settings.use == "sample" and settings.attention == "flex_attention":
        raise RefusalError("model", "torch.attention: flex_attention cannot sample; choose another")
    if settings.use != "score" and not layout.places:
        raise RefusalError("request", f"a model that is to {settings.use} needs the manifest of its weights")
    # What was there before makes room.
    engine.close()
    # Missing weights are refused before there is memory for them.
    files = TensorFiles(settings.path)
    student = build(settings, engine.ranks, layout)
    parameters = {public_name(name): parameter for name, parameter in student.named_parameters()}
    own = {name: parameter for name, parameter in parameters.items() if ".lora_" not in name}
    base = Weights(own, engine.ranks, stored_form(student.model, own, files.places, files.shape))
    _check_names(settings.path, base, files, student)
    base.fill(files.read)
    trained, head = base, b""
    if settings.adapters is not None:
        if settings.use == "train":
            snapshot = Snapshot(settings.adapters.values, layout)
            head = snapshot.memory[: adapters.HEAD_BYTES]
            trained = Weights({name: parameters[name] for name in layout.shapes}, engine.ranks)
            trained.fill(snapshot.rows)
    elif layout.places and layout.shapes != base.shapes:
        name = min(set(layout.shapes.items()) ^ set(base.shapes.items()))[0]
        raise RefusalError("model", f"{name} is not the same parameter for the learner and for transformers")
    model = LoadedModel(student, settings, files, base, trained, layout, head)
    with refusing("model", f"transformers cannot compute {settings.path}"):
        _check_numbers(model, engine)
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
    for name in sorted(files.places.keys() - base.shapes.keys() - tied):
        if not any(re.search(pattern, name) for pattern in ignored):
            raise RefusalError("model", f"{path}: {name} is no weight that transformers knows of; remove it")


def _check_numbers(model: LoadedModel, engine: Engine) -> None:
    """Refuses models whose log-probabilities are not those of their own forward pass.

    Where sequences of one row see each other, as in families that heed no positions, they are read one by one.
    """
    student, is_exact = model.student, model.settings.dtype == "f32"
    places, ones = torch.arange(8, device=engine.ranks.device), torch.ones(7, device=engine.ranks.device)
    first, second, last = (places * step % model.vocabulary for step in (1, 3, 5))

    def logprobs(causal: torch.nn.Module, before: torch.Tensor, is_apart: bool) -> torch.Tensor:
        passes = [slice(0, 8), slice(8, 16)] if is_apart else [slice(0, 16)]
        row = Row(torch.cat([before, last])[None], places.repeat(2)[None], passes, places[:-1] + 8, last[1:], ones)
        return row_logprobs(causal, row)[0]

    def apart(one: torch.Tensor, other: torch.Tensor) -> float:
        return float((one - other).abs().max())

    with torch.no_grad():
        joined = apart(student(logprobs, first, False), student(logprobs, second, False))
        # Every rank comes to the same.
        student.is_apart = bool(engine.ranks.sum(torch.tensor(float(joined > (1e-4 if is_exact else 0.05)))) > 0)
        found, wanted = student(logprobs, first, student.is_apart), student(own_logprobs, last, 1)
    if not torch.isfinite(found).all():
        raise RefusalError(
            "model", f"{model.settings.path}: its log-probabilities are not finite; is a weight damaged?"
        )
    if apart(found, wanted) > (2e-3 if is_exact else 0.5):
        raise RefusalError(
            "model",
            f"{model.settings.path}: this family's own forward pass has other log-probabilities than its layers and "
            "head; not supported by engine torch",
        )
