"""save: writes model and optimizer as the native engine does."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from functools import partial

import torch

from opd_torch.adapters import FINGERPRINT_KEY, PREFIX, AdapterSettings
from opd_torch.engine import Engine, LoadedModel, whole
from opd_torch.messages import Message
from opd_torch.ranks import Ranks
from opd_torch.tensor_files import write_json, write_tensors

STEP_KEY = "optimizer_step"
MOMENTS = ("exp_avg", "exp_avg_sq")
# What goes with a model beside its weights: tokenizers, templates, settings.
SMALL_FILES = (".json", ".jinja", ".model", ".txt")
OF_WEIGHTS = {"config.json", "model.safetensors.index.json"}


def save(engine: Engine, message: Message) -> Message:
    """Writes `model`, `optimizer.safetensors` and, where these are trained, `adapter` into `folder`.

    Answers what is there then.
    """
    model, folder, ranks = engine.model, message.text("folder"), engine.ranks
    optimizer = model.training()
    _write_model(model, os.path.join(folder, "model"), ranks)
    if model.settings.adapters is not None:
        _write_adapters(model, model.settings.adapters, os.path.join(folder, "adapter"), ranks)
    path, trained = os.path.join(folder, "optimizer.safetensors"), model.trained
    shapes = {f"{kind}.{name}": shape for kind in MOMENTS for name, shape in trained.shapes.items()}
    moments = ((kind, name, values) for kind in MOMENTS for name, values in trained.wholes(optimizer.state(kind)))
    named = ((f"{kind}.{name}", values) for kind, name, values in moments)
    count = int(next(iter(optimizer.state("step").values())))
    write_tensors(path, ranks, shapes, named, {"format": "pt", STEP_KEY: str(count)})
    adapters = ["adapter"] if model.settings.adapters else []
    return Message("save", {"files": ["model", "optimizer.safetensors", *adapters]})


def _write_model(model: LoadedModel, folder: str, ranks: Ranks) -> None:
    """Writes a folder that transformers loads, with what adapters add to it; its configuration comes last."""
    source, shapes = model.settings.path, model.everything.shapes
    write_tensors(os.path.join(folder, "model.safetensors"), ranks, shapes, merged(model))

    def write_others() -> None:
        for name in os.listdir(source):
            if name.endswith(SMALL_FILES) and name not in OF_WEIGHTS:
                shutil.copyfile(os.path.join(source, name), os.path.join(folder, name))
        with open(os.path.join(source, "config.json")) as file:
            config = json.load(file)
        config.pop("torch_dtype", None)
        config["dtype"] = "float32"
        write_json(os.path.join(folder, "config.json"), config)

    ranks.first(folder, write_others)


def merged(model: LoadedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Gives all weights in f32, with what adapters add, on every rank."""
    settings = model.settings.adapters
    matrices = {model.everything.form.stored(f"{matrix.stem}.weight")[0]: matrix for matrix in model.student.adapted}
    for name, values in model.everything.wholes():
        total = values.float()
        if settings is not None and name in matrices:
            stem = matrices[name].stem
            a, b = (whole(model.trained.parameters[f"{stem}.lora_{factor}.weight"]) for factor in "AB")
            total = total + matrices[name].addition(a, b, settings.scale)
        yield name, total


def _write_adapters(model: LoadedModel, settings: AdapterSettings, folder: str, ranks: Ranks) -> None:
    path, trained = os.path.join(folder, "adapter_model.safetensors"), model.trained
    shapes = {PREFIX + name: shape for name, shape in trained.shapes.items()}
    values = ((PREFIX + name, values) for name, values in trained.wholes())
    write_tensors(path, ranks, shapes, values, {"format": "pt", FINGERPRINT_KEY: settings.fingerprint})
    configuration = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model.settings.path,
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "target_modules": settings.targets,
        "lora_dropout": 0,
        "bias": "none",
        "inference_mode": True,
    }
    ranks.first(folder, partial(write_json, os.path.join(folder, "adapter_config.json"), configuration))
