"""A back-test that the user sets up: fit some rows of a table, foretell others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from windtunnel.errors import WindtunnelError
from windtunnel.laws.fit_law import fit_law
from windtunnel.laws.flags import flag_rows
from windtunnel.laws.forecasting import LawForecast, Verdict, forecast_law
from windtunnel.laws.law import Law
from windtunnel.laws.scorecard import scores
from windtunnel.laws.table import RunTable


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a law fitted to some rows said of others.

    Attributes:
        law: The law.
        foretold: The table's rows that were foretold.
        forecasts: One a row.
        verdict: The worst of theirs.
        reason: The commonest reason behind it.
    """

    law: Law
    foretold: RunTable
    forecasts: tuple[LawForecast, ...]
    verdict: Verdict
    reason: str

    @property
    def errors(self) -> np.ndarray:
        """(n,) foretold over measured, less one."""
        said = np.array([one.value for one in self.forecasts])
        relative: np.ndarray = said / self.foretold.loss - 1
        return relative

    @property
    def halfwidths(self) -> np.ndarray:
        """(n,) half of each range, as a share of the metric measured."""
        ends = np.array([one.ci90 for one in self.forecasts])
        shares: np.ndarray = np.ptp(ends, axis=1) / 2 / np.abs(self.foretold.loss)
        return shares

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; row by row under `rows`."""
        inside = [
            one.ci90[0] <= loss <= one.ci90[1]
            for one, loss in zip(self.forecasts, self.foretold.loss, strict=True)
        ]
        return {
            "form": self.law.fitted.form.name,
            **scores(self.errors, self.halfwidths),
            "coverage90": float(np.mean(inside)),
            "verdict": self.verdict,
            "reason": self.reason,
            "verdicts": dict(Counter(one.verdict for one in self.forecasts)),
            "n_fitted": self.law.summary["n_used"],
            "rows": [
                {
                    "line": int(line),
                    "measured": float(loss),
                    "foretold": one.value,
                    "ci90": list(one.ci90),
                    "verdict": one.verdict,
                }
                for line, loss, one in zip(
                    self.foretold.lines, self.foretold.loss, self.forecasts, strict=True
                )
            ],
        }


def foretell(fitted: RunTable, foretold: RunTable, *, form: str = "auto", seed: int = 0) -> HeldOut:
    """Fit a law to some rows and foretell others, which it never sees.

    Args:
        fitted: Rows to fit.
        foretold: Rows to foretell; those that a flag's rule drops (diverged, untuned ...) and
            those without a metric are left out.
        form: As in `fit_law`.
        seed: Likewise.

    Raises:
        WindtunnelError: No law can be fitted, or nothing is left to foretell.
    """
    law = fit_law(fitted, form=form, seed=seed)
    inputs = law.fitted.form.inputs
    whole = np.all([np.isfinite(foretold.numbers[name]) for name in ("loss", *inputs)], axis=0)
    kept, _ = flag_rows(foretold)
    rows = foretold.keep(whole & kept)
    if not len(rows):
        raise WindtunnelError(
            f"{foretold.source}: no row to foretell has {', '.join(inputs)} and a loss; "
            "loosen --predict"
        )
    forecasts = tuple(
        forecast_law(law, {name: float(rows.numbers[name][row]) for name in inputs})
        for row in range(len(rows))
    )
    order: tuple[Verdict, ...] = ("cannot say", "wide", "ok")
    verdict = next(each for each in order if any(one.verdict == each for one in forecasts))
    reasons = Counter(one.reason for one in forecasts if one.verdict == verdict)
    return HeldOut(law, rows, forecasts, verdict, reasons.most_common(1)[0][0])
