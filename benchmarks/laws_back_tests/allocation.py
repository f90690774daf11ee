"""Iso-FLOP optima: the three largest budgets' best sizes, foretold from the smaller budgets'."""

from __future__ import annotations

from typing import Any

import numpy as np
from settings import isoflop_settings

from windtunnel.laws.hyperparameters import fit_optima_law
from windtunnel.laws.optimum import Trial, fit_optima
from windtunnel.laws.table import RunTable

LEFT_OUT = 3
_OCTAVE = float(np.log(2.0))


def allocation_tests() -> list[dict[str, Any]]:
    """Each setting: foretold over actual best size, with 90 % ranges, beside a line in logs."""
    found = []
    for name, table in isoflop_settings():
        budgets = np.unique(table.numbers["flops"])
        actual = np.array([_actual(table, budget) for budget in budgets])
        known = np.isfinite(actual)
        budgets, actual = budgets[known], actual[known]
        small, large = budgets[:-LEFT_OUT], budgets[-LEFT_OUT:]
        optima = fit_optima({budget: _trials(table, budget) for budget in small})
        values = np.array([optima[budget].value for budget in small])
        se = np.array([optima[budget].se * _OCTAVE for budget in small])
        law = fit_optima_law({"flops": small}, values, se)
        truth = actual[-LEFT_OUT:]
        low, high = law.ci90({"flops": large}, prediction=True)
        line = np.polyfit(np.log(small), np.log(actual[:-LEFT_OUT]), 1)
        found.append(
            {
                "name": name,
                "budgets": len(budgets),
                "ratio": (law({"flops": large}) / truth).tolist(),
                "inside": ((low <= truth) & (truth <= high)).tolist(),
                "line": (np.exp(np.polyval(line, np.log(large))) / truth).tolist(),
            }
        )
    return found


def _trials(table: RunTable, budget: float) -> list[Trial]:
    rows = table.numbers["flops"] == budget
    return [
        Trial(float(size), float(loss))
        for size, loss in zip(table.numbers["params"][rows], table.loss[rows], strict=True)
    ]


def _actual(table: RunTable, budget: float) -> float:
    return float(table.numbers["n_star"][table.numbers["flops"] == budget][0])
