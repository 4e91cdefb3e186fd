"""What files call the parameters of a model, and which of these they have in several tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Fusion:
    """A parameter that transformers makes of several tensors of the files, such as those of a layer's experts."""

    model: Any
    own: str
    converter: Any  # transformers', from the files' tensors to the parameter
    patterns: dict[str, str]  # which of the converter's patterns a stored name fits, in the converter's order
    stored: dict[str, str]  # the names in the files, by those that the converter knows them by

    def fused(self, read: Callable[[str], torch.Tensor]) -> torch.Tensor:
        """Returns the parameter, of what `read` gives for the names in the files."""
        converter = copy.deepcopy(self.converter)
        for name, pattern in self.patterns.items():
            converter.add_tensor(self.own, name, pattern, read(name))
        found = converter.convert(self.own, model=self.model, config=self.model.config)[self.own]
        return found[0] if isinstance(found, list) else found

    def parts(self, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
        """Returns what files have of the parameter, or of something of its shape, by their names."""
        converter = self.converter.reverse_transform()
        name, pattern = converter.rename_source_key(self.own)
        converter.add_tensor(name, self.own, pattern, tensor)
        found = converter.convert(name, model=self.model, config=self.model.config)
        return {self.stored[key]: part[0] if isinstance(part, list) else part for key, part in found.items()}


@dataclass(frozen=True)
class StoredForm:
    """The files' names and parts of parameters, by transformers' names; what is not in it is the same in both."""

    names: dict[str, str] = field(default_factory=dict)
    fusions: dict[str, Fusion] = field(default_factory=dict)

    def stored(self, own: str) -> list[str]:
        """Returns the names in the files."""
        fusion = self.fusions.get(own)
        return list(fusion.patterns) if fusion else [self.names.get(own, own)]

    def parts(self, own: str, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Gives what files have of a parameter, or of something of its shape, each with its name."""
        fusion = self.fusions.get(own)
        yield from fusion.parts(tensor).items() if fusion else [(self.names.get(own, own), tensor)]


def stored_form(
    model: Any, own: dict[str, torch.nn.Parameter], files: Iterable[str], shape: Callable[[str], tuple[int, ...]]
) -> StoredForm:
    """Returns how files have what is in a model.

    What transformers makes otherwise than of several tensors one parameter, or cannot take apart again, is not in it.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, dot_natural_key

    changes = get_model_conversion_mapping(model)
    renamings = [change for change in changes if isinstance(change, WeightRenaming)]
    converters = [change for change in changes if isinstance(change, WeightConverter)]
    given, names = set(files), {}
    groups: dict[str, tuple[Any, dict[str, str], dict[str, str]]] = {}
    for name in sorted(given, key=dot_natural_key):
        between = name
        for renaming in renamings:
            between, _ = renaming.rename_source_key(between)
        # The second name is for a model that was saved without its head.
        for candidate in (between, f"{model.base_model_prefix}.{between}"):
            if candidate in own and candidate not in given:
                names[candidate] = name
            for converter in converters:
                renamed, pattern = converter.rename_source_key(candidate)
                if pattern is not None and renamed in own and renamed not in given:
                    _, patterns, stored = groups.setdefault(renamed, (converter, {}, {}))
                    patterns[name], stored[candidate] = pattern, name
                    break
    fusions = [Fusion(model, key, *group) for key, group in groups.items()]
    kept = [fusion for fusion in fusions if _is_whole(fusion, tuple(own[fusion.own].shape), shape)]
    return StoredForm(names, {fusion.own: fusion for fusion in kept})


def _is_whole(fusion: Fusion, whole: tuple[int, ...], shape: Callable[[str], tuple[int, ...]]) -> bool:
    """Says whether the files have all parts, and these are made of the parameter again."""
    try:
        parts = fusion.parts(torch.empty(whole, device="meta"))
        found = fusion.fused(lambda name: torch.empty(shape(name), device="meta"))
    except Exception:
        return False
    return tuple(found.shape) == whole and {name: tuple(part.shape) for name, part in parts.items()} == {
        name: shape(name) for name in fusion.patterns
    }
