"""Find a model's residual branches by watching one forward pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from windtunnel.errors import WindtunnelError
from windtunnel.models.family import Declarations
from windtunnel.parametrization.names import named_parameters, without_indices
from windtunnel.parametrization.provenance import Branch, Provenance

_DECLARE = "declare Declarations(blocks='blocks.*', branch_outputs=('blocks.*.down', ...)) yourself"


@torch.no_grad()
def find_branches(model: nn.Module, *inputs: Any, **named_inputs: Any) -> Declarations:
    """Where a model adds `f(x)` to `x`, and the blocks those places repeat in.

    The model runs once, in evaluation mode; give it a small one, of 2 blocks or more, since an
    index is a block's only if it takes several values. A branch's output is the last module whose
    weights, all twice as large, make the branch twice as large: the last linear map, or the norm
    gain after it; dropout, reshaping and a scale in between don't matter. Where such a module
    holds other parameters too (stacked experts) the parameter itself is named.

    Args:
        model: The model, on any device that can run it; `meta` will do for most.
        inputs: What it is called with.
        named_inputs: The same, by name.

    Returns:
        Declarations with `blocks` and `branch_outputs`; what else a rule needs (a tied head's
        gain, queries) is not looked for.

    Raises:
        WindtunnelError: Nothing is found, a branch ends in an operation that no multiplier can be
            moved through, or branches repeat in several stacks; the message names the modules.
    """
    found = named_parameters(model)
    watching = Provenance({named.parameter: named.names[0] for named in found})
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with watching:
            model(*inputs, **named_inputs)
    finally:
        for module, training in modes.items():
            module.training = training
    if not watching.branches:
        raise WindtunnelError(
            f"find_branches: {type(model).__name__} adds no module's output to what the module "
            f"was computed from, so it has no residual branch; {_DECLARE} if it has"
        )
    held = _held_together(model)
    outputs = [output for branch in watching.branches for output in _outputs(branch, held)]
    return _declarations(list(dict.fromkeys(outputs)))


def _held_together(model: nn.Module) -> dict[str, frozenset[str]]:
    """By parameter name, all parameters that the same module holds."""
    together: dict[str, set[str]] = {}
    for named in named_parameters(model):
        together.setdefault(named.names[0].rpartition(".")[0], set()).add(named.names[0])
    return {name: frozenset(names) for names in together.values() for name in names}


def _outputs(branch: Branch, held: dict[str, frozenset[str]]) -> list[str]:
    """The modules, or the parameters, that a branch's multiplier can be moved into."""
    if not branch.linear_in:
        last = ", ".join(sorted({without_indices(name) for name in branch.last_weights}))
        raise WindtunnelError(
            f"find_branches: the residual branch that goes through {last} ends in an operation "
            "that is not linear (a norm that multiplies by 1 + weight is one), so no multiplier "
            f"can be moved into its last weights; {_DECLARE}, with a linear module at each end"
        )
    found = []
    for name in sorted(branch.linear_in):
        whole = held[name] <= branch.linear_in
        found.append(name.rpartition(".")[0] if whole else name)
    return list(dict.fromkeys(found))


def _declarations(outputs: list[str]) -> Declarations:
    """Patterns: an index is a block's where it takes several values."""
    likes: dict[str, list[list[str]]] = {}
    for output in outputs:
        likes.setdefault(without_indices(output), []).append(output.split("."))
    patterns = [_pattern(found) for found in likes.values()]
    blocks = _shared_front(patterns)
    while blocks and blocks[-1] != "*":
        blocks.pop()
    if not blocks:
        raise WindtunnelError(
            f"find_branches: the branches {', '.join('.'.join(p) for p in patterns)} repeat in no "
            f"one stack of blocks; build 2 blocks or more, or {_DECLARE}"
        )
    kept = dict.fromkeys(".".join(p) for p in patterns)
    return Declarations(blocks=".".join(blocks), branch_outputs=tuple(kept))


def _pattern(found: list[list[str]]) -> list[str]:
    columns = zip(*found, strict=True)
    return [column[0] if len(set(column)) == 1 else "*" for column in columns]


def _shared_front(patterns: Iterable[list[str]]) -> list[str]:
    front = []
    for column in zip(*patterns, strict=False):
        if len(set(column)) > 1:
            break
        front.append(column[0])
    return front
