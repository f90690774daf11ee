"""One name for each parameter, whatever a model is wrapped in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

# Inserted anywhere on the path by torch.compile, activation checkpointing and FSDP1.
_INSERTED = re.compile(r"(^|\.)(_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module)(?=\.)")
# In front of every name: DistributedDataParallel and weight averaging; Lightning.
_IN_FRONT = ("module.", "model.")


@dataclass(frozen=True, slots=True)
class NamedParameter:
    """A parameter with all its names; `names[0]` is the one a plan is keyed by."""

    names: tuple[str, ...]
    parameter: nn.Parameter


def canonical_names(names: Iterable[str]) -> list[str]:
    """Strip what wrappers add; `module.` and `model.` go only where every name has them."""
    stripped = [_INSERTED.sub("", name).removeprefix(".") for name in names]
    while stripped and (front := _shared_front(stripped)):
        stripped = [name.removeprefix(front) for name in stripped]
    return stripped


def named_parameters(model: nn.Module) -> list[NamedParameter]:
    """The model's parameters in its own order, each once; a tied one keeps all its names."""
    found = list(model.named_parameters(remove_duplicate=False))
    names_of: dict[nn.Parameter, list[str]] = {}
    for name, (_, parameter) in zip(canonical_names(n for n, _ in found), found, strict=True):
        names_of.setdefault(parameter, []).append(name)
    return [NamedParameter(tuple(names), parameter) for parameter, names in names_of.items()]


def matches(pattern: str, name: str) -> bool:
    """Whether a name is below, or equal to, a pattern in which `*` stands for a block index."""
    return below(pattern).match(name) is not None


def below(pattern: str) -> re.Pattern[str]:
    """The regular expression for a declared pattern and everything below it."""
    parts = (r"\d+" if part == "*" else re.escape(part) for part in pattern.split("."))
    return re.compile(r"\.".join(parts) + r"(?=\.|$)")


def without_indices(name: str) -> str:
    """The name with each index replaced by `*`: equal for the same parameter of two blocks."""
    return ".".join("*" if part.isdecimal() else part for part in name.split("."))


def _shared_front(names: list[str]) -> str | None:
    for front in _IN_FRONT:
        if all(name.startswith(front) for name in names):
            return front
    return None
