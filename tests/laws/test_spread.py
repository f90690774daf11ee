from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from windtunnel.laws.folds import Fold
from windtunnel.laws.law import Spread
from windtunnel.laws.rolling import Foretold
from windtunnel.laws.spread import BEYOND, MOST_WIDENING, NORMAL_90, halfwidth, spread_of

ROWS = 8


def folds(
    count: int, noise: float, drift: float, *, seed: int = 0, tails: float = 1.0
) -> tuple[list[Foretold], np.ndarray]:
    """Errors of a form that goes astray by `drift` a nat, each fold its own way, plus noise."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        distance = np.linspace(0.5, 4.0, ROWS)
        errors = drift * generator.standard_normal() * distance
        errors = errors + noise * generator.standard_normal(ROWS)
        errors *= np.where(generator.random(ROWS) < 0.2, tails, 1.0)
        rows = np.arange(ROWS) + number * ROWS
        fold = Fold("flops", 1.0, np.ones(1, bool), np.ones(1, bool), distance)
        found.append(Foretold(fold, rows, errors, distance, noise, np.zeros(ROWS)))
    return found, np.arange(count * ROWS)


def residuals_of(noise: float) -> np.ndarray:
    """200 residuals of a normal distribution's very quantiles."""
    from scipy import stats

    return noise * stats.norm.ppf((np.arange(200) + 0.5) / 200)


@pytest.mark.parametrize(("noise", "drift"), [(0.002, 0.012), (0.01, 0.003), (0.02, 0.02)])
def test_noise_and_drift_are_recovered_within_a_factor(noise: float, drift: float) -> None:
    foretold, groups = folds(60, noise, drift)
    spread = spread_of(foretold, residuals_of(noise / 2), 0, groups)
    assert spread.noise == pytest.approx(noise, rel=0.35)
    assert drift / 1.7 < spread.drift < drift * 1.7
    assert spread.groups == 60 * ROWS
    assert spread.reach == 4.0


@pytest.mark.parametrize("tails", [1.0, 2.0, 4.0])
def test_widening_reaches_ninety_percent(tails: float) -> None:
    foretold, groups = folds(40, 0.01, 0.006, tails=tails)
    spread = spread_of(foretold, residuals_of(0.005), 0, groups)
    errors = np.concatenate([one.errors for one in foretold])
    distances = np.concatenate([one.distance for one in foretold])
    half = np.array([halfwidth(spread, 0.0, nats) for nats in distances]) / BEYOND
    assert (np.abs(errors) <= half).mean() >= 0.9
    assert BEYOND <= spread.widening <= BEYOND * MOST_WIDENING


def test_widening_has_an_end() -> None:
    foretold, groups = folds(10, 5.0, 0.006)
    spread = spread_of(foretold, residuals_of(0.005), 0, groups)
    assert spread.widening == pytest.approx(BEYOND * MOST_WIDENING)


def test_each_fold_counts_the_same() -> None:
    quiet, _ = folds(9, 0.002, 0.0)
    wild, _ = folds(1, 0.2, 0.0, seed=1)
    once = spread_of([*quiet, *wild], residuals_of(0.002), 0, np.arange(9 * ROWS))
    (one,) = wild
    repeated = Foretold(
        one.fold,
        np.repeat(one.rows, 20),
        np.repeat(one.errors, 20),
        np.repeat(one.distance, 20),
        one.scale,
        np.repeat(one.leverage, 20),
    )
    again = spread_of([*quiet, repeated], residuals_of(0.002), 0, np.arange(9 * ROWS))
    assert again == once


def test_a_run_counts_once_however_many_rows_and_folds() -> None:
    foretold, _ = folds(3, 0.01, 0.006)
    runs = np.arange(3 * ROWS) // 4
    assert spread_of(foretold, residuals_of(0.01), 0, runs).groups == 6
    assert spread_of([*foretold, *foretold], residuals_of(0.01), 0, runs).groups == 6


def test_where_the_noise_is_known_what_fits_make_of_it_is_no_drift() -> None:
    """Folds whose fits triple the noise: unexplained, it passes for drift and widens the range."""
    noise, leverage = 0.01, np.full(ROWS, 3.0)
    generator = np.random.default_rng(0)
    foretold, groups = folds(30, 0.0, 0.0)
    foretold = [
        dataclasses.replace(
            one,
            errors=noise * (3 * generator.standard_normal() + generator.standard_normal(ROWS)),
            leverage=leverage,
        )
        for one in foretold
    ]
    known = spread_of(foretold, residuals_of(noise), 0, groups, known_noise=noise)
    assert known.noise == noise
    assert known.drift == pytest.approx(0.006, rel=0.35)
    assert known.widening == pytest.approx(BEYOND, rel=0.15)
    blind = [dataclasses.replace(one, leverage=0 * leverage) for one in foretold]
    unexplained = spread_of(blind, residuals_of(noise), 0, groups, known_noise=noise)
    assert unexplained.widening > 1.4 * known.widening


def test_without_back_tests_the_beliefs_stand() -> None:
    spread = spread_of([], residuals_of(0.01), 100, np.arange(9))
    assert (spread.groups, spread.reach, spread.widening) == (0, 0.0, BEYOND)
    assert spread.drift == pytest.approx(0.006)
    # Twice the residuals', and half of the 200 rows' freedom is spent.
    assert spread.noise == pytest.approx(2 * 0.01 * np.sqrt(2), rel=0.02)


def test_the_range_by_hand() -> None:
    spread = Spread(noise=0.03, drift=0.02, widening=1.5, groups=9, reach=1.0)
    assert halfwidth(spread, 0.0, 0.0) == pytest.approx(1.5 * NORMAL_90 * 0.03)
    assert halfwidth(spread, 0.12, 2.0) == pytest.approx(1.5 * NORMAL_90 * 0.13)
    assert abs(NORMAL_90 - 1.6449) < 1e-4
