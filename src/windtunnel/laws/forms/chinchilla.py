"""The Chinchilla law."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.forms.form import Belief, Inputs, Parameter, Scaling
from windtunnel.laws.forms.term_sum import TermSum, share
from windtunnel.laws.solver import Array

# Log of the geometric mean of alpha and beta, and log of alpha over beta.
MEAN = Parameter("log_mean_exponent", float(np.log(0.05)), float(np.log(2.0)), decisive=True)
RATIO = Parameter("log_exponent_ratio", -3.0, 3.0, decisive=True)
# Published fits of language models' loss, (alpha, beta): Hoffmann et al. 2022 (.339, .285),
# Besiroglu et al. 2024 (.348, .366), Muennighoff et al. 2023 (.353, tied), MiniCPM (.29, .23),
# Gadre et al. 2024 (.242 C4, .273 RedPajama, .254 RefinedWeb, tied): geometric means .24 to .36.
_MEAN_BELIEF = Belief(MEAN.name, float(np.log(0.30)), 0.2)
_RATIOS = np.linspace(-1.2, 1.2, 7)
_MEANS = np.log(np.geomspace(0.09, 1.3, 10))


class Chinchilla(TermSum):
    """E + A / N^alpha + B / D^beta.

    Coordinates: a, b, e (log shares of the three terms in the middle of the data), the log of the
    exponents' geometric mean, and the log of their ratio alpha / beta.
    """

    name = "chinchilla"
    formula = "L = E + A / N^alpha + B / D^beta"
    source = "Hoffmann et al. 2022 (2203.15556), equation 2"
    inputs = ("params", "tokens")
    parameters = (share("a"), share("b"), share("e"), MEAN, RATIO)
    least_values = {"params": 2, "tokens": 2}  # noqa: RUF012
    priors = {  # noqa: RUF012
        # The ratios of the fits above scatter by about .2, Kaplan et al. 2020's by .3.
        "published": (_MEAN_BELIEF, Belief(RATIO.name, 0.0, 0.3)),
        # How compute is best shared is known better than either exponent: N grows as C to the
        # power beta / (alpha + beta), .46 to .54 in published fits, so alpha / beta is 1 within
        # a tenth or so in log.
        "balanced": (_MEAN_BELIEF, Belief(RATIO.name, 0.0, 0.1)),
        # For small ladders of far smaller models, whose exponents scatter more: .35 within a
        # factor 1.5 (.4 in log) for each of the two on its own. Only by name.
        "weak": (
            Belief(MEAN.name, float(np.log(0.35)), 0.4 / 2**0.5),
            Belief(RATIO.name, 0.0, 0.4 * 2**0.5),
        ),
    }

    def log_terms(self, shapes: Array, inputs: Inputs) -> tuple[Array, Array]:
        """See `TermSum.log_terms`."""
        mean, ratio = shapes[:, 0, None], shapes[:, 1, None]
        by_params = -np.exp(mean + ratio / 2) * inputs["params"]
        by_tokens = -np.exp(mean - ratio / 2) * inputs["tokens"]
        logs = np.stack([by_params, by_tokens, np.zeros_like(by_params)], axis=2)
        slopes = np.zeros((*logs.shape, 2))
        slopes[:, :, 0, 0], slopes[:, :, 0, 1] = by_params, by_params / 2
        slopes[:, :, 1, 0], slopes[:, :, 1, 1] = by_tokens, -by_tokens / 2
        return logs, slopes

    def shape_grid(self) -> Array:
        """See `TermSum.shape_grid`."""
        return np.stack(np.meshgrid(_MEANS, _RATIOS), axis=-1).reshape(-1, 2)

    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """E, A, B, alpha and beta."""
        a, b, e, mean, ratio = (float(value) for value in parameters)
        alpha, beta = float(np.exp(mean + ratio / 2)), float(np.exp(mean - ratio / 2))
        return {
            "E": float(np.exp(e + scaling.metric)),
            "A": float(np.exp(a + alpha * scaling.inputs["params"] + scaling.metric)),
            "B": float(np.exp(b + beta * scaling.inputs["tokens"] + scaling.metric)),
            "alpha": alpha,
            "beta": beta,
        }
