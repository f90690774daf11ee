"""What runs make of the beliefs: coefficients with their covariance, updated run by run."""

from __future__ import annotations

import numpy as np

from windtunnel.search.surrogate.features import Array, Cells, Features

# Rises are bent as scale log(1 + rise / scale): a wall counts as high, not as twice as high.
_BEND = 0.05
_WALL = 0.5  # rise of a run that diverged
# A run's distance from the surface is noise, and a share of how far it lies above the best: what
# matters is the bottom (as in windtunnel.laws.tuning).
_MISFIT = 0.5
NOISE = 0.003  # of log loss from seed to seed: .07 to 2 % (benchmarks/results/seed_noise.md)


class Posterior:
    """A normal distribution of the surrogate's coefficients, given runs.

    A run costs one rank-one update; the first of a cell and each that beats the cell's best
    changes what "above the best" means there, and the cell is added up again.

    Args:
        features: The features with their prior.
        noise: Standard deviation of log loss from seed to seed.
    """

    def __init__(self, features: Features, noise: float = NOISE) -> None:
        self.features = features
        self.noise = noise
        mean, sd = features.prior()
        self._prior = np.diag(sd**-2), mean * sd**-2
        cells = len(features.optima)
        self._rows: list[list[Array]] = [[] for _ in range(cells)]
        self._logs: list[list[float]] = [[] for _ in range(cells)]
        self._best = np.full(cells, np.inf)
        self._precision = np.zeros((cells, features.size, features.size))
        self._shift = np.zeros((cells, features.size))
        self._total = self._prior[0].copy(), self._prior[1].copy()
        self._solved: tuple[Array, Array] | None = None

    @property
    def mean(self) -> Array:
        """(size,) expected coefficients."""
        return self._solve()[0]

    @property
    def covariance(self) -> Array:
        """(size, size) covariance of the coefficients."""
        return self._solve()[1]

    def add(self, recipe: Array, cell: int, loss: float | None) -> None:
        """Take in one run.

        Args:
            recipe: (d,) log2 of its hyperparameters.
            cell: Index of its cell.
            loss: Positive; None if it diverged.
        """
        row = self.features.at(recipe[None], np.array([cell]))[0]
        log = np.inf if loss is None else float(np.log(loss))
        self._rows[cell].append(row)
        self._logs[cell].append(log)
        if log < self._best[cell]:
            self._best[cell] = log
            self._sum_again(cell)
        elif np.isfinite(self._best[cell]):
            rise, weight = self._observed(np.array([log]), cell)
            self._precision[cell] += weight[0] * np.outer(row, row)
            self._shift[cell] += weight[0] * rise[0] * row
        self._total = (
            self._prior[0] + self._precision.sum(axis=0),
            self._prior[1] + self._shift.sum(axis=0),
        )
        self._solved = None

    def covariance_with(self, recipes: Array, cells: Cells) -> Array:
        """(size, size) covariance once these runs, (n, d) and (n,), will have ended."""
        if not len(recipes):
            return self.covariance
        rows = self.features.at(recipes, cells)
        weights = self.noise_at(rows, cells) ** -2
        return _inverse(self._total[0] + (rows.T * weights) @ rows)

    def noise_at(self, rows: Array, cells: Cells) -> Array:
        """(n,) standard deviation of what runs with these (n, size) features would say."""
        above = rows @ self.mean - self.mean[cells]
        spread: Array = self.noise + _MISFIT * np.clip(above, 0.0, _BEND * np.log1p(_WALL / _BEND))
        return spread

    def _sum_again(self, cell: int) -> None:
        rows = np.array(self._rows[cell])
        rise, weight = self._observed(np.array(self._logs[cell]), cell)
        self._precision[cell] = (rows.T * weight) @ rows
        self._shift[cell] = rows.T @ (weight * rise)

    def _observed(self, logs: Array, cell: int) -> tuple[Array, Array]:
        """(n,) rises above the cell's best, bent, and the weights they have."""
        rise = np.minimum(logs - self._best[cell], _WALL)
        bent = _BEND * np.log1p(rise / _BEND)
        return bent, (self.noise + _MISFIT * bent) ** -2

    def _solve(self) -> tuple[Array, Array]:
        if self._solved is None:
            covariance = _inverse(self._total[0])
            self._solved = covariance @ self._total[1], covariance
        return self._solved


def _inverse(precision: Array) -> Array:
    return np.asarray(np.linalg.inv(precision), dtype=float)
