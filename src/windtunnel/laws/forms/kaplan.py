"""The joint law of Kaplan et al.; with an irreducible loss it is `coupled`."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.forms.chinchilla import RATIO
from windtunnel.laws.forms.coupling import coupled
from windtunnel.laws.forms.form import Form, Inputs, Parameter, Scaling
from windtunnel.laws.forms.term_sum import FLOOR, coefficients, share
from windtunnel.laws.solver import Array

# Published exponents are .05 to .1: lower than where Chinchilla's may go, as nothing is taken off.
_MEAN = Parameter("log_mean_exponent", float(np.log(0.01)), float(np.log(2.0)), decisive=True)
_RATIOS = np.linspace(-1.2, 1.2, 7)
_MEANS = np.log(np.geomspace(0.03, 1.0, 9))


class Kaplan(Form):
    """[(Nc / N)^(aN / aD) + Dc / D]^aD.

    N without embeddings. The published D is of early-stopped runs over several epochs with
    dropout (WebText2): it does not go with C = 6 N D of one epoch.
    Published: aN = .076, aD = .103, Nc = 6.4e13, Dc = 1.8e13 (recalled; notes agree).

    Coordinates: a and b (logs of the loss with unlimited data and with an unlimited model, in the
    middle of the data), the log of the geometric mean of aN and aD, and of their ratio.
    """

    name = "kaplan"
    formula = "L = [(Nc / N)^(aN / aD) + Dc / D]^aD"
    source = "Kaplan et al. 2020 (2001.08361), equation 1.5"
    inputs = ("params", "tokens")
    parameters = (share("a"), share("b"), _MEAN, RATIO)
    least_values = {"params": 2, "tokens": 2}  # noqa: RUF012

    def predict(self, parameters: Array, inputs: Inputs) -> tuple[Array, Array]:
        """See `Form.predict`."""
        a, b, mean, ratio = (parameters[:, place, None] for place in range(4))
        by_params = -np.exp(mean + ratio / 2) * inputs["params"]
        by_tokens = -np.exp(mean - ratio / 2) * inputs["tokens"]
        total, first, second, by_g = coupled(a + by_params, b + by_tokens, mean - ratio / 2)
        # The data's exponent is also the strength g of the coupling.
        along, across = first * by_params, second * by_tokens + by_g
        slopes = np.stack([first, second, along + across, (along - across) / 2], axis=2)
        return total, slopes

    def starts(self, inputs: Inputs, observed: Array, weights: Array) -> Array:
        """See `Form.starts`: for fixed exponents the loss to the power 1 / aD is linear."""
        mean, ratio = (part.ravel() for part in np.meshgrid(_MEANS, _RATIOS))
        first, second = np.exp(mean + ratio / 2)[:, None], np.exp(mean - ratio / 2)[:, None]
        found = []
        for row in range(mean.size):
            terms = np.stack(
                [
                    np.exp(-first[row] / second[row] * inputs["params"]),
                    np.exp(-inputs["tokens"]),
                ],
                axis=1,
            )
            target = np.exp(observed / second[row])
            # Relative errors: those of the power are 1 / aD times those of the loss.
            solved = coefficients(terms[None] / target[:, None], np.ones_like(target), weights)[0]
            logs = second[row] * np.log(np.maximum(solved, 1e-30))
            found.append([*np.maximum(logs, FLOOR / 2), mean[row], ratio[row]])
        return np.array(found)

    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """Nc, Dc, aN and aD."""
        a, b, mean, ratio = (float(value) for value in parameters)
        by_params, by_tokens = float(np.exp(mean + ratio / 2)), float(np.exp(mean - ratio / 2))
        return {
            "Nc": float(np.exp((a + scaling.metric) / by_params + scaling.inputs["params"])),
            "Dc": float(np.exp((b + scaling.metric) / by_tokens + scaling.inputs["tokens"])),
            "aN": by_params,
            "aD": by_tokens,
        }
