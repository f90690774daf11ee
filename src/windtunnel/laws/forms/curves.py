"""Learning curves of one run: a loss that falls to a floor as steps go by."""

from __future__ import annotations

import numpy as np

from windtunnel.laws.forms.form import Inputs, Parameter, Scaling
from windtunnel.laws.forms.power import PowerLaw
from windtunnel.laws.forms.term_sum import FLOOR, TermSum, share
from windtunnel.laws.solver import Array

# How far above the middle loss the first steps may start, where a term has a value at step 0.
_HEIGHT = Parameter("a", FLOOR, float(np.log(1e4)))
_SHAPE = Parameter("log_shape", float(np.log(0.1)), float(np.log(4.0)))
_TIME = Parameter("log_time", -8.0, 8.0)
_RATE = Parameter("log_rate", float(np.log(1e-3)), float(np.log(1e3)))
_SHAPES = np.log(np.geomspace(0.2, 2.5, 8))


class CurvePower(PowerLaw):
    """E + A / t^c, `pow3`; for a run at a constant rate, or for the ends of runs of each length."""

    name = "curve-power"
    formula = "L = E + A / t^c"
    source = "pow3 of LCDB (Mohr et al. 2022, utils_fit.py), in a loss"
    inputs = ("steps",)
    least_values = {"steps": 3}  # noqa: RUF012


class _Curve(TermSum):
    """A height times a shape that falls from 1, and a floor."""

    inputs = ("steps",)

    def log_terms(self, shapes: Array, inputs: Inputs) -> tuple[Array, Array]:
        """See `TermSum.log_terms`."""
        fall, slopes = self.fall(shapes[:, None, :], inputs["steps"])
        return (
            np.stack([fall, np.zeros_like(fall)], axis=2),
            np.stack([slopes, np.zeros_like(slopes)], axis=2),
        )

    def fall(self, shapes: Array, steps: Array) -> tuple[Array, Array]:
        """(problems, n) log of the falling term and its (problems, n, s) derivatives.

        Args:
            shapes: (problems, 1, s).
            steps: (n,) scaled logs.
        """
        raise NotImplementedError

    def height_and_floor(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """E and A, for forms whose term is A at its height."""
        return {
            "E": float(np.exp(parameters[1] + scaling.metric)),
            "A": float(np.exp(parameters[0] + scaling.metric)),
        }


class CurveExponential(_Curve):
    """E + A exp(-r t), `exp3`; coordinates: log shares of A and E, log r times the middle step."""

    name = "curve-exponential"
    formula = "L = E + A exp(-r t)"
    source = "exp3 of LCDB (Mohr et al. 2022, utils_fit.py); AutoLRS (Jin et al. 2021)"
    parameters = (_HEIGHT, share("e"), _RATE)
    least_values = {"steps": 3}  # noqa: RUF012

    def fall(self, shapes: Array, steps: Array) -> tuple[Array, Array]:
        """See `_Curve.fall`."""
        fall = -np.exp(shapes[:, :, 0] + steps)
        return fall, fall[:, :, None]

    def shape_grid(self) -> Array:
        """See `TermSum.shape_grid`."""
        return np.log(np.geomspace(0.03, 30.0, 16))[:, None]

    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """E, A and r."""
        rate = float(np.exp(parameters[2] - scaling.inputs["steps"]))
        return {**self.height_and_floor(parameters, scaling), "r": rate}


class CurveWeibull(_Curve):
    """E + A exp(-(t / T)^d), `wbl4`; coordinates: log A, log E, log T over the middle, log d."""

    name = "curve-weibull"
    formula = "L = E + A exp(-(t / T)^d)"
    source = "wbl4 (and exp4) of LCDB (Mohr et al. 2022, utils_fit.py), in a loss"
    parameters = (_HEIGHT, share("e"), _TIME, _SHAPE)
    least_values = {"steps": 4}  # noqa: RUF012

    def fall(self, shapes: Array, steps: Array) -> tuple[Array, Array]:
        """See `_Curve.fall`."""
        time, shape = shapes[:, :, 0], np.exp(shapes[:, :, 1])
        power = shape * (steps - time)
        fall = -np.exp(np.minimum(power, 300.0))
        return fall, np.stack([-shape * fall, power * fall], axis=2)

    def shape_grid(self) -> Array:
        """See `TermSum.shape_grid`."""
        times = np.linspace(-5.0, 3.0, 9)
        return np.stack(np.meshgrid(times, _SHAPES), axis=-1).reshape(-1, 2)

    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """E, A, T and d."""
        return {
            **self.height_and_floor(parameters, scaling),
            "T": float(np.exp(parameters[2] + scaling.inputs["steps"])),
            "d": float(np.exp(parameters[3])),
        }


class CurveHyperbolic(_Curve):
    """E + A / (1 + (t / T)^d), `mmf4`; coordinates: log A, log E, log T over the middle, log d.

    A power law at late steps that is finite at step 0.
    """

    name = "curve-hyperbolic"
    formula = "L = E + A / (1 + (t / T)^d)"
    source = "mmf4 of LCDB (Mohr et al. 2022, utils_fit.py), in a loss"
    parameters = (_HEIGHT, share("e"), _TIME, _SHAPE)
    least_values = {"steps": 4}  # noqa: RUF012

    def fall(self, shapes: Array, steps: Array) -> tuple[Array, Array]:
        """See `_Curve.fall`."""
        time, shape = shapes[:, :, 0], np.exp(shapes[:, :, 1])
        power = shape * (steps - time)
        fall = -np.logaddexp(0.0, power)
        part = np.exp(power + fall)
        return fall, np.stack([shape * part, -power * part], axis=2)

    def shape_grid(self) -> Array:
        """See `TermSum.shape_grid`."""
        times = np.linspace(-7.0, 2.0, 10)
        return np.stack(np.meshgrid(times, _SHAPES), axis=-1).reshape(-1, 2)

    def published(self, parameters: Array, scaling: Scaling) -> dict[str, float]:
        """E, A, T and d."""
        return {
            **self.height_and_floor(parameters, scaling),
            "T": float(np.exp(parameters[2] + scaling.inputs["steps"])),
            "d": float(np.exp(parameters[3])),
        }
