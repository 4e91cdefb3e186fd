"""The ranks of an engine: rank 0 speaks to the learner, the others do what it does."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from opd_torch.errors import RefusalError

# A rank waits for the next request for as long as the learner takes between two.
PATIENCE = timedelta(days=365)


class Ranks:
    """The process group; with one process a group of one, so that the same code runs."""

    def __init__(self, device: str) -> None:
        available = torch.cuda.is_available()
        if device == "cuda" and not available:
            raise RefusalError(
                "device",
                f"torch.device is cuda, but torch {torch.__version__} sees no GPU here; install a build of torch with "
                "CUDA and check nvidia-smi, or set torch.device: cpu",
            )
        self.kind = "cuda" if device == "cuda" or (device == "auto" and available) else "cpu"
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if self.kind == "cuda":
            if local >= torch.cuda.device_count():
                raise RefusalError(
                    "device",
                    f"torch.processes is above the {torch.cuda.device_count()} GPUs of this machine; lower it",
                )
            torch.cuda.set_device(local)
        self.device = torch.device(self.kind, local) if self.kind == "cuda" else torch.device("cpu")
        backend = "cpu:gloo,cuda:nccl" if self.kind == "cuda" else "gloo"
        if "RANK" in os.environ:
            dist.init_process_group(backend, timeout=timedelta(minutes=30))
        else:
            # Torch has no types of it.
            distributed: Any = dist
            store = distributed.HashStore()
            dist.init_process_group(backend, store=store, rank=0, world_size=1)
        self.rank = dist.get_rank()
        self.is_first = self.rank == 0  # speaks to the learner
        self.count = dist.get_world_size()
        self.control = dist.new_group(backend="gloo", timeout=PATIENCE)
        self.mesh = init_device_mesh(self.kind, (self.count,))

    def share(self, value: Any) -> Any:
        """Returns what rank 0 gave, on every rank."""
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.control)
        return box[0]

    def first(self, path: str, work: Callable[[], None]) -> None:
        """Has rank 0 write something; where it cannot, every rank refuses, and none waits for another."""
        failure = None
        if self.is_first:
            try:
                work()
            except OSError as error:
                failure = error.strerror or str(error)
        if (reason := self.share(failure)) is not None:
            raise RefusalError("file", f"{path} cannot be written: {reason}")

    def gather(self, value: Any) -> list[Any]:
        """Returns what every rank gave, on rank 0; nothing elsewhere."""
        box: list[Any] | None = [None] * self.count if self.is_first else None
        dist.gather_object(value, box, dst=0, group=self.control)
        return box or []

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """Returns the sum of what every rank gave, on every rank."""
        if self.count > 1:
            dist.all_reduce(value)
        return value
