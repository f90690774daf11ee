"""How an elementwise update rule goes over a tensor: in pieces that a cache holds, or compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from windtunnel.optimizers.classes.compiled import kernel
from windtunnel.optimizers.update_rule import At, Settings, UpdateRule

if TYPE_CHECKING:
    from windtunnel.optimizers.update_rule import State

# Elements of a piece: parameter, gradient, state and what lies between take 2 MB in float32. A
# multiple of any vector's length, so that only a tensor's own end is computed entry by entry.
PIECE = 2**16
# Elements from which a compiled update is the faster one: calling it takes about 40 microseconds.
LEAST = 2**13


def update_in_place(
    rule: UpdateRule,
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    settings: Settings,
    at: At,
    *,
    compiled: bool,
) -> None:
    """Write the new parameter and state over the old ones.

    Args:
        rule: An elementwise one.
        parameter: What this process holds of it, as of gradient and state.
        gradient: Of the same shape.
        state: Tensors of the same shape.
        settings: Numbers, or tensors for a population, which is neither cut nor compiled.
        at: Step, axes and number.
        compiled: Let tensors that are large enough take the compiled update.
    """
    tensors = [parameter, gradient, *state.values()]
    alike = all(
        t.is_contiguous() and t.shape == parameter.shape and t.device.type == "cpu" for t in tensors
    )
    one_run = len(at.axes) == parameter.ndim
    if not (alike and one_run) or parameter.numel() < LEAST:
        _write(rule, parameter, gradient, state, settings, at)
        return
    # Autograd sees a write to the parameter itself, but not one to its memory.
    torch.autograd.graph.increment_version(parameter)
    parameter, gradient = _flat(parameter), _flat(gradient)
    state = {name: _flat(value) for name, value in state.items()}
    if compiled:
        scalars = {n: torch.as_tensor(v, dtype=torch.float64) for n, v in settings.items()}
        step = torch.tensor(at.step, dtype=torch.float64)
        kernel(rule.update)(parameter, gradient, state, scalars, step)
        return
    at = At(at.step, (-1,), at.number)
    for begin in range(0, parameter.numel(), PIECE):
        piece = slice(begin, begin + PIECE)
        part = {name: value[piece] for name, value in state.items()}
        _write(rule, parameter[piece], gradient[piece], part, settings, at)


def _flat(tensor: Tensor) -> Tensor:
    """The same memory as a vector, which by `data` forgets what it is a view of.

    Compiled code would ask for the shape of that, and be compiled anew for other ones.
    """
    return tensor.view(-1).data


def _write(
    rule: UpdateRule,
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    settings: Settings,
    at: At,
) -> None:
    updated, after = rule.update(parameter, gradient, state, settings, at)
    parameter.copy_(updated)
    for name, value in after.items():
        state[name].copy_(value)
