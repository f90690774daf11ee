"""Error on downstream tasks from the loss."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.forms.form import Form, Inputs, Parameter, Scaling
from windtunnel.laws.forms.term_sum import coefficients
from windtunnel.laws.solver import Array

_RATES = np.log(np.geomspace(0.1, 30.0, 20))


class Downstream(Form):
    """eps - k exp(-gamma L): a mean error over many tasks, from the loss of the same model.

    Holds for means over tasks that the small models are above chance in (17 or 46 in the paper);
    a single task's error is not predictable so. Do not mix losses of different evaluation text.

    Coordinates: eps as a multiple of the middle error, log of k exp(-gamma L) over the middle
    error at the middle loss, and log of gamma times the middle loss.
    """

    name = "downstream"
    formula = "Err = eps - k exp(-gamma L)"
    source = "Gadre et al. 2024 (2403.08540), equation 5 (number recalled)"
    inputs = ("loss",)
    metrics = ("error",)
    space = "linear"
    parameters = (
        Parameter("eps", 0.0, 20.0),
        Parameter("log_gain", float(np.log(1e-6)), float(np.log(20.0))),
        Parameter("log_rate", float(np.log(0.01)), float(np.log(100.0))),
    )
    least_values = {"loss": 3}  # noqa: RUF012

    def predict(self, parameters: Array, inputs: Inputs) -> tuple[Array, Array]:
        """See `Form.predict`."""
        eps, gain, rate = (parameters[:, place, None] for place in range(3))
        exponent = -np.exp(rate) * (np.exp(inputs["loss"]) - 1)
        lost = np.exp(gain + exponent)
        slopes = np.stack([np.ones_like(lost), -lost, -lost * exponent], axis=2)
        return eps - lost, slopes

    def starts(self, inputs: Inputs, observed: Array, weights: Array) -> Array:
        """See `Form.starts`: for a fixed gamma the error is linear in eps and k."""
        lost = np.exp(-np.exp(_RATES)[:, None] * (np.exp(inputs["loss"]) - 1))
        basis = np.stack([np.ones_like(lost), -lost], axis=2)
        solved = coefficients(basis, observed, weights)
        return np.column_stack([solved[:, 0], np.log(np.maximum(solved[:, 1], 1e-5)), _RATES])

    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """Eps, k and gamma."""
        eps, gain, rate = (float(value) for value in parameters)
        return {
            "eps": eps * float(np.exp(scaling.metric)),
            "k": float(np.exp(gain + np.exp(rate) + scaling.metric)),
            "gamma": float(np.exp(rate - scaling.inputs["loss"])),
        }
