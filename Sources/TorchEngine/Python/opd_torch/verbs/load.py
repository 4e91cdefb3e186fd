"""load: makes a model of transformers ready to be trained, or to score and sample."""

from __future__ import annotations

import torch

from opd_torch.adapters import AdapterSettings, first_values
from opd_torch.engine import Engine, LoadedModel, Weights
from opd_torch.errors import RefusalError
from opd_torch.layout import Layout
from opd_torch.messages import Message
from opd_torch.model import ModelSettings, Student, build, public_name, row_logprobs
from opd_torch.packing import Row
from opd_torch.tensor_files import TensorFiles, names_missing


def load(engine: Engine, message: Message) -> Message:
    """Loads the folder `model` and answers what it is."""
    dtype = message.text("dtype")
    if dtype not in {"f32", "bf16"}:
        raise RefusalError("request", f"load needs a dtype f32 or bf16, not {dtype}")
    settings = ModelSettings(
        path=message.text("model"),
        dtype=dtype,
        attention=message.text("attention"),
        recompute=message.fields.get("recompute") is True,
        compile=message.fields.get("compile") is True,
        trains=message.fields.get("train") is True,
        adapters=AdapterSettings.reading(message.fields.get("adapters")),
    )
    # Missing weights are refused before there is memory for them.
    files = TensorFiles(settings.path)
    student = build(settings, engine.ranks)
    parameters = {public_name(name): parameter for name, parameter in student.named_parameters()}
    base = Weights({name: value for name, value in parameters.items() if ".lora_" not in name}, engine.ranks)
    _check_names(settings.path, base, files, student)
    for name, shape in base.shapes.items():
        base.set(name, files.read(name, base.rows(name), shape))
    layout = Layout.of(base.shapes, settings.dtype)
    trained = base
    if settings.adapters is not None:
        trained, layout = _first_adapters(settings.adapters, parameters, layout, engine)
    if (given := message.fields.get("manifest")) is not None:
        layout = _given_layout(given, layout)
    model = LoadedModel(student, settings, base, trained, layout)
    _check_head(model, engine)
    engine.model = model
    engine.pending = None
    return Message(
        "load",
        {
            "parameters": sum(torch.Size(shape).numel() for shape in base.shapes.values()),
            "vocabulary": model.vocabulary,
            "context": int(getattr(student.model.config, "max_position_embeddings", 0) or 0),
            "manifest": layout.manifest,
            "attention": student.model.config._attn_implementation,
            "family": str(student.model.config.model_type),
        },
    )


def _check_names(path: str, base: Weights, files: TensorFiles, student: Student) -> None:
    """Refuses weights that transformers stores under other names: they could not be written back."""
    if missing := names_missing(base.shapes, files):
        raise RefusalError(
            "model",
            f"{path} lacks {missing[0]}: transformers makes it from others, or it is not there; not supported by "
            "engine torch",
        )
    tied = {"lm_head.weight"} if student.model.config.tie_word_embeddings else set()
    surplus = [name for name in files.places if name not in base.shapes and name not in tied]
    surplus = [name for name in surplus if not name.endswith("inv_freq")]
    if surplus:
        raise RefusalError("model", f"{path}: {surplus[0]} is no weight that transformers knows of; remove it")


def _first_adapters(
    settings: AdapterSettings, parameters: dict[str, torch.nn.Parameter], base: Layout, engine: Engine
) -> tuple[Weights, Layout]:
    """Returns the adapters in the order of the matrices that they adapt, with their first values."""
    stems = [place.name.removesuffix(".weight") for place in base.places]
    names = [f"{stem}.lora_{factor}.weight" for stem in stems for factor in "AB"]
    trained = Weights({name: parameters[name] for name in names if name in parameters}, engine.ranks)
    for index, (name, shape) in enumerate(trained.shapes.items()):
        values = (
            torch.from_numpy(first_values(index, shape, settings.seed)) if ".lora_A." in name else torch.zeros(shape)
        )
        trained.set(name, values[trained.rows(name)])
    return trained, Layout.of_adapters(trained.shapes)


def _given_layout(given: object, own: Layout) -> Layout:
    layout = Layout.reading(given)
    shapes = {place.name: place.shape for place in layout.places}
    wanted = {place.name: place.shape for place in own.places}
    if shapes != wanted:
        name = next(iter(sorted(set(shapes.items()) ^ set(wanted.items()))))[0]
        raise RefusalError("model", f"{name} is not the same parameter for the learner and for transformers")
    return layout


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
