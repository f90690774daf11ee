"""A forecast together with the run that would narrow it most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from windtunnel.laws.deciding.candidate_runs import training_flops
from windtunnel.laws.deciding.next_run import NextRuns, next_runs
from windtunnel.laws.forecasting import LawForecast, forecast_law
from windtunnel.laws.law import Law

# A run that costs more than this share of the target is no way to learn about it.
_MOST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is foretold, and what would help.

    Attributes:
        forecast: The forecast.
        next_run: One run to add; None where the law's inputs do not say what a run costs, or no
            run of at most a tenth of the target's compute would narrow the range.
    """

    forecast: LawForecast
    next_run: NextRuns | None

    def to_json(self) -> dict[str, Any]:
        """The forecast's, and `next_run`."""
        runs = self.next_run.to_json()["runs"] if self.next_run else []
        return {**self.forecast.to_json(), "next_run": runs[0] if runs else None}


def outlook(law: Law, target: Mapping[str, float]) -> Outlook:
    """Forecast one run, and find the one to add first.

    Args:
        law: The fitted law.
        target: Value of each of the form's inputs.

    Raises:
        WindtunnelError: An input is missing or is no positive number.
    """
    forecast = forecast_law(law, target)
    if not {"params", "tokens"} <= set(law.inputs):
        return Outlook(forecast, None)
    wanted = {name: target[name] for name in law.inputs}
    cost = training_flops({name: np.array([value]) for name, value in wanted.items()})
    found = next_runs(law, wanted, _MOST_SHARE * float(cost[0]), most=1)
    return Outlook(forecast, found if found.runs else None)
