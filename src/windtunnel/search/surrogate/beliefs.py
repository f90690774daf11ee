"""What is believed of a hyperparameter before any run: how steep, how far off, how it drifts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Rise of log loss an octave (a factor 2) off the best, times two: .5 % under learning rate or batch
# alone, as the surface of windtunnel.laws.bowl starts with; within a factor 3 before looking.
CURVATURE = 0.006
CURVATURE_SD = 0.7  # as a share
# Octaves by which the optimum may lie from what the rule or a law says at the base.
SPREAD = 2.0
# Octaves an octave of scale by which the optimum may drift away from it. Measured drifts are 0
# under mup and completep, -1 in width for what needs a rule and has none
# (benchmarks/results/transfer.md); published laws of one hyperparameter differ by .2 or so.
DRIFT = 0.25


@dataclass(frozen=True, slots=True)
class AxisBelief:
    """One searched hyperparameter, on a scale where a doubling is one unit (an octave).

    Attributes:
        name: Of the hyperparameter.
        curvature: Second derivative of log loss at the best, per octave squared.
        spread: Standard deviation of the optimum around the prior's, at the base, in octaves.
        drift: Standard deviation of the drift away from the prior's optimum, in octaves an octave,
            one for each axis of scale; or one for all.
    """

    name: str
    curvature: float = CURVATURE
    spread: float = SPREAD
    drift: float | tuple[float, ...] = DRIFT

    def drifts(self, scale_axes: int) -> Sequence[float]:
        """`drift` for each axis of scale."""
        return self.drift if isinstance(self.drift, tuple) else (self.drift,) * scale_axes
