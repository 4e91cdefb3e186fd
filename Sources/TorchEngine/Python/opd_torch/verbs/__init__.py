"""What a learner can ask for, by its verb."""

from __future__ import annotations

from collections.abc import Callable

from opd_torch.engine import Engine
from opd_torch.messages import Message
from opd_torch.verbs.backward import backward
from opd_torch.verbs.describe import describe
from opd_torch.verbs.forward import forward
from opd_torch.verbs.load import load
from opd_torch.verbs.restore import restore
from opd_torch.verbs.sample import sample
from opd_torch.verbs.save import save
from opd_torch.verbs.score import score
from opd_torch.verbs.snapshot import snapshot
from opd_torch.verbs.step import step
from opd_torch.verbs.stop import stop
from opd_torch.verbs.weights import weights

_ALL = (backward, describe, forward, load, restore, sample, save, score, snapshot, step, stop, weights)
# Each runs on every rank; what rank 0 returns is the answer.
VERBS: dict[str, Callable[[Engine, Message], Message]] = {verb.__name__: verb for verb in _ALL}
