from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from windtunnel.laws.draws import draw_parameters, effective_rows, left_out_residuals
from windtunnel.laws.fitting import fit_form, predict, residuals
from windtunnel.laws.forms import form_named
from windtunnel.laws.rows import Rows

CHINCHILLA = form_named("chinchilla")
TRUE = {"E": 1.8172, "alpha": 0.3478, "beta": 0.3658}


def checkpoints(generator: np.random.Generator, loss: Callable[..., np.ndarray]) -> Rows:
    """Twelve runs of three rows each, which share most of their noise."""
    params = np.repeat(generator.permutation(np.geomspace(2e7, 2e9, 12)), 3)
    tokens = np.ravel(np.geomspace(1e9, 4e10, 12)[:, None] * np.array([0.25, 0.5, 1.0]))
    stray = 0.003 * np.repeat(generator.standard_normal(12), 3)
    stray = stray + 0.002 * generator.standard_normal(36)
    metric = loss(params, tokens) * np.exp(stray)
    groups = np.repeat(np.arange(12), 3)
    return Rows.of(CHINCHILLA, {"params": params, "tokens": tokens}, metric, groups=groups)


def drawn(rows: Rows, *, seed: int = 0, count: int = 40, beliefs: tuple = ()) -> np.ndarray:
    fitted = fit_form(rows, beliefs=beliefs, polished=2)
    return draw_parameters(rows, fitted, beliefs, seed=seed, count=count)


@pytest.mark.parametrize("kind", ["normal", "outliers", "grouped"])
def test_ranges_hold_the_truth_about_as_often_as_they_say(
    kind: str, runs: Callable[..., dict], true_loss: Callable[..., np.ndarray]
) -> None:
    held = []
    for seed in range(40):
        generator = np.random.default_rng([seed, 7])
        columns = runs(5, 5, noise=0.004, seed=seed, least_ratio=2.0)
        if kind == "outliers":
            far = generator.random(25) < 0.1
            columns["loss"] = columns["loss"] * np.exp(far * 0.05 * generator.standard_normal(25))
        rows = Rows.of(CHINCHILLA, columns, columns["loss"])
        if kind == "grouped":
            rows = checkpoints(generator, true_loss)
        found = [CHINCHILLA.published(one, rows.scaling) for one in drawn(rows, seed=seed)]
        for name, value in TRUE.items():
            low, high = np.quantile([one[name] for one in found], [0.05, 0.95])
            held.append(low <= value <= high)
    assert 0.80 <= np.mean(held) <= 0.99


def test_the_same_seed_gives_the_same_draws(runs: Callable[..., dict]) -> None:
    columns = runs(4, 4, noise=0.004)
    rows = Rows.of(CHINCHILLA, columns, columns["loss"])
    np.testing.assert_array_equal(drawn(rows, seed=3, count=5), drawn(rows, seed=3, count=5))
    assert (drawn(rows, seed=3, count=5) != drawn(rows, seed=4, count=5)).any()


def test_noisier_rows_and_rows_that_go_together_are_less_sure(runs: Callable[..., dict]) -> None:
    def spread(noise: float, groups: np.ndarray | None = None) -> float:
        columns = runs(5, 5, noise=noise)
        rows = Rows.of(CHINCHILLA, columns, columns["loss"], groups=groups)
        at = {"params": np.array([7e9]), "tokens": np.array([2e11])}
        return float(np.log(predict(CHINCHILLA, rows.scaling, drawn(rows), at)).std())

    assert 2 < spread(0.04) / spread(0.008) < 10


def test_where_only_a_belief_speaks_its_width_is_the_range() -> None:
    params, belief = np.geomspace(1e7, 1e9, 16), CHINCHILLA.priors["published"]
    stray = np.exp(0.002 * np.random.default_rng(0).standard_normal(16))
    inputs = {"params": params, "tokens": np.full(16, 1e10)}
    rows = Rows.of(CHINCHILLA, inputs, (1.9 + 400 / params**0.34) * stray)
    mean, ratio = drawn(rows, beliefs=belief, count=200)[:, 3:].T
    log_beta = mean - ratio / 2  # one length says nothing of beta
    widths = np.hypot(belief[0].sd, belief[1].sd / 2)
    assert 0.6 * widths < log_beta.std() < 1.4 * widths


@pytest.mark.parametrize(
    ("residuals", "groups", "count"),
    [
        ([1.0, -2, 3, -1], [0, 1, 2, 3], 4),  # each for itself
        ([0.1, 0.1, -0.1, -0.1], [0, 0, 1, 1], 2),  # pairs that say the same
        ([1.0, -1, 1, -1], [0, 0, 1, 1], 4),  # pairs that do not
        ([0.0, 0, 0, 0], [0, 0, 1, 1], 4),
        ([1.0, 1, 1, -1, -1, -1], [0, 0, 0, 1, 1, 1], 2),
    ],
)
def test_rows_count_less_the_more_they_move_as_one(
    residuals: list[float], groups: list[int], count: float
) -> None:
    assert effective_rows(np.array(residuals), np.array(groups)) == pytest.approx(count)


@pytest.mark.parametrize("grouped", [False, True])
def test_left_out_residuals_are_those_of_fits_without_the_group(
    grouped: bool, runs: Callable[..., dict]
) -> None:
    columns = runs(4, 4, noise=0.004)
    index = np.arange(16) // 4 if grouped else np.arange(16)
    rows = Rows.of(CHINCHILLA, columns, columns["loss"], groups=index)
    fitted = fit_form(rows)
    found = left_out_residuals(rows, fitted.parameters, index, prior=None, delta=1e-3)
    for group in (0, 2, index.max()):
        others = rows.take(np.flatnonzero(index != group))
        without = fit_form(others).parameters
        own = np.flatnonzero(index == group)
        expected = rows.observed[own] - CHINCHILLA.predict(without[None], rows.inputs)[0][0, own]
        np.testing.assert_allclose(found[own], expected, atol=2e-4)
    assert np.abs(found).mean() > 1.2 * np.abs(residuals(rows, fitted.parameters)).mean()
