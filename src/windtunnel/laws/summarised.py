"""What `fit --json` says of a law beside what forecasts need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from windtunnel.laws.deciding.cost import measured_cost
from windtunnel.laws.fitting import fit_form
from windtunnel.laws.flags import Flag
from windtunnel.laws.forecasting import FLOOR
from windtunnel.laws.law import Law
from windtunnel.laws.rolling import RollingTest
from windtunnel.laws.rows import Rows
from windtunnel.laws.scorecard import scorecard
from windtunnel.laws.table import RunTable


def summary_of(
    law: Law,
    rows: Rows,
    table: RunTable,
    chosen: RollingTest,
    tests: Sequence[RollingTest],
    flags: Sequence[Flag],
) -> dict[str, Any]:
    """Plain JSON values: the form, its parameters and ranges, the rows and the back-tests.

    Args:
        law: The law, without a summary.
        rows: The rows it was fitted to, or a sample of very many.
        table: The rows that could be used.
        chosen: The candidate it is.
        tests: All candidates.
        flags: What was said of the rows.
    """
    published = law.fitted.published()
    drawn = law.published_draws()
    ranges = {
        name: [float(end) for end in np.quantile([one[name] for one in drawn], [0.05, 0.95])]
        for name in published
    }
    cost = measured_cost(table.numbers)
    return {
        "form": law.fitted.form.name,
        "formula": law.fitted.form.formula,
        "unit": table.metric.unit,
        "prior": chosen.candidate.prior,
        "rows": chosen.candidate.rows,
        "params": published,
        "ci90": ranges,
        "objective": law.fitted.objective,
        "starts_near_best": law.fitted.near_best,
        "at_bounds": list(law.fitted.at_bounds()),
        "floorless": _floorless(rows),
        "flags": [flag.to_json() for flag in flags],
        "cost": None if cost is None else cost.to_json(),
        "backtest": scorecard(law, chosen),
        "candidates": [
            {**test.to_json(), "chosen": test is chosen}
            for test in sorted(tests, key=lambda test: test.score)
        ],
    }


def _floorless(rows: Rows) -> bool:
    """Whether the rows, without any belief, leave next to nothing below the loss."""
    names = [parameter.name for parameter in rows.form.parameters]
    if "e" not in names:
        return False
    free = fit_form(rows, polished=8).parameters[names.index("e")]
    return bool(free < np.log(FLOOR) + rows.observed.min())
