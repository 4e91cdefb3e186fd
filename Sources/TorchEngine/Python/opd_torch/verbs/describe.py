"""describe: which matrices of a model can have adapters, where the learner does not know its family."""

from __future__ import annotations

from opd_torch.adapters import adaptable
from opd_torch.engine import Engine
from opd_torch.errors import RefusalError
from opd_torch.messages import Message
from opd_torch.model import blocks_of, skeleton


def describe(_: Engine, message: Message) -> Message:
    """Answers `matrices`, those of the blocks of the folder `model` that adapters of `rank` fit beside.

    `targets` are the last parts of the names of those that are wanted; none: all that are large enough.
    """
    path, rank, targets = message.text("model"), int(message.number("rank")), message.fields.get("targets")
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise RefusalError("request", "describe needs a list of targets")
    model = skeleton(path, None, is_empty=True)
    blocks = tuple(f"{name}." for name in blocks_of(model, path))
    found = [matrix for matrix in adaptable(model) if matrix.stem.startswith(blocks)]
    known = {matrix.stem.rpartition(".")[2] for matrix in found}
    if missing := [target for target in targets if target not in known]:
        raise RefusalError(
            "adapters",
            f"{missing[0]} is no matrix of the blocks of {type(model).__name__}; it has "
            f"{', '.join(sorted(known)) or 'none'}",
        )
    chosen = [matrix for matrix in found if not targets or matrix.stem.rpartition(".")[2] in targets]
    for matrix in chosen:
        if targets and rank > min(matrix.inputs, matrix.outputs):
            raise RefusalError(
                "adapters",
                f"{rank} is above {min(matrix.inputs, matrix.outputs)}, the smaller side of {matrix.stem} "
                f"[{matrix.outputs}, {matrix.inputs}]",
            )
    fitting = [matrix for matrix in chosen if rank <= min(matrix.inputs, matrix.outputs)]
    if not fitting:
        raise RefusalError("adapters", f"{type(model).__name__} has no matrices beside which adapters of {rank} fit")
    return Message("describe", {"matrices": [[matrix.stem, matrix.outputs, matrix.inputs] for matrix in fitting]})
