"""One name for each parameter, whatever a model is wrapped in."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass

from torch import nn

# Inserted anywhere on the path by torch.compile, activation checkpointing and FSDP1.
_INSERTED = re.compile(r"(^|\.)(_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module)(?=\.)")
# In front of every name: DistributedDataParallel and weight averaging; Lightning.
_IN_FRONT = ("module.", "model.")


@dataclass(frozen=True, slots=True)
class NamedParameter:
    """A parameter with all its names; `names[0]` is the one a plan is keyed by.

    Attributes:
        names: Its canonical names, in the model's own order.
        parameter: The parameter.
        uses: Each name with the module that holds the parameter under it.
    """

    names: tuple[str, ...]
    parameter: nn.Parameter
    uses: tuple[tuple[str, nn.Module], ...]


def canonical_names(names: Iterable[str], known: Container[str] = ()) -> list[str]:
    """Strip what wrappers add; `module.` and `model.` go only where every name has them.

    Args:
        names: As the module gives them.
        known: Names to arrive at: in a part of a model `model.` may stand before every name and
            yet be the model's own.
    """
    stripped = [_INSERTED.sub("", name).removeprefix(".") for name in names]
    while stripped and (front := _shared_front(stripped)):
        if any(name in known for name in stripped):
            break
        stripped = [name.removeprefix(front) for name in stripped]
    return stripped


def named_parameters(model: nn.Module, known: Container[str] = ()) -> list[NamedParameter]:
    """The model's parameters in its own order, each once; a tied one keeps all its names.

    Args:
        model: Wrapped or not.
        known: As for `canonical_names`.
    """
    found = [
        (f"{path}.{name}" if path else name, module, parameter)
        for path, module in model.named_modules(remove_duplicate=False)
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
    ]
    uses: dict[nn.Parameter, list[tuple[str, nn.Module]]] = {}
    names = canonical_names((name for name, _, _ in found), known)
    for name, (_, module, parameter) in zip(names, found, strict=True):
        uses.setdefault(parameter, []).append((name, module))
    return [
        NamedParameter(tuple(name for name, _ in used), parameter, tuple(used))
        for parameter, used in uses.items()
    ]


def matches(pattern: str, name: str) -> bool:
    """Whether a name is below, or equal to, a pattern in which `*` stands for a block index."""
    return below(pattern).match(name) is not None


def below(pattern: str) -> re.Pattern[str]:
    """The regular expression for a declared pattern and everything below it."""
    parts = (r"\d+" if part == "*" else re.escape(part) for part in pattern.split("."))
    return re.compile(r"\.".join(parts) + r"(?=\.|$)")


def declares(pattern: str, name: str) -> bool:
    """Whether a pattern is a parameter's own name or that of the module that holds it."""
    exactly = below(pattern).fullmatch
    return bool(exactly(name) or exactly(name.rpartition(".")[0]))


def without_indices(name: str) -> str:
    """The name with each index replaced by `*`: equal for the same parameter of two blocks."""
    return ".".join("*" if part.isdecimal() else part for part in name.split("."))


def _shared_front(names: list[str]) -> str | None:
    for front in _IN_FRONT:
        if all(name.startswith(front) for name in names):
            return front
    return None
