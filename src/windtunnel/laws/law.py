"""A fitted law with all that its forecasts need: what `FIT.json` holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.fitting import HUBER_DELTA, FittedForm, predict
from windtunnel.laws.forms import form_named
from windtunnel.laws.forms.form import Scaling
from windtunnel.laws.solver import Array

KIND = "windtunnel law 2"


@dataclass(frozen=True, slots=True)
class Spread:
    """What a forecast's range is made of, as standard deviations in the form's space.

    Attributes:
        noise: One run's own, from run to run at the same scale.
        drift: What the form is off by per nat beyond the rows, by the back-tests.
        widening: Factor on the whole range that makes it cover 90 % in the back-tests; 1 or more.
        groups: Independent back-test groups behind it: below 9, 90 % cannot be checked.
        reach: The farthest, in nats beyond the rows it was fitted to, that a back-test went.
    """

    noise: float
    drift: float
    widening: float
    groups: int
    reach: float


@dataclass(frozen=True, slots=True)
class Law:
    """A fitted law.

    Attributes:
        fitted: The form with its parameters.
        draws: (m, k) parameters refitted to resamples of the rows.
        metric: Name of the column that is predicted.
        inputs: (n,) each, of the rows used, or of a sample with the extremes of very many.
        observed: (n,) their metric.
        spread: What its forecasts' ranges are made of.
        summary: What `fit --json` prints: form, params, ci90, objective, n_used, flags, seconds,
            backtest, candidates.
        held: Sizes that the form does not need and that were the same in every row.
        weight: (n,) how much each row counts; None where all count the same.
        delta: Huber's delta that it was fitted with.
    """

    fitted: FittedForm
    draws: Array
    metric: str
    inputs: Mapping[str, Array]
    observed: Array
    spread: Spread
    summary: Mapping[str, Any]
    held: Mapping[str, float] = field(default_factory=dict)
    weight: Array | None = None
    delta: float = HUBER_DELTA

    def __call__(self, inputs: Mapping[str, Array]) -> Array:
        """(n,) the metric at inputs as given."""
        return self.fitted(inputs)

    def drawn(self, inputs: Mapping[str, Array]) -> Array:
        """(m, n) the metric by every draw of the parameters."""
        return predict(self.fitted.form, self.fitted.scaling, self.draws, inputs)

    def published_draws(self) -> list[dict[str, float]]:
        """The paper's parameters, draw by draw."""
        form, scaling = self.fitted.form, self.fitted.scaling
        return [form.published(draw, scaling) for draw in self.draws]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values from which `law_from_json` makes the law again."""
        spread = self.spread
        return {
            "kind": KIND,
            **self.summary,
            "law": {
                "form": self.fitted.form.name,
                "scaling": {
                    "inputs": dict(self.fitted.scaling.inputs),
                    "metric": self.fitted.scaling.metric,
                },
                "parameters": self.fitted.parameters.tolist(),
                "objective": self.fitted.objective,
                "near_best": self.fitted.near_best,
                "draws": self.draws.tolist(),
                "metric": self.metric,
                "inputs": {name: values.tolist() for name, values in self.inputs.items()},
                "observed": self.observed.tolist(),
                "weight": None if self.weight is None else self.weight.tolist(),
                "delta": self.delta,
                "held": dict(self.held),
                "spread": {
                    "noise": spread.noise,
                    "drift": spread.drift,
                    "widening": spread.widening,
                    "groups": spread.groups,
                    "reach": spread.reach,
                },
            },
        }


def law_from_json(value: Any) -> Law:
    """The law that `to_json` wrote.

    Raises:
        WindtunnelError: It is something else, or a part is missing or no number.
    """
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise WindtunnelError(
            "law: this is no fit of `windtunnel laws fit RUNS.csv --json`; make one with it"
        )
    try:
        held = value["law"]
        form = form_named(held["form"])
        scaling = Scaling(_numbers(held["scaling"]["inputs"]), _number(held["scaling"]["metric"]))
        fitted = FittedForm(
            form,
            scaling,
            _array(held["parameters"], (len(form.parameters),)),
            _number(held["objective"]),
            _number(held["near_best"]),
        )
        observed = _array(held["observed"], (None,))
        inputs = {name: _array(held["inputs"][name], (observed.size,)) for name in form.inputs}
        if not observed.size or not all((v > 0).all() for v in inputs.values()):
            raise ValueError("the inputs of the rows are not positive numbers")
        if not set(form.inputs) <= set(scaling.inputs):
            raise ValueError("the scaling of an input is missing")
        spread = held["spread"]
        return Law(
            fitted,
            _array(held["draws"], (None, len(form.parameters))),
            str(held["metric"]),
            inputs,
            observed,
            Spread(
                _number(spread["noise"]),
                _number(spread["drift"]),
                _number(spread["widening"]),
                int(spread["groups"]),
                _number(spread["reach"]),
            ),
            {key: v for key, v in value.items() if key not in ("kind", "law")},
            _numbers(held["held"]),
            None if held["weight"] is None else _array(held["weight"], (observed.size,)),
            _number(held["delta"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WindtunnelError(
            f"law: the fit is damaged ({error}); make it again with `windtunnel laws fit`"
        ) from error


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} where a number belongs")
    return number


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): _number(value) for name, value in values.items()}


def _array(values: Sequence[Any], shape: tuple[int | None, ...]) -> Array:
    array = np.array(values, dtype=float)
    fits = array.ndim == len(shape) and all(
        wanted is None or wanted == size for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not fits or not all(map(math.isfinite, array.ravel())):
        raise ValueError(f"an array of shape {array.shape} where {shape} numbers belong")
    return array
