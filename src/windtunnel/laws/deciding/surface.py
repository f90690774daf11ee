"""A law as a surface over parameters and tokens, everything else held."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.deciding.estimate import Estimate
from windtunnel.laws.fitting import predict
from windtunnel.laws.law import Law
from windtunnel.laws.solver import Array

# Parameters and training tokens, arrays of any one shape, to the metric there.
Metric = Callable[[Array, Array], Array]
# A 5 % quantile of 200 draws is off by a fifth of a standard deviation, far less than the range's
# own width is unsure; each draw costs a search.
_DRAWS = 200


@dataclass(frozen=True, slots=True)
class Surface:
    """A law over parameters and tokens.

    Attributes:
        law: The law.
        fixed: Its other inputs.
        best: The metric by the fitted parameters.
        drawn: The metric by each of the draws.
    """

    law: Law
    fixed: Mapping[str, float]
    best: Metric
    drawn: tuple[Metric, ...]

    def inputs(self, params: float, tokens: float) -> dict[str, float]:
        """What the law is asked at a point."""
        return {"params": params, "tokens": tokens, **self.fixed}

    def estimate(self, quantity: Callable[[Metric], float], *, positive: bool = True) -> Estimate:
        """A quantity of the surface with its range over the draws.

        Args:
            quantity: Worked out for one set of the law's parameters.
            positive: As in `Estimate.of`.
        """
        return Estimate.of(
            quantity(self.best),
            np.array([quantity(metric) for metric in self.drawn]),
            widening=self.law.spread.widening,
            positive=positive,
        )


def surface_of(law: Law, fixed: Mapping[str, float] | None = None) -> Surface:
    """The surface of a law whose form needs parameters and tokens.

    Args:
        law: The law.
        fixed: A value for each input of its form but `params` and `tokens`; more are left aside.

    Raises:
        WindtunnelError: The form has no parameters or no tokens, or an input is missing or is no
            positive number.
    """
    form = law.fitted.form
    for needed in ("params", "tokens"):
        if needed not in form.inputs:
            raise WindtunnelError(
                f"law: the form '{form.name}' has no {needed}, so it can't share a budget between "
                "parameters and tokens; fit chinchilla or another form of both"
            )
    held = {}
    for name in form.inputs:
        if name in ("params", "tokens"):
            continue
        value = (fixed or {}).get(name)
        if value is None:
            raise WindtunnelError(f"law: the form '{form.name}' also needs {name}; give a value")
        if not (math.isfinite(value) and value > 0):
            raise WindtunnelError(f"law: {name} {value} is not a positive number")
        held[name] = float(value)
    drawn = tuple(_metric(law, draw, held) for draw in law.draws[:_DRAWS])
    return Surface(law, held, _metric(law, law.fitted.parameters, held), drawn)


def _metric(law: Law, parameters: Array, fixed: Mapping[str, float]) -> Metric:
    def metric(params: Array, tokens: Array) -> Array:
        params, tokens = np.broadcast_arrays(params, tokens)
        inputs = {"params": params.ravel(), "tokens": tokens.ravel()}
        inputs |= {name: np.full(params.size, value) for name, value in fixed.items()}
        found = predict(law.fitted.form, law.fitted.scaling, parameters[None], inputs)
        return np.asarray(found[0].reshape(params.shape))

    return metric
