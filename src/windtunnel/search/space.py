"""What may be searched: ranges, whole numbers, choices, and what matters only beside others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from windtunnel.errors import WindtunnelError
from windtunnel.search.trial import Value

When: TypeAlias = Mapping[str, Sequence[Value]]


@dataclass(frozen=True, slots=True)
class Float:
    """A real number from `low` to `high`, even in its logarithm if `log`.

    `when` names other parameters of the space and the values of theirs beside which this one
    matters; elsewhere it is absent.
    """

    low: float
    high: float
    log: bool = False
    when: When = field(default_factory=dict)

    def value(self, unit: float) -> float:
        """The value at a place from 0 to 1."""
        if self.log:
            return float(min(max(self.low * (self.high / self.low) ** unit, self.low), self.high))
        return float(min(max(self.low + (self.high - self.low) * unit, self.low), self.high))

    def unit(self, value: Value) -> float:
        """The place of a value."""
        number = float(value)
        if self.low == self.high:
            return 0.5
        if self.log:
            return math.log(number / self.low) / math.log(self.high / self.low)
        return (number - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number from `low` to `high`, both included, even in its logarithm if `log`."""

    low: int
    high: int
    log: bool = False
    when: When = field(default_factory=dict)

    def value(self, unit: float) -> int:
        """The value at a place from 0 to 1: each has a cell of its own."""
        wide = Float(self.low - 0.5, self.high + 0.5, self.log)
        return int(min(max(round(wide.value(unit)), self.low), self.high))

    def unit(self, value: Value) -> float:
        """The place of a value, in the middle of its cell on the scale."""
        return Float(self.low - 0.5, self.high + 0.5, self.log).unit(value)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values, none nearer to another than the rest."""

    values: Sequence[Value]
    when: When = field(default_factory=dict)

    def value(self, unit: float) -> Value:
        """The value in whose cell a place from 0 to 1 lies."""
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]

    def unit(self, value: Value) -> float:
        """The middle of a value's cell."""
        return (list(self.values).index(value) + 0.5) / len(self.values)


Parameter: TypeAlias = Float | Int | Choice


class Space:
    """Parameters by name; one that depends on another comes after it.

    Args:
        parameters: What is searched.

    Raises:
        WindtunnelError: A range is empty or negative on a log scale, a choice has no values, or a
            condition names no earlier parameter or a value that it cannot take.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        if not parameters:
            raise WindtunnelError("space: it has no parameter; name at least one")
        known: dict[str, Parameter] = {}
        for name, parameter in parameters.items():
            _check(name, parameter, known)
            known[name] = parameter
        self.parameters = known

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in order."""
        return tuple(self.parameters)

    @property
    def continuous(self) -> bool:
        """Whether values drawn at random never recur."""
        return any(isinstance(p, Float) and not p.when for p in self.parameters.values())

    def __len__(self) -> int:
        """Number of parameters."""
        return len(self.parameters)

    def at(self, place: Sequence[float] | NDArray[np.float64]) -> dict[str, Value]:
        """The values at a point of the unit cube; parameters that don't matter there are absent."""
        values: dict[str, Value] = {}
        for (name, parameter), unit in zip(self.parameters.items(), place, strict=True):
            if self._matters(parameter, values):
                values[name] = parameter.value(float(unit))
        return values

    def place(self, values: Mapping[str, Value]) -> NDArray[np.float64]:
        """(d,) the point of the unit cube where these values lie; absent ones in the middle."""
        return np.array(
            [
                parameter.unit(values[name]) if name in values else 0.5
                for name, parameter in self.parameters.items()
            ]
        )

    def draw(self, generator: np.random.Generator) -> dict[str, Value]:
        """Values drawn evenly."""
        return self.at(generator.random(len(self)))

    def completed(
        self, values: Mapping[str, Value], generator: np.random.Generator
    ) -> dict[str, Value]:
        """These values less those that don't matter beside the others, and draws for the rest."""
        found: dict[str, Value] = {}
        for name, parameter in self.parameters.items():
            if self._matters(parameter, found):
                drawn = parameter.value(float(generator.random()))
                found[name] = values.get(name, drawn)
        return found

    def check(self, values: Mapping[str, Value]) -> None:
        """Refuse values that aren't in the space.

        Raises:
            WindtunnelError: One is unknown, missing, or outside its range.
        """
        for name in values:
            if name not in self.parameters:
                raise WindtunnelError(
                    f"space: there is no parameter '{name}'; there are {', '.join(self.names)}"
                )
        for name, parameter in self.parameters.items():
            if not self._matters(parameter, values):
                continue
            if name not in values:
                raise WindtunnelError(f"space: no value of {name} is given")
            if not _allows(parameter, values[name]):
                raise WindtunnelError(
                    f"space: {name} is {values[name]!r}, and may be {_words(parameter)}"
                )

    def _matters(self, parameter: Parameter, values: Mapping[str, Value]) -> bool:
        return all(
            other in values and values[other] in allowed
            for other, allowed in parameter.when.items()
        )


