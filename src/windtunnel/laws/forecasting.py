"""What a law says at a target: the metric, its 90 % range, and whether to believe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from windtunnel.laws.law import Law

Verdict = Literal["ok", "wide", "cannot say"]


@dataclass(frozen=True, slots=True)
class Axis:
    """How far the target lies beyond what was varied along one input.

    Attributes:
        axis: Name of the input.
        varied: Its least and greatest value among the rows used.
        values: How many distinct values.
        target: The target's.
        ratio: How many times beyond the range: 1 inside it.
        verdict: `ok`, or `cannot say` where the rows cannot tell this axis.
        reason: One sentence; empty where all is well.
    """

    axis: str
    varied: tuple[float, float]
    values: int
    target: float
    ratio: float
    verdict: Literal["ok", "cannot say"]
    reason: str


@dataclass(frozen=True, slots=True)
class LawForecast:
    """A forecast of one run.

    Attributes:
        value: The metric there; None where the law cannot be asked.
        ci90: 90 % range for what one run at the target will reach.
        verdict: `ok`, `wide`, or `cannot say`.
        reason: One sentence.
        axes: Axis by axis.
        next_run: The run that would shrink the range most: inputs, its cost in FLOPs and the
            half-width expected after it; None where none is known.
    """

    value: float | None
    ci90: tuple[float, float] | None
    verdict: Verdict
    reason: str
    axes: tuple[Axis, ...]
    next_run: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "loss": self.value,
            "ci90": None if self.ci90 is None else list(self.ci90),
            "verdict": self.verdict,
            "reason": self.reason,
            "axes": [
                {
                    "axis": axis.axis,
                    "varied": list(axis.varied),
                    "values": axis.values,
                    "target": axis.target,
                    "ratio": axis.ratio,
                    "verdict": axis.verdict,
                    "reason": axis.reason,
                }
                for axis in self.axes
            ],
            "next_run": None if self.next_run is None else dict(self.next_run),
        }


def forecast_law(law: Law, inputs: Mapping[str, float]) -> LawForecast:
    """Forecast one run.

    Args:
        law: The fitted law.
        inputs: The target's value for each of the form's inputs.

    Raises:
        WindtunnelError: An input is missing or is no positive number.
    """
