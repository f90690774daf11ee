"""The next run: the one that takes most off the expected regret at the target, for its FLOPs."""

from __future__ import annotations

import numpy as np

from windtunnel.search.surrogate.features import Array, Cells
from windtunnel.search.surrogate.posterior import Posterior
from windtunnel.search.surrogate.regret import reductions


def best_run(
    posterior: Posterior,
    target: int,
    recipes: Array,
    cells: Cells,
    cost: Array,
    waiting: tuple[Array, Cells] | None = None,
) -> int:
    """Index of the run to do next.

    Args:
        posterior: What is known.
        target: Index of the target's cell.
        recipes: (n, d) log2 of the candidates' hyperparameters.
        cells: (n,) index of their cells.
        cost: (n,) FLOPs of each.
        waiting: Recipes and cells of runs under way, whose results can't be known but whose
            questions needn't be asked again.
    """
    covariance = posterior.covariance if waiting is None else posterior.covariance_with(*waiting)
    return int(np.argmax(reductions(posterior, target, recipes, cells, covariance) / cost))
