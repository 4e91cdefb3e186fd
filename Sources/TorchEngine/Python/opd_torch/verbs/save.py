"""save: writes model and optimizer as the native engine does."""

from __future__ import annotations

import json
import os
import shutil

import torch

from opd_torch.adapters import FINGERPRINT_KEY, PREFIX
from opd_torch.engine import Engine, LoadedModel
from opd_torch.errors import RefusalError
from opd_torch.layout import Layout
from opd_torch.messages import Message
from opd_torch.tensor_files import write_tensors, write_text

STEP_KEY = "optimizer_step"
MOMENTS = ("exp_avg", "exp_avg_sq")
# What goes with a model beside its weights.
SMALL_FILES = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "merges.txt",
)


def save(engine: Engine, message: Message) -> Message:
    """Writes `model`, `optimizer.safetensors` and, where these are trained, `adapter` into `folder`.

    Answers what is there then.
    """
    model, folder = engine.model, message.text("folder")
    optimizer = model.training()
    files = ["model", "optimizer.safetensors"]
    first = engine.ranks.is_first
    try:
        _write_model(model, os.path.join(folder, "model"), first)
        if model.settings.adapters is not None:
            _write_adapters(model, os.path.join(folder, "adapter"), first)
            files.append("adapter")
    except OSError as error:
        raise RefusalError("file", f"{folder} cannot be written: {error.strerror}") from None
    trained = model.trained
    names = [place.name for place in model.layout.places]
    moments = {f"{kind}.{name}": (kind, name) for kind in MOMENTS for name in names}

    def moment(key: str) -> torch.Tensor:
        kind, name = moments[key]
        return trained.whole(name, optimizer.moment(name, kind))

    write_tensors(
        os.path.join(folder, "optimizer.safetensors") if first else None,
        {key: trained.shapes[name] for key, (_, name) in moments.items()},
        moment,
        {"format": "pt", STEP_KEY: str(optimizer.step_count)},
    )
    return Message("save", {"files": files})


def _write_model(model: LoadedModel, folder: str, first: bool) -> None:
    """Writes a folder that transformers loads, with what adapters add to it; its configuration comes last."""
    source = model.settings.path
    if first:
        os.makedirs(folder, exist_ok=True)
    names = [place.name for place in Layout.of(model.everything.shapes, "f32").places]
    write_tensors(
        os.path.join(folder, "model.safetensors") if first else None,
        {name: model.everything.shapes[name] for name in names},
        lambda name: merged(model, name),
    )
    if first:
        for name in SMALL_FILES:
            if os.path.isfile(os.path.join(source, name)):
                shutil.copyfile(os.path.join(source, name), os.path.join(folder, name))
        with open(os.path.join(source, "config.json")) as file:
            config = json.load(file)
        config.pop("torch_dtype", None)
        config["dtype"] = "float32"
        write_text(os.path.join(folder, "config.json"), json.dumps(config, indent=2) + "\n")


def merged(model: LoadedModel, name: str) -> torch.Tensor:
    """Returns a whole weight in f32 with what its adapter adds."""
    whole = model.everything.whole(name).float()
    stem, settings = name.removesuffix(".weight"), model.settings.adapters
    if settings is None or f"{stem}.lora_A.weight" not in model.trained.shapes:
        return whole
    a, b = (model.trained.whole(f"{stem}.lora_{factor}.weight") for factor in "AB")
    return whole + settings.scale * (b @ a)


def _write_adapters(model: LoadedModel, folder: str, first: bool) -> None:
    settings, trained = model.settings.adapters, model.trained
    if settings is None:
        return
    if first:
        os.makedirs(folder, exist_ok=True)
    write_tensors(
        os.path.join(folder, "adapter_model.safetensors") if first else None,
        {PREFIX + name: shape for name, shape in trained.shapes.items()},
        lambda name: trained.whole(name.removeprefix(PREFIX)),
        {"format": "pt", FINGERPRINT_KEY: f"{settings.fingerprint:x}"},
    )
    if first:
        text = json.dumps(settings.configuration(model.settings.path)) + "\n"
        write_text(os.path.join(folder, "adapter_config.json"), text)