def parse_space(value: Mapping[str, Any]) -> Space:
    """Read a space as people write it in YAML or JSON.

    `lr: {low: 1e-4, high: 1e-1, log: true}`, `layers: {low: 1, high: 8, int: true}`,
    `optimizer: [adamw, sgd]`, `momentum: {low: 0, high: 0.99, when: {optimizer: [sgd]}}`.

    Raises:
        WindtunnelError: Something else, with the parameter's name.
    """
    return Space({str(name): _parameter(str(name), given) for name, given in value.items()})


def _parameter(name: str, given: Any) -> Parameter:
    if isinstance(given, list):
        return Choice(tuple(given))
    if not isinstance(given, Mapping):
        raise WindtunnelError(
            f"space: {name} is {given!r}; give a list of choices, or low and high"
        )
    keys = set(given)
    when = {
        str(other): tuple(values) if isinstance(values, list) else (values,)
        for other, values in dict(given.get("when", {})).items()
    }
    if keys <= {"choices", "when"} and isinstance(given.get("choices"), list):
        return Choice(tuple(given["choices"]), when)
    unknown = keys - {"low", "high", "log", "int", "when"}
    if unknown or not {"low", "high"} <= keys:
        what = f"has no key '{min(unknown)}'" if unknown else "needs low and high"
        raise WindtunnelError(f"space: {name} {what}; keys are low, high, log, int, when, choices")
    try:
        low, high = float(given["low"]), float(given["high"])
    except (TypeError, ValueError) as error:
        raise WindtunnelError(f"space: low and high of {name} must be numbers") from error
    log = bool(given.get("log", False))
    if given.get("int", False):
        if low != int(low) or high != int(high):
            raise WindtunnelError(f"space: low and high of {name} must be whole numbers")
        return Int(int(low), int(high), log, when)
    return Float(low, high, log, when)


def _check(name: str, parameter: Parameter, known: Mapping[str, Parameter]) -> None:
    if isinstance(parameter, Choice):
        if not parameter.values:
            raise WindtunnelError(f"space: {name} has no values to choose from")
    else:
        if not (math.isfinite(parameter.low) and math.isfinite(parameter.high)):
            raise WindtunnelError(f"space: {name} has no finite range")
        if parameter.low > parameter.high:
            raise WindtunnelError(
                f"space: {name} goes from {parameter.low:g} to {parameter.high:g}; low comes first"
            )
        if parameter.log and parameter.low <= 0:
            raise WindtunnelError(
                f"space: {name} begins at {parameter.low:g}, which has no logarithm; begin above 0"
            )
    for other, allowed in parameter.when.items():
        if other not in known:
            raise WindtunnelError(
                f"space: {name} matters only beside {other}, which is no earlier parameter"
            )
        for value in allowed:
            if not _allows(known[other], value):
                raise WindtunnelError(
                    f"space: {name} matters beside {other} = {value!r}, which {other} can't be; it "
                    f"may be {_words(known[other])}"
                )


def _allows(parameter: Parameter, value: Value) -> bool:
    if isinstance(parameter, Choice):
        return value in parameter.values
    if isinstance(value, str | bool) or not parameter.low <= value <= parameter.high:
        return False
    return isinstance(parameter, Float) or value == int(value)


def _words(parameter: Parameter) -> str:
    if isinstance(parameter, Choice):
        return "one of " + ", ".join(map(repr, parameter.values))
    whole = "a whole number " if isinstance(parameter, Int) else ""
    return f"{whole}from {parameter.low:g} to {parameter.high:g}"
