from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from windtunnel.laws.candidates import ALL_ROWS, NO_PRIOR, Candidate, candidates
from windtunnel.laws.fit_law import fit_law
from windtunnel.laws.folds import rolling_origins
from windtunnel.laws.forms import form_named
from windtunnel.laws.reading import table_from_columns
from windtunnel.laws.rolling import RollingTest, choose, rolling_tests

CHINCHILLA, COUPLED = form_named("chinchilla"), form_named("coupled")


def put_through(columns: dict, every: list[Candidate], doubtful: dict | None = None):
    inputs = {name: columns[name] for name in ("params", "tokens")}
    groups = np.arange(columns["loss"].size)
    folds = rolling_origins(inputs, groups, least_rows=8, least_values=dict.fromkeys(inputs, 3))
    return rolling_tests(every, folds, inputs, columns["loss"], doubtful or {}, groups)


def scored(form: str, score: float, prior: str = NO_PRIOR) -> RollingTest:
    return RollingTest(Candidate(form_named(form), prior, ALL_ROWS), (), score)


@pytest.mark.parametrize(
    ("tests", "best"),
    [
        ([("chinchilla", 1.0), ("coupled", 0.75)], "chinchilla"),  # better, but not clearly
        ([("chinchilla", 1.0), ("coupled", 0.65)], "coupled"),
        ([("coupled", 0.65), ("chinchilla", 1.0)], "coupled"),
        ([("coupled", 1.0), ("chinchilla", 0.99)], "chinchilla"),
        ([("chinchilla", 1.0), ("chinchilla", 0.99)], "chinchilla"),
    ],
)
def test_more_parameters_have_to_be_clearly_better(tests: list, best: str) -> None:
    made = [scored(*test) for test in tests]
    chosen = choose(made)
    assert chosen.candidate.form.name == best
    assert chosen.score == min(t.score for t in made if t.candidate.form.name == best)


def test_errors_are_foretold_less_measured(
    runs: Callable[..., dict], true_loss: Callable[..., np.ndarray]
) -> None:
    columns = runs(5, 5, noise=0.0)
    large = columns["params"] > np.median(columns["params"])
    columns["loss"] = np.where(large, 0.95, 1.0) * columns["loss"]
    (test,) = put_through(columns, [Candidate(CHINCHILLA, NO_PRIOR, ALL_ROWS)])
    within = [one for one in test.foretold if not large[one.fold.fitted].any()]
    assert within
    for one in within:
        expected = np.where(large[one.rows], -np.log(0.95), 0)
        np.testing.assert_allclose(one.errors, expected, atol=2e-3)
        np.testing.assert_array_equal(one.distance, one.fold.distance[one.rows])
        assert one.scale < 1e-3


def test_the_score_is_the_geometric_mean_of_the_folds(runs: Callable[..., dict]) -> None:
    tests = put_through(runs(5, 5, noise=0.01), candidates([CHINCHILLA], "auto", {}))
    for test in tests:
        means = [np.abs(one.errors).mean() for one in test.foretold]
        assert test.score == pytest.approx(np.exp(np.mean(np.log(means))))
        assert test.to_json()["mean_abs_rel_error"] == test.score


def test_doubted_rows_are_never_foretold_and_fitted_only_by_those_who_keep_them(
    runs: Callable[..., dict],
) -> None:
    columns = runs(5, 5, noise=0.001)
    doubted = np.zeros(25, dtype=bool)
    doubted[[2, 12, 24]] = True
    columns["loss"][doubted] *= 1.3
    keep, leave = put_through(
        columns, candidates([CHINCHILLA], NO_PRIOR, {"outlier": doubted}), {"outlier": doubted}
    )
    assert (keep.candidate.rows, leave.candidate.rows) == (ALL_ROWS, "without outlier")
    for one, other in zip(keep.foretold, leave.foretold, strict=True):
        assert not doubted[one.rows].any()
        np.testing.assert_array_equal(one.rows, other.rows)
    assert leave.score < keep.score


