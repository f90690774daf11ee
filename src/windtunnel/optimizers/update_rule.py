"""The contract of an update rule: what the one file of an optimizer holds. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Floats = NDArray[np.float64]
    State = dict[str, Tensor]

# Numbers, or for a population tensors that broadcast against its parameters.
Settings: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class At:
    """Where an update takes place.

    Attributes:
        step: The parameter's own number of this step, from 1; a scalar tensor in compiled code.
        axes: The parameter's own axes, counted from the last: all but a population's.
        number: The parameter's place among the optimizer's, for drawing what `begin` draws.
    """

    step: Any
    axes: tuple[int, ...]
    number: int = 0


@dataclass(frozen=True, slots=True)
class Signal:
    """What a rule is told now and then beside gradients, such as an estimate of curvature.

    Attributes:
        kind: What it is made of: `sampled-labels`, the gradient of the mean loss of a fresh
            batch against labels drawn from the model's own predictions; or `hessian-vector`,
            `v * (H v)` for the mean loss' Hessian and a normal v. Our loop makes it
            (`training.signal`); another puts it where gradients are and calls `observe`.
        every: Steps from one to the next, the first after the step of that number.
        observe: From state, signal and settings to the new state.
    """

    kind: str
    every: int
    observe: Callable[[State, Tensor, Settings], State]


def _take_any(shape: tuple[int, ...]) -> None:
    """Refuse no shape."""


@dataclass(frozen=True, slots=True)
class UpdateRule:
    """How one parameter is updated, as pure functions of tensors.

    Both functions broadcast: parameter, gradient and state may have a leading population axis,
    along which settings are tensors of shape (members, 1, ..., 1). So they write arithmetic with
    operators, reduce over `At.axes` only, take matrices to be the last two axes, and never write
    in place. Conformance of every rule is one suite, `tests/optimizers/test_conformance.py`.

    Attributes:
        update: From parameter, gradient, state, settings and `At` to the new parameter and state.
        begin: From parameter, settings and `At` to the state before the first step.
        reference: The same over many steps, slow and plain, in float64: from a first parameter,
            gradients of shape (steps, ...) and the settings `lr` and `weight_decay` to the last
            parameter. It shares no code and no constant with `update`, so that a wrong one is
            found. With a signal it takes those too, of shape (times, ...), as `signals`. Every
            rule of the registry has one; a user's own may go without.
        constants: The rule's own settings and their defaults; a parameter group may hold others.
            `lr` and `weight_decay` are in every group beside them. `eps` is a plan's where it
            is among them.
        shared: Which of them all members of a population have in common: counts, coefficients.
        from_recipe: Which of them the study's recipe sets: `beta1`, `beta2`.
        state_size: From a parameter's shape to the number of elements its state holds; None
            where nobody said.
        elementwise: Whether each element's update depends on that element alone. Then shards
            are updated where they lie; a rule that isn't sees the whole parameter on each process.
        check: Raises WindtunnelError for a parameter's shape that the rule can't update.
        signal: What it has to be told beside gradients, if anything.
        in_one_kernel: As `update`, in place, for one parameter of no population on a CPU, where
            torch has a kernel for it. Settings are numbers.
    """

    update: Callable[[Tensor, Tensor, State, Settings, At], tuple[Tensor, State]]
    begin: Callable[[Tensor, Settings, At], State]
    constants: Mapping[str, float] = field(default_factory=dict)
    reference: Callable[..., Floats] | None = None
    state_size: Callable[[tuple[int, ...]], int] | None = None
    shared: tuple[str, ...] = ()
    from_recipe: tuple[str, ...] = ()
    elementwise: bool = True
    check: Callable[[tuple[int, ...]], None] = _take_any
    signal: Signal | None = None
    in_one_kernel: Callable[[Tensor, Tensor, State, Settings, At], None] | None = None


def elements(shape: tuple[int, ...]) -> int:
    """Number of elements of a tensor of that shape."""
    return math.prod(shape)


def two_moments(shape: tuple[int, ...]) -> int:
    """Number of elements of two tensors of that shape."""
    return 2 * elements(shape)
