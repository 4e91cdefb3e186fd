"""What a learner can ask for, by its verb: every module here has one, of its own name."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module

from opd_torch.engine import Engine
from opd_torch.messages import Message

_NAMES = [module.name for module in pkgutil.iter_modules(__path__)]
# Each runs on every rank; what rank 0 returns is the answer.
VERBS: dict[str, Callable[[Engine, Message], Message]] = {
    name: getattr(import_module(f"{__name__}.{name}"), name) for name in _NAMES
}