def test_without_a_fold_the_score_is_null(runs: Callable[..., dict]) -> None:
    (test,) = put_through(runs(2, 3), [Candidate(CHINCHILLA, NO_PRIOR, ALL_ROWS)])
    assert test.foretold == ()
    assert json.loads(json.dumps(test.to_json(), allow_nan=False))["mean_abs_rel_error"] is None


def test_few_noisy_rows_of_tied_exponents_choose_a_belief(runs: Callable[..., dict]) -> None:
    def tied(params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        return 1.8 + 180 / params**0.3 + 550 / tokens**0.3

    chosen = [
        choose(
            put_through(
                runs(4, 3, noise=0.01, seed=seed, loss=tied), candidates([CHINCHILLA], "auto", {})
            )
        )
        for seed in range(2)
    ]
    assert all(test.candidate.prior != NO_PRIOR for test in chosen)


def test_quiet_rows_outweigh_a_belief_that_is_wrong(runs: Callable[..., dict]) -> None:
    def apart(params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        return 1.8 + 1.2e4 / params**0.54 + 35 / tokens**0.18

    columns = runs(5, 5, noise=2e-4, loss=apart)
    law = fit_law(table_from_columns(columns), form="chinchilla", draws=10)
    found = law.summary["params"]
    assert found["alpha"] / found["beta"] == pytest.approx(3, rel=0.1)
    # Tied exponents would be a mistake here, and are a form of fewer parameters.
    tied = fit_law(table_from_columns(columns), form="over-training", draws=10)
    target = {"params": np.array([7e9]), "tokens": np.array([2e11])}
    ours, theirs = (abs(one(target)[0] / apart(**target)[0] - 1) for one in (law, tied))
    assert ours < min(2e-3, theirs / 2)


def test_coupled_only_where_the_rows_are(runs: Callable[..., dict]) -> None:
    def together(params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        return 1.8 + (4e5 / params**0.75 + 9e6 / tokens**0.77) ** 0.45

    every = candidates([CHINCHILLA, COUPLED], "auto", {})
    shape = {"noise": 1e-3, "least_ratio": 2.0}
    assert choose(put_through(runs(6, 6, loss=together, **shape), every)).candidate.form is COUPLED
    assert choose(put_through(runs(6, 6, **shape), every)).candidate.form is CHINCHILLA


@pytest.mark.parametrize("off", [1.0, 1.08])
def test_under_trained_rows_are_left_out_only_if_they_are_off(
    runs: Callable[..., dict], off: float
) -> None:
    columns = runs(5, 5, noise=1e-3, least_ratio=6.0)
    few = columns["tokens"] / columns["params"] < 10
    assert 0 < few.mean() <= 0.2
    columns["loss"] = columns["loss"] * np.where(few, off, 1.0)
    law = fit_law(
        table_from_columns(columns), form="chinchilla", prior="auto", rows="auto", draws=10
    )
    left_out = "under-trained" in law.summary["rows"]
    assert left_out == (off > 1)
    assert law.observed.size == (25 - few.sum() if left_out else 25)
    said = [flag for flag in law.summary["flags"] if flag["rule"] == "left out"]
    assert [flag["dropped"] for flag in said] == [True] * left_out


def test_leverage_is_how_far_noise_alone_moves_what_is_foretold(runs: Callable[..., dict]) -> None:
    noise, power = 0.01, form_named("over-training")
    columns = runs(4, 4, noise=0.0)
    inputs = {name: columns[name] for name in power.inputs}
    groups = np.arange(16)
    (fold, *_) = rolling_origins(inputs, groups, least_rows=9, least_values={})
    generator = np.random.default_rng(0)
    errors, leverages = [], []
    for _ in range(60):
        loss = columns["loss"] * np.exp(noise * generator.standard_normal(16))
        (test,) = rolling_tests(
            candidates([power], "none", {}), [fold], inputs, loss, {}, groups, delta=0.05
        )
        truth = np.log(columns["loss"] / loss)[test.foretold[0].rows]
        errors.append(test.foretold[0].errors - truth)
        leverages.append(test.foretold[0].leverage)
    scatter = np.std(errors, axis=0).mean()
    assert noise * np.mean(leverages) == pytest.approx(scatter, rel=0.3)
