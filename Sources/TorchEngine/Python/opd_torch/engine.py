"""What an engine holds between requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from opd_torch.conversion import StoredForm
from opd_torch.errors import RefusalError
from opd_torch.layout import Layout
from opd_torch.messages import Array
from opd_torch.model import ModelSettings, Student
from opd_torch.packing import Sequences
from opd_torch.ranks import Ranks
from opd_torch.sampler import Sampler
from opd_torch.tensor_files import TensorFiles

# Gives some rows of what a name stands for, which has to have a shape.
Read = Callable[[str, slice, tuple[int, ...]], torch.Tensor]


def local(tensor: Any) -> torch.Tensor:
    """Returns this rank's rows of what is sharded, as a view."""
    return (tensor.to_local() if hasattr(tensor, "to_local") else tensor).detach()


def whole(tensor: Any) -> torch.Tensor:
    """Returns all rows of what is sharded, on every rank."""
    return tensor.detach().full_tensor()


class Weights:
    """Parameters of a model, of which each rank has some rows; files and snapshots have them by their own names."""

    def __init__(self, parameters: dict[str, torch.nn.Parameter], ranks: Ranks, form: StoredForm | None = None) -> None:
        self.parameters = parameters
        self.ranks = ranks
        self.form = form or StoredForm()
        # By the names in the files.
        self.shapes = {
            name: tuple(part.shape)
            for own, parameter in parameters.items()
            for name, part in self.form.parts(own, torch.empty(parameter.shape, device="meta"))
        }

    def _rows(self, shape: tuple[int, ...]) -> slice:
        """Returns which rows FSDP2 gives to this rank."""
        count = shape[0] if shape else 1
        size = -(-count // self.ranks.count)
        return slice(min(self.ranks.rank * size, count), min((self.ranks.rank + 1) * size, count))

    def fill(self, read: Read, tensors: dict[str, torch.Tensor] | None = None) -> None:
        """Overwrites this rank's rows of all parameters, or of something of their shapes."""
        for own, tensor in (tensors or self.parameters).items():
            rows, fusion = self._rows(tuple(tensor.shape)), self.form.fusions.get(own)
            if fusion is None:
                (name,) = self.form.stored(own)
                values = read(name, rows, self.shapes[name])
            else:
                values = fusion.fused(lambda name: read(name, slice(None), self.shapes[name]).float())[rows]
            local(tensor).copy_(values)

    def wholes(
        self, tensors: dict[str, torch.Tensor] | None = None, types: dict[str, torch.dtype] | None = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Gives, on every rank, all rows of the parameters, or of something of their shapes, with their names."""
        for own, tensor in (tensors or self.parameters).items():
            # Narrow before it is gathered.
            narrow = tensor.to(types[self.form.stored(own)[0]]) if types else tensor
            yield from self.form.parts(own, whole(narrow))


class Optimizer:
    """AdamW on what is trained; its moments begin at zero."""

    def __init__(self, weights: Weights) -> None:
        self.parameters = weights.parameters
        self.adamw = torch.optim.AdamW(self.parameters.values(), fused=True)
        for parameter in self.parameters.values():
            self.adamw.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
            }

    def state(self, kind: str) -> dict[str, torch.Tensor]:
        """Returns `exp_avg`, `exp_avg_sq` or `step` of every parameter."""
        return {name: self.adamw.state[parameter][kind] for name, parameter in self.parameters.items()}


class Engine:
    """One rank's part of a model, and what a request leaves for the next."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.loaded: LoadedModel | None = None
        # A forward pass whose backward pass has not come.
        self.pending: tuple[torch.Tensor, Sequences] | None = None

    @property
    def model(self) -> LoadedModel:
        """The model; a `RefusalError` where none is loaded."""
        if self.loaded is None:
            raise RefusalError("request", "no model is loaded")
        return self.loaded

    def close(self) -> None:
        """Forgets the model, and ends what it has under way."""
        if self.loaded is not None and self.loaded.sampler is not None:
            self.loaded.sampler.close()
        self.loaded = self.pending = None


@dataclass
class LoadedModel:
    """A model with its weights."""

    student: Student
    settings: ModelSettings
    files: TensorFiles  # that it was read from
    everything: Weights
    trained: Weights  # the adapters, or everything
    layout: Layout  # of a snapshot
    head: bytes  # what a snapshot begins with

    def __post_init__(self) -> None:
        model, settings = self.student.model, self.settings
        self.vocabulary = int(model.config.vocab_size)  # ids are below this
        self.optimizer = Optimizer(self.trained) if settings.use == "train" else None
        self.sampler = Sampler(model, settings.slots, settings.cache) if settings.use == "sample" else None
        # Above this longrope turns all positions of a row otherwise.
        rope = getattr(model.config, "rope_parameters", None) or {}
        is_longrope = rope.get("rope_type") == "longrope"
        self.longest = int(rope["original_max_position_embeddings"]) if is_longrope else None

    def training(self) -> Optimizer:
        """Returns the optimizer; a `RefusalError` where the model is not trained."""
        if self.optimizer is None:
            raise RefusalError("request", "this model is not trained")
        return self.optimizer

    def sampling(self) -> Sampler:
        """Returns what samples; a `RefusalError` where nothing does."""
        if self.sampler is None:
            raise RefusalError("request", "this model was not loaded to sample")
        return self.sampler

    def check_ids(self, tokens: Array, verb: str) -> None:
        """Refuses ids that are none."""
        if ((tokens < 0) | (tokens >= self.vocabulary)).any():
            raise RefusalError("request", f"{verb} has ids outside the model's vocabulary of {self.vocabulary}")

    def check_length(self, count: int) -> None:
        """Refuses sequences whose positions would be turned by factors that those beside them do not have."""
        if self.longest is not None and count > self.longest:
            raise RefusalError(
                "model",
                f"{self.settings.path}: a sequence of {count} tokens is longer than the {self.longest} up to which "
                "longrope has short factors, and engine torch reads no longer ones; shorten it, or use engine native",
            )
