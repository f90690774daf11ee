"""Gadre et al.'s law of over-training: equal exponents of N and D."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.forms.form import Belief, Inputs, Parameter, Scaling
from windtunnel.laws.forms.term_sum import TermSum, share
from windtunnel.laws.solver import Array

_EXPONENT = Parameter("log_exponent", float(np.log(0.05)), float(np.log(2.0)), decisive=True)
_EXPONENTS = np.log(np.geomspace(0.09, 1.3, 12))[:, None]


class OverTraining(TermSum):
    """E + (a M^h + b M^-h) / C^h, with M = D / N tokens a parameter and C = 6 N D.

    The same as E + A / N^alpha + B / D^alpha with alpha = 2 h, a = A 6^h, b = B 6^h: models of one
    M lie on parallel lines in log reducible loss. Fitted in N and D, published in C and M.

    Coordinates: a, b, e (log shares of the three terms in the middle of the data), log alpha.
    """

    name = "over-training"
    formula = "L = E + (a M^h + b M^-h) / C^h, M = D / N, C = 6 N D"
    source = "Gadre et al. 2024 (2403.08540), as fitted in mlfoundations/scaling @ a003c491"
    inputs = ("params", "tokens")
    parameters = (share("a"), share("b"), share("e"), _EXPONENT)
    least_values = {"params": 2, "tokens": 2}  # noqa: RUF012
    # As Chinchilla's mean exponent: three of the published fits there are Gadre's own.
    priors = {"published": (Belief(_EXPONENT.name, float(np.log(0.30)), 0.2),)}  # noqa: RUF012

    def log_terms(self, shapes: Array, inputs: Inputs) -> tuple[Array, Array]:
        """See `TermSum.log_terms`."""
        alpha = np.exp(shapes)
        by_params = -alpha * inputs["params"]
        logs = np.stack([by_params, -alpha * inputs["tokens"], np.zeros_like(by_params)], axis=2)
        return logs, logs[:, :, :, None].copy()

    def shape_grid(self) -> Array:
        """See `TermSum.shape_grid`."""
        return _EXPONENTS

    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """E, a, b and h."""
        a, b, e, exponent = (float(value) for value in parameters)
        h = float(np.exp(exponent)) / 2
        six = h * float(np.log(6.0))
        return {
            "E": float(np.exp(e + scaling.metric)),
            "a": float(np.exp(a + 2 * h * scaling.inputs["params"] + scaling.metric + six)),
            "b": float(np.exp(b + 2 * h * scaling.inputs["tokens"] + scaling.metric + six)),
            "h": h,
        }
