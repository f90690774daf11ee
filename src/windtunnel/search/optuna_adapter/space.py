"""Search spaces as Optuna's distributions, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from windtunnel.errors import WindtunnelError
from windtunnel.search.optuna_adapter.library import optuna_library
from windtunnel.search.space import Choice, Float, Int, Parameter, Space
from windtunnel.search.trial import Value


def distributions(space: Space) -> dict[str, Any]:
    """The space as Optuna's distributions.

    Raises:
        WindtunnelError: A parameter matters only beside others, which they can't say.
    """
    optuna = optuna_library()
    found: dict[str, Any] = {}
    for name, parameter in space.parameters.items():
        if parameter.when:
            raise WindtunnelError(
                f"optuna: {name} matters only beside others, and its samplers can't be told so; "
                "make it a parameter of its own or search the branches one by one"
            )
        if isinstance(parameter, Choice):
            found[name] = optuna.distributions.CategoricalDistribution(tuple(parameter.values))
        elif isinstance(parameter, Int):
            found[name] = optuna.distributions.IntDistribution(
                parameter.low, parameter.high, log=parameter.log
            )
        else:
            found[name] = optuna.distributions.FloatDistribution(
                parameter.low, parameter.high, log=parameter.log
            )
    return found


def space_of(distributions: Mapping[str, Any]) -> Space:
    """Optuna's distributions as a space.

    A number with a step, which no space of ours has, counts as an Int of its steps, and a choice
    as an index, since choices may be of any kind; `from_ours` gives the value back.
    """
    found: dict[str, Parameter] = {}
    for name, distribution in distributions.items():
        if hasattr(distribution, "choices"):
            found[name] = Choice(tuple(range(len(distribution.choices))))
        elif distribution.step is not None and not distribution.log:
            steps = round((distribution.high - distribution.low) / distribution.step)
            found[name] = Int(0, steps)
        elif isinstance(distribution.low, int):
            found[name] = Int(distribution.low, distribution.high, distribution.log)
        else:
            found[name] = Float(distribution.low, distribution.high, distribution.log)
    return Space(found)


def from_ours(distribution: Any, value: Value) -> Any:
    """A value of `space_of`'s parameter as the distribution means it."""
    if hasattr(distribution, "choices"):
        return distribution.choices[int(_number(value))]
    if distribution.step is not None and not distribution.log:
        number = distribution.low + _number(value) * distribution.step
        return type(distribution.low)(min(max(number, distribution.low), distribution.high))
    number = min(max(_number(value), distribution.low), distribution.high)
    return round(number) if isinstance(distribution.low, int) else float(number)


def to_ours(distribution: Any, value: Any) -> Value:
    """The reverse of `from_ours`."""
    if hasattr(distribution, "choices"):
        return int(distribution.to_internal_repr(value))
    if distribution.step is not None and not distribution.log:
        steps: int = round((value - distribution.low) / distribution.step)
        return steps
    assert isinstance(value, (int, float)), "distributions without choices hold numbers"
    return value


def _number(value: Value) -> float:
    assert isinstance(value, (int, float)), "parameters of these kinds hold numbers"
    return value
