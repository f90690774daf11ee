"""Clark et al.'s law of routed (mixture-of-experts) models, and what their parameters are worth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from windtunnel.laws.forms.form import Form, Inputs, Parameter, Scaling
from windtunnel.laws.forms.term_sum import coefficients
from windtunnel.laws.solver import Array

_TEN = float(np.log(10.0))
_FIRST = Parameter("log_least_experts", 0.0, float(np.log(64.0)))
_SPAN = Parameter("log_span", float(np.log(1.5)), float(np.log(1e5)))
_FIRSTS, _SPANS = np.log((1.2, 2.0, 4.0, 10.0)), np.log((10.0, 50.0, 250.0, 1500.0))


class Routed(Form):
    """log10 L = a log10 N + b log10 Ehat + c log10 N log10 Ehat + d.

    N is the dense equivalent: what one token passes through. E experts in a routed layer saturate
    between E_s and E_m: 1 / Ehat = 1 / (E - 1 + 1 / (1 / E_s - 1 / E_m)) + 1 / E_m, so that
    Ehat(1) = E_s and Ehat(inf) = E_m. Dense models are E = 1. No irreducible term and no tokens:
    for one fixed number of tokens (130e9 in the paper), never for another.
    Published for S-BASE: a = -.082, b = -.108, c = .009, d = 1.104, E_s = 1.85, E_m = 314.5
    (recalled, reading notes agree; a fit to the released runs gives -.083, -.118, .0099, 1.114).

    Coordinates: log L less the middle at the middle N and Ehat = 1, slopes by log N and log Ehat
    there, their product's, log E_s, log (E_m / E_s).
    """

    name = "routed"
    formula = "log10 L = a n + b e + c n e + d, n = log10 N, e = log10 Ehat(E)"
    source = "Clark et al. 2022 (2202.01169), as in scaling_laws_for_routing @ 42da0c39"
    inputs = ("params", "experts")
    counts = ("experts",)
    parameters = (
        Parameter("level", -5.0, 5.0),
        Parameter("by_params", -1.0, 0.0),
        Parameter("by_experts", -1.0, 0.5),
        Parameter("by_both", -0.2, 0.2),
        _FIRST,
        _SPAN,
    )
    least_values = {"params": 2, "experts": 4}  # noqa: RUF012

    def predict(self, parameters: Array, inputs: Inputs) -> tuple[Array, Array]:
        """See `Form.predict`."""
        level, by_params, by_experts, by_both, first, span = (
            parameters[:, place, None] for place in range(6)
        )
        params = inputs["params"]
        experts, by_first, by_span = _saturated(np.exp(inputs["experts"]), first, span)
        pull = by_experts + by_both * params
        slopes = [
            np.ones_like(experts),
            np.broadcast_to(params, experts.shape),
            experts,
            params * experts,
            pull * by_first,
            pull * by_span,
        ]
        return level + by_params * params + pull * experts, np.stack(slopes, axis=2)

    def starts(self, inputs: Inputs, observed: Array, weights: Array) -> Array:
        """See `Form.starts`: for a fixed saturation the log loss is linear in the rest."""
        first, span = (part.reshape(-1, 1) for part in np.meshgrid(_FIRSTS, _SPANS))
        experts = _saturated(np.exp(inputs["experts"]), first, span)[0]
        params = np.broadcast_to(inputs["params"], experts.shape)
        basis = np.stack([np.ones_like(experts), params, experts, params * experts], axis=2)
        return np.concatenate([coefficients(basis, observed, weights), first, span], axis=1)

    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """a, b, c, d, E_s and E_m; logs in it are decimal."""
        level, by_params, by_experts, by_both, first, span = (float(v) for v in parameters)
        middle = scaling.inputs["params"]
        return {
            "a": by_params,
            "b": by_experts - by_both * middle,
            "c": by_both * _TEN,
            "d": (level + scaling.metric - by_params * middle) / _TEN,
            "E_s": float(np.exp(first)),
            "E_m": float(np.exp(first + span)),
        }


def saturated_experts(published: Mapping[str, float], experts: Array) -> Array:
    """Ehat of a number of experts.

    Args:
        published: `Routed.published`.
        experts: (n,) experts in a routed layer; 1 is a dense model.
    """
    first, most = published["E_s"], published["E_m"]
    return np.asarray(1 / (1 / (experts - 1 + 1 / (1 / first - 1 / most)) + 1 / most))


def effective_params(published: Mapping[str, float], params: Array, experts: Array) -> Array:
    """Parameters of the dense model with the loss of a routed one.

    Beyond N = 10^(-b / c), where routing stops helping, it is below N.

    Args:
        published: `Routed.published`.
        params: (n,) dense-equivalent parameters.
        experts: (n,) experts in a routed layer.
    """
    first = published["E_s"]
    seen = saturated_experts(published, experts)
    alone = published["a"] + published["c"] * np.log10(first)
    here = published["a"] + published["c"] * np.log10(seen)
    return np.asarray(params ** (here / alone) * (seen / first) ** (published["b"] / alone))


def _saturated(experts: Array, first: Array, span: Array) -> tuple[Array, Array, Array]:
    """(problems, n) log Ehat and its derivatives by log E_s and by log (E_m / E_s)."""
    least, most = np.exp(first), np.exp(first + span)
    # E - 1 + this is E_s at E = 1 once 1 / E_m is added back.
    offset = least / (1 - np.exp(-span))
    shifted = experts - 1 + offset
    inverse = 1 / shifted + 1 / most
    by_offset = offset / shifted**2 / inverse
    by_first = by_offset + 1 / most / inverse
    by_span = -by_offset / np.expm1(span) + 1 / most / inverse
    return -np.log(inverse), by_first, by_span
