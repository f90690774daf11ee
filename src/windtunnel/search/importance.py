"""How much of what trials' losses differ by each parameter explains alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from windtunnel.search.space import Choice, Space
from windtunnel.search.table import Row
from windtunnel.search.trial import Trial

_BINS = 6
LEAST_TRIALS = 16


def importances(rows: Sequence[Row[Trial]], space: Space) -> dict[str, float]:
    """Share of the variance of the losses' ranks that each parameter's main effect explains.

    Trials are put into six equal groups by a parameter's value (by its choices, for those), and
    the variance between the groups' means, less what groups of that size differ by through chance
    (epsilon squared, Kelley 1935), is set against all variance. Ranks, so that a few walls don't
    count for everything. What parameters do together is nobody's share, so shares may add up to
    less than 1. Only trials of the greatest fidelity count; a trial in which a conditional
    parameter is absent is a group of its own.

    Args:
        rows: Trials; those without a loss count as the worst.
        space: The parameters.

    Returns:
        0 to 1 by name, the greatest first; empty with fewer than 16 trials.
    """
    ended = [row for row in rows if row.done]
    longest = max((row.run.fidelity or 0.0 for row in ended), default=0.0)
    ended = [row for row in ended if (row.run.fidelity or 0.0) == longest]
    if len(ended) < LEAST_TRIALS:
        return {}
    losses = np.array([np.inf if row.loss is None else row.loss for row in ended])
    ranks = losses.argsort(kind="stable").argsort().astype(float)
    for loss in np.unique(losses):  # equal losses share their rank
        ranks[losses == loss] = ranks[losses == loss].mean()
    total = float(((ranks - ranks.mean()) ** 2).sum())
    shares = {name: _share(ended, space, name, ranks, total) for name in space.names}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _share(
    rows: Sequence[Row[Trial]],
    space: Space,
    name: str,
    ranks: np.ndarray,
    total: float,
) -> float:
    parameter = space.parameters[name]
    present = np.array([name in row.run.values for row in rows])
    units = np.array(
        [parameter.unit(row.run.values[name]) if name in row.run.values else -1.0 for row in rows]
    )
    if isinstance(parameter, Choice):
        groups = units
    else:
        inner = (
            np.quantile(units[present], np.linspace(0, 1, _BINS + 1)[1:-1]) if present.any() else []
        )
        groups = np.where(present, np.searchsorted(np.unique(inner), units, side="right"), -1.0)
    found = np.unique(groups)
    if total == 0 or found.size < 2 or found.size >= len(rows):
        return 0.0
    within = sum(
        float(((ranks[groups == g] - ranks[groups == g].mean()) ** 2).sum()) for g in found
    )
    noise = within / (len(rows) - found.size)
    return max(0.0, (total - within - (found.size - 1) * noise) / total)
