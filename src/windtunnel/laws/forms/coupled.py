"""Chinchilla's law with a strength of the coupling between N and D."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.forms.chinchilla import MEAN, RATIO, Chinchilla
from windtunnel.laws.forms.coupling import coupled
from windtunnel.laws.forms.form import Belief, Form, Inputs, Parameter, Scaling
from windtunnel.laws.forms.term_sum import share
from windtunnel.laws.solver import Array

_COUPLING = Parameter("log_coupling", -1.6, 1.6)
# Ours, not published: at g = 1 the terms add, as in every published fit with two terms but
# Kaplan's (g = aD = .1, which no runs of one epoch have asked for).
_COUPLING_BELIEF = Belief(_COUPLING.name, 0.0, 0.3)
_CHINCHILLA = Chinchilla()
_COUPLINGS = (0.0, -0.8, 0.8)


class Coupled(Form):
    """E + (A / N^a + B / D^b)^g.

    Coordinates: a, b, e (log shares in the middle of the data of the loss that is due to N alone,
    to D alone, and irreducible), the log of the geometric mean and of the ratio of the exponents
    that each shows alone, a g and b g, and log g. At log g = 0 they are Chinchilla's.
    """

    name = "coupled"
    formula = "L = E + (A / N^a + B / D^b)^g"
    source = "joins Kaplan et al. 2020 (2001.08361), 1.5 (E = 0, b = 1) and Chinchilla (g = 1)"
    inputs = ("params", "tokens")
    parameters = (share("a"), share("b"), share("e"), MEAN, RATIO, _COUPLING)
    least_values = {"params": 3, "tokens": 3}  # noqa: RUF012
    priors = {  # noqa: RUF012
        name: (*beliefs, _COUPLING_BELIEF) for name, beliefs in _CHINCHILLA.priors.items()
    }

    def predict(self, parameters: Array, inputs: Inputs) -> tuple[Array, Array]:
        """See `Form.predict`."""
        a, b, e, mean, ratio, log_g = (parameters[:, place, None] for place in range(6))
        by_params = -np.exp(mean + ratio / 2) * inputs["params"]
        by_tokens = -np.exp(mean - ratio / 2) * inputs["tokens"]
        reducible, first, second, by_g = coupled(a + by_params, b + by_tokens, log_g)
        total = np.logaddexp(reducible, e)
        part = np.exp(reducible - total)
        along, across = first * by_params, second * by_tokens
        slopes = np.stack([first, second, along + across, (along - across) / 2, by_g], axis=2)
        slopes *= part[:, :, None]
        return total, np.insert(slopes, 2, 1 - part, axis=2)

    def starts(self, inputs: Inputs, observed: Array, weights: Array) -> Array:
        """See `Form.starts`: Chinchilla's, with each strength the same in the middle."""
        plain = _CHINCHILLA.starts(inputs, observed, weights)
        found = []
        for log_g in _COUPLINGS:
            moved = np.column_stack([plain, np.full(len(plain), log_g)])
            joined = coupled(plain[:, :1], plain[:, 1:2], moved[:, 5:])[0]
            moved[:, :2] += np.logaddexp(plain[:, :1], plain[:, 1:2]) - joined
            found.append(moved)
        return np.concatenate(found)

    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """E, A, B, a, b and g."""
        a, b, e, mean, ratio, log_g = (float(value) for value in parameters)
        g = float(np.exp(log_g))
        first, second = float(np.exp(mean + ratio / 2)) / g, float(np.exp(mean - ratio / 2)) / g
        return {
            "E": float(np.exp(e + scaling.metric)),
            "A": float(np.exp((a + scaling.metric) / g + first * scaling.inputs["params"])),
            "B": float(np.exp((b + scaling.metric) / g + second * scaling.inputs["tokens"])),
            "a": first,
            "b": second,
            "g": g,
        }
