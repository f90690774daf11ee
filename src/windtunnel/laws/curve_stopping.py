"""When to stop a run: extrapolate its curve from growing prefixes until the asymptote stands.

Vilares Ferro et al. 2017, Modeling of learning curves with applications to POS tagging: refit the
curve at each new point, trust it once a prediction level has been passed, stop when successive
asymptotes differ by less than the user's threshold. The abstract was read; how the paper places
the prediction level was not, so ours is stated below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.fitting import fit_form
from windtunnel.laws.forms.curves import CurvePower
from windtunnel.laws.forms.form import Form
from windtunnel.laws.rows import Rows
from windtunnel.laws.solver import Array

SETTLED = 3  # successive asymptotes that must agree
_SHOWN = 0.01  # of the last loss: an asymptote below it is one that the curve does not show


@dataclass(frozen=True, slots=True)
class CurveTrace:
    """What each prefix of a curve says.

    Attributes:
        steps: (p,) last step of each prefix.
        asymptote: (p,) loss it goes to, by the fit to that prefix.
        forecast: (p,) loss at the end, by the same fit.
        trusted_from: Index of the prediction level; None before it is reached.
        stop_at: Step at which the run may stop; None while it may not.
    """

    steps: Array
    asymptote: Array
    forecast: Array
    trusted_from: int | None
    stop_at: float | None


def follow_curve(
    steps: Array,
    loss: Array,
    *,
    end: float,
    threshold: float,
    form: Form | None = None,
) -> CurveTrace:
    """Refit a learning curve on growing prefixes.

    The prediction level is the first prefix from which the fit is one of a curve: twice as many
    points as the form has parameters, an asymptote that the curve shows (over a hundredth of the
    last loss) and below all losses. The run may stop where `SETTLED` successive asymptotes after
    it lie within the threshold.

    Args:
        steps: (n,) steps, rising. Leave warm-up out, and everything after a change of rate.
        loss: (n,) losses there.
        end: Step at which the forecast is wanted.
        threshold: Loss that is too little to train on for.
        form: A form in steps with an E; `curve-power` by default.

    Raises:
        WindtunnelError: Too few points, steps that do not rise, or a threshold of 0 or less.
    """
    chosen = CurvePower() if form is None else form
    least = len(chosen.parameters) + 1
    if steps.size < least or not (np.diff(steps) > 0).all():
        raise WindtunnelError(
            f"curve: {steps.size} points; give at least {least}, with steps that rise"
        )
    if not threshold > 0:
        raise WindtunnelError(f"curve: the threshold {threshold:g} must be above 0, in loss")
    fits = [
        fit_form(Rows.of(chosen, {"steps": steps[:size]}, loss[:size]), polished=8)
        for size in range(least, steps.size + 1)
    ]
    asymptote = np.array([fit.published()["E"] for fit in fits])
    forecast = np.array([float(fit({"steps": np.array([end])})[0]) for fit in fits])
    trusted = [
        size >= 2 * len(chosen.parameters) and _SHOWN * loss[size - 1] < floor < loss[:size].min()
        for size, floor in zip(range(least, steps.size + 1), asymptote, strict=True)
    ]
    level = trusted.index(True) if any(trusted) else None
    return CurveTrace(
        steps[least - 1 :],
        asymptote,
        forecast,
        level,
        _stop(steps[least - 1 :], asymptote, np.array(trusted), threshold),
    )


def _stop(steps: Array, asymptote: Array, trusted: np.ndarray, threshold: float) -> float | None:
    """The first step at which the last asymptotes are all trusted and lie close together."""
    for last in range(SETTLED, asymptote.size + 1):
        window = slice(last - SETTLED, last)
        if trusted[window].all() and np.ptp(asymptote[window]) < threshold:
            return float(steps[last - 1])
    return None
