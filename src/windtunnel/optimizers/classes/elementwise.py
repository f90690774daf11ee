"""How elementwise update rules go over memory: small tensors together, large ones in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Due:
    """One tensor's update.

    Attributes:
        group: What tells parameter groups apart: settings are equal within one.
        parameter: What this process holds of it, as of gradient and state.
        gradient: Of the same shape.
        state: Tensors of the same shape.
        settings: Numbers, or tensors for a population.
        at: Step, axes and number.
    """

    group: int
    parameter: Tensor
    gradient: Tensor
    state: State
    settings: Settings
    at: At


def update_all(rule: UpdateRule, due: Iterable[Due], *, compiled: bool) -> None:
    """Write new parameters and state over the old ones.

    Small tensors on a CPU that step alike are joined first: a call for each would take most of
    the time.

    Args:
        rule: An elementwise one.
        due: The updates.
        compiled: Let tensors that are large enough take the compiled update.
    """
    alike: dict[object, list[Due]] = {}
    for one in due:
        parameter = one.parameter
        if (
            len(one.at.axes) == parameter.ndim
            and parameter.numel() < LEAST
            and parameter.device.type == "cpu"
        ):
            dtypes = tuple(t.dtype for t in (parameter, one.gradient, *one.state.values()))
            alike.setdefault((one.group, one.at.step, dtypes), []).append(one)
        else:
            update_in_place(
                rule, parameter, one.gradient, one.state, one.settings, one.at, compiled=compiled
            )
    for small in alike.values():
        for joinable in _in_pieces(small):
            _update_joined(rule, joinable, compiled=compiled)


def _in_pieces(small: list[Due]) -> Iterator[list[Due]]:
    """Neighbours of about as many elements as a piece, whose joined memory a cache holds."""
    gathered: list[Due] = []
    size = 0
    for one in small:
        gathered.append(one)
        size += one.parameter.numel()
        if size >= PIECE - LEAST:
            yield gathered
            gathered, size = [], 0
    if gathered:
        yield gathered


def _update_joined(rule: UpdateRule, small: list[Due], *, compiled: bool) -> None:
    first = small[0]
    if len(small) == 1:
        _write(rule, first.parameter, first.gradient, first.state, first.settings, first.at)
        return
    parameters = [one.parameter for one in small]
    states = {name: [one.state[name] for one in small] for name in first.state}
    parameter, gradient = _joined(parameters), _joined([one.gradient for one in small])
    state = {name: _joined(values) for name, values in states.items()}
    at = At(first.at.step, (-1,))
    update_in_place(rule, parameter, gradient, state, first.settings, at, compiled=compiled)
    _part(parameter, parameters)
    for name, values in states.items():
        _part(state[name], values)


def _joined(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _part(joined: Tensor, tensors: list[Tensor]) -> None:
    parts = torch.split(joined, [tensor.numel() for tensor in tensors])
    torch._foreach_copy_(
        tensors, [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]
    )


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
    """Write one new parameter and its state over the old ones; see `Due` and `update_all`."""
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
