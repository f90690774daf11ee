"""What the laws room, and a plain fit beside it, say of rows that neither was fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from windtunnel.laws.fitting import fit_form, predict, refit
from windtunnel.laws.forms import form_named
from windtunnel.laws.held_out import foretell
from windtunnel.laws.rows import Rows
from windtunnel.laws.solver import Array
from windtunnel.laws.table import RunTable

RESAMPLES = 200
ALPHA = 0.1


@dataclass(frozen=True)
class Side:
    """Forecasts of (n,) rows by one side, over the metric measured.

    Attributes:
        errors: Foretold over measured, less one.
        low: Low end of the 90 % range over measured, less one.
        high: High end likewise.
    """

    errors: Array
    low: Array
    high: Array

    @property
    def inside(self) -> np.ndarray:
        """(n,) whether the range holds what was measured."""
        return np.asarray((self.low <= 0) & (self.high >= 0))

    @property
    def interval_score(self) -> Array:
        """(n,) Gneiting and Raftery 2007: the range's width, and 2 / alpha times what it missed."""
        missed = np.maximum(self.low, 0) + np.maximum(-self.high, 0)
        return self.high - self.low + 2 / ALPHA * missed

    @property
    def halfwidths(self) -> Array:
        """(n,) half of each range."""
        return (self.high - self.low) / 2


def ours(fitted: RunTable, foretold: RunTable) -> tuple[Side, RunTable, dict[str, Any]]:
    """Default settings; with the rows foretold, and how the law was chosen and judged."""
    found = foretell(fitted, foretold)
    ends = np.array([one.ci90 for one in found.forecasts]) / found.foretold.loss[:, None] - 1
    summary = found.law.summary
    how = {
        "form": summary["form"],
        "prior": summary["prior"],
        "rows": summary["rows"],
        "verdict": found.verdict,
        "verdicts": found.to_json()["verdicts"],
        "n_fitted": summary["n_used"],
        "seconds": summary["seconds"],
    }
    return Side(found.errors, ends[:, 0], ends[:, 1]), found.foretold, how


def plain(fitted: RunTable, foretold: RunTable, form: str) -> Side:
    """One form, a multi-start Huber fit to all rows, percentile bootstrap by run."""
    chosen = form_named(form)
    whole = np.isfinite(fitted.loss)
    inputs = {name: fitted.numbers[name][whole] for name in chosen.inputs}
    rows = Rows.of(chosen, inputs, fitted.loss[whole], groups=fitted.groups()[whole])
    best = fit_form(rows)
    target = {name: foretold.numbers[name] for name in chosen.inputs}
    generator = np.random.default_rng(0)
    runs, index = np.unique(rows.groups, return_inverse=True)
    counts = generator.multinomial(runs.size, np.full(runs.size, 1 / runs.size), RESAMPLES)
    weights = counts[:, index].astype(float)
    draws = refit(rows, best.parameters[None], weights=weights[weights.sum(axis=1) > 0])
    drawn = predict(chosen, rows.scaling, draws, target) / foretold.loss - 1
    low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    return Side(best(target) / foretold.loss - 1, low, high)
