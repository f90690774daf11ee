"""One power law with an irreducible metric, in whatever one thing was varied."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.forms.form import Inputs, Parameter, Scaling
from windtunnel.laws.forms.term_sum import TermSum, share
from windtunnel.laws.solver import Array

_EXPONENT = Parameter("log_exponent", float(np.log(0.01)), float(np.log(4.0)), decisive=True)
_EXPONENTS = np.log(np.geomspace(0.03, 3.0, 15))[:, None]


class PowerLaw(TermSum):
    """E + A / x^alpha: the entropy of the data, and what the model still has to learn.

    Henighan et al. write L_inf + (x0 / x)^alpha: x0 = A^(1/alpha). Kaplan et al. have no E: where
    the data show none, the fit's E ends on its floor, a ten-thousandth of the metric.

    Coordinates: a and e (log shares of the two terms in the middle of the data), log alpha.
    """

    formula = "L = E + A / x^alpha"
    parameters = (share("a"), share("e"), _EXPONENT)

    def log_terms(self, shapes: Array, inputs: Inputs) -> tuple[Array, Array]:
        """See `TermSum.log_terms`."""
        power = -np.exp(shapes) * inputs[self.inputs[0]]
        logs = np.stack([power, np.zeros_like(power)], axis=2)
        return logs, logs[:, :, :, None].copy()

    def shape_grid(self) -> Array:
        """See `TermSum.shape_grid`."""
        return _EXPONENTS

    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """E, A and alpha."""
        a, e, exponent = (float(value) for value in parameters)
        alpha = float(np.exp(exponent))
        return {
            "E": float(np.exp(e + scaling.metric)),
            "A": float(np.exp(a + alpha * scaling.inputs[self.inputs[0]] + scaling.metric)),
            "alpha": alpha,
        }


class PowerParams(PowerLaw):
    """`PowerLaw` in parameters: data unlimited, or fixed; then E holds the data's term too.

    It is also the law of tuned regularised training on fixed data, whose E is the best loss any
    size can reach there (Kim et al. 2025, Pre-training under infinite compute).
    """

    name = "power-params"
    formula = "L = E + A / N^alpha"
    source = "Kaplan et al. 2020 (2001.08361), 1.1; Henighan et al. 2020 (2010.14701), 1.1"
    inputs = ("params",)
    least_values = {"params": 3}  # noqa: RUF012


class PowerTokens(PowerLaw):
    """`PowerLaw` in training tokens, at one size; E then holds that size's term too."""

    name = "power-tokens"
    formula = "L = E + A / D^alpha"
    source = "Kaplan et al. 2020 (2001.08361), 1.2; Henighan et al. 2020 (2010.14701), 1.1"
    inputs = ("tokens",)
    least_values = {"tokens": 3}  # noqa: RUF012


class PowerCompute(PowerLaw):
    """`PowerLaw` in training FLOPs, along runs that share them between N and D in one way."""

    name = "power-compute"
    formula = "L = E + A / C^alpha"
    source = "Kaplan et al. 2020 (2001.08361), 1.3; Henighan et al. 2020 (2010.14701), 1.1"
    inputs = ("flops",)
    least_values = {"flops": 3}  # noqa: RUF012


class PowerMembers(PowerLaw):
    """`PowerLaw` in the members of an ensemble; E is what infinitely many would reach.

    Kim et al. use 1 to 5 members. From so few the range of E is wide: ask for it.
    """

    name = "ensemble"
    formula = "L = E + A / K^p"
    source = "Kim et al. 2025 (Pre-training under infinite compute), section on ensembles"
    inputs = ("members",)
    least_values = {"members": 3}  # noqa: RUF012
