"""The contract of a law's form: its parameters, its prediction with the Jacobian, its starts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from windtunnel.laws.solver import Array

# Log of every input less its middle, (n,) each: units and sizes drop out of the arithmetic.
Inputs = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the solver's coordinates.

    Attributes:
        name: As in the form's docstring; not the published name, which `Form.published` gives.
        lower: Bound. A fit that ends on it says so.
        upper: Bound.
        decisive: Whether what lies beyond the rows hinges on it, as on an exponent: where the rows
            leave it on a bound, nothing can be foretold there.
    """

    name: str
    lower: float
    upper: float
    decisive: bool = False


@dataclass(frozen=True, slots=True)
class Belief:
    """What publications say of one of the solver's coordinates, as a normal distribution.

    Attributes:
        parameter: Name of the coordinate.
        centre: Its mean.
        sd: Its standard deviation.
    """

    parameter: str
    centre: float
    sd: float


@dataclass(frozen=True, slots=True)
class Scaling:
    """What is taken off before a fit, in natural logs.

    Attributes:
        inputs: The middle of each input's log.
        metric: The median of the metric's log, which no stray row moves; in linear space the log
            of the unit it is measured in.
    """

    inputs: Mapping[str, float]
    metric: float

    @staticmethod
    def of(form: Form, inputs: Mapping[str, Array], metric: Array) -> Scaling:
        """The scaling of measured rows (as given, not logs)."""
        middles = {name: _middle(np.log(inputs[name])) for name in form.inputs}
        middles |= {name: middles[other] for name, other in form.shared_middles.items()}
        middles |= dict.fromkeys(form.counts, 0.0)
        return Scaling(middles, float(np.median(np.log(np.abs(metric[metric != 0])))))

    def scale(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs as given to the form's own."""
        return {name: np.log(inputs[name]) - middle for name, middle in self.inputs.items()}


class Form(ABC):
    """A functional form of a metric as scale grows.

    One file a form, one line in `windtunnel.laws.forms`. A form says what is predicted from what;
    how it is fitted, tested and believed is not its business.

    Attributes:
        name: As people type it.
        formula: In the notation of its paper.
        source: Paper and equation.
        inputs: Columns it needs, all positive.
        metrics: Kinds of metric it suits: `loss` (positive, falls to a floor), `error` (0 to 1),
            `normalised loss` (negative).
        space: Residuals are of the metric's log, or of the metric itself in its own unit.
        parameters: The solver's coordinates, in order.
        shared_middles: Inputs that must keep their ratio to another: name to the other's name.
        counts: Inputs that have no unit and enter as they are (experts): scaling leaves their
            logs alone.
        priors: Optional beliefs by name, weak and documented.
        least_values: Distinct values of an input without which the form cannot be told.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    metrics: ClassVar[tuple[str, ...]] = ("loss",)
    space: ClassVar[Literal["log", "linear"]] = "log"
    parameters: ClassVar[tuple[Parameter, ...]]
    shared_middles: ClassVar[Mapping[str, str]] = {}
    counts: ClassVar[tuple[str, ...]] = ()
    priors: ClassVar[Mapping[str, tuple[Belief, ...]]] = {}
    least_values: ClassVar[Mapping[str, int]] = {}

    @abstractmethod
    def predict(self, parameters: Array, inputs: Inputs) -> tuple[Array, Array]:
        """The metric, as its log less the scaling's or as a multiple of the scaling's unit.

        Args:
            parameters: (problems, k).
            inputs: (n,) each, scaled.

        Returns:
            (problems, n) predictions and their (problems, n, k) Jacobian.
        """

    @abstractmethod
    def starts(self, inputs: Inputs, observed: Array, weights: Array) -> Array:
        """(starts, k) points to begin at, for one set of rows.

        Args:
            inputs: (n,) each, scaled.
            observed: (n,) in the form's space, scaled.
            weights: (n,) of the rows, 0 or more.
        """

    @abstractmethod
    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """The paper's own parameters, in the units of the rows, from the solver's (k,)."""

    @property
    def lower(self) -> Array:
        """(k,) bounds."""
        return np.array([parameter.lower for parameter in self.parameters])

    @property
    def upper(self) -> Array:
        """(k,) bounds."""
        return np.array([parameter.upper for parameter in self.parameters])


def _middle(values: Array) -> float:
    return float((values.max() + values.min()) / 2)
