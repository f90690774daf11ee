from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from windtunnel.laws.fitting import (
    HUBER_DELTA,
    fit_form,
    fit_subsets,
    predict,
    prior_of,
    refine,
    refit,
    residual_scale,
    residuals,
)
from windtunnel.laws.forms import form_named
from windtunnel.laws.forms.form import Belief, Form, Parameter
from windtunnel.laws.rows import Rows
from windtunnel.laws.solver import huber

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CHINCHILLA = form_named("chinchilla")
BALANCED = CHINCHILLA.priors["balanced"]


class Level(Form):
    """One number, the log of the metric: every answer can be worked out by hand."""

    name, formula, source, inputs = "level", "L = exp(c)", "this test", ("params",)
    parameters = (Parameter("c", -5.0, 5.0),)

    def predict(self, parameters, inputs):
        shape = (len(parameters), inputs["params"].size)
        return np.broadcast_to(parameters, shape).copy(), np.ones((*shape, 1))

    def starts(self, inputs, observed, weights):
        return np.array([[-1.0], [0.0], [1.0]])

    def published(self, parameters, scaling):
        return {"c": float(parameters[0] + scaling.metric)}


def level_rows(*logs: float, weights: list[float] | None = None) -> Rows:
    metric = np.exp(np.array(logs))
    given = None if weights is None else np.array(weights)
    return Rows.of(Level(), {"params": np.arange(1.0, len(logs) + 1)}, metric, weights=given)


def made(runs: Callable[..., dict], *shape: int, **options: float) -> Rows:
    columns = runs(*shape, **options)
    return Rows.of(CHINCHILLA, columns, columns["loss"])


def said(rows: Rows, parameters: np.ndarray) -> np.ndarray:
    return rows.form.predict(parameters, rows.inputs)[0]


def test_the_chinchilla_points_give_the_best_known_optimum() -> None:
    path = DATA / "chinchilla_points.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here: the shared data folder lies beside the checkout")
    with path.open() as file:
        every = [[float(r[k]) for k in ("params", "tokens", "loss")] for r in csv.DictReader(file)]
    params, tokens, loss = np.array(sorted(every, key=lambda row: row[2])[:-5]).T
    fitted = fit_form(Rows.of(CHINCHILLA, {"params": params, "tokens": tokens}, loss))
    assert fitted.objective <= 0.00101828
    found = fitted.published()
    assert found["E"] == pytest.approx(1.8172, abs=2e-3)
    assert found["alpha"] == pytest.approx(0.34731, abs=1e-3)
    assert found["beta"] == pytest.approx(0.36717, abs=1e-3)
    law = found["E"] + found["A"] / params ** found["alpha"] + found["B"] / tokens ** found["beta"]
    own = huber(np.log(law) - np.log(loss), HUBER_DELTA).sum()
    assert fitted.objective == pytest.approx(own, rel=1e-6)
    assert 0 < fitted.near_best <= 1


def test_a_belief_pulls_as_worked_out_by_hand() -> None:
    # Two rows at -.01 and +.01 about their middle: the mean absolute residual is .01, and twice
    # that for the one parameter spent on two rows. A belief of width .02 then weighs .02^2 / .02^2
    # = 1 against two rows: a centre of .3 moves the level to .3 / 3.
    rows = level_rows(2.0 - 0.01, 2.0 + 0.01)
    assert residual_scale(rows, np.zeros(1)) == pytest.approx(0.02)
    pulled = fit_form(rows, delta=10.0, beliefs=[Belief("c", 0.3, 0.02)])
    assert pulled.parameters[0] == pytest.approx(0.1)
    assert pulled.published()["c"] == pytest.approx(2.1)
    # The objective counts the residuals alone: .09^2 / 2 + .11^2 / 2.
    assert pulled.objective == pytest.approx((0.09**2 + 0.11**2) / 2)
    # With Huber's loss linear beyond .001, the pull is .02 * .001 / .02^2 of the distance.
    prior = prior_of(rows, np.zeros(1), [Belief("c", 0.3, 0.02)], delta=1e-3)
    assert (prior.centre[0], prior.precision[0]) == (0.3, pytest.approx(0.05))


def test_a_weight_of_two_is_a_row_twice_and_of_zero_none(runs: Callable[..., dict]) -> None:
    assert fit_form(level_rows(1.0, 2.0, 2.3, weights=[1, 1, 2]), delta=10.0).published()[
        "c"
    ] == pytest.approx((1.0 + 2.0 + 2 * 2.3) / 4)
    rows = made(runs, 4, 4, noise=0.01)
    weights = np.ones((1, len(rows)))
    weights[0, 3], weights[0, 7] = 0, 2
    explicit = np.repeat(np.arange(len(rows)), weights[0].astype(int))
    plain = fit_form(rows.take(explicit))
    weighted = refit(rows, plain.parameters[None] + 0.1, weights=weights)
    np.testing.assert_allclose(said(rows, weighted)[0], said(rows, plain.parameters[None])[0], 1e-5)


def test_subsets_are_fitted_as_each_would_be_alone(runs: Callable[..., dict]) -> None:
    rows = made(runs, 5, 5, noise=0.003)
    compute = rows.inputs["params"] + rows.inputs["tokens"]
    weights = np.array([compute <= np.quantile(compute, share) for share in (0.5, 0.7, 1.0)])
    found = fit_subsets(
        rows, weights.astype(float), {"none": (), "balanced": BALANCED}, polished=16
    )
    for name, beliefs in (("none", ()), ("balanced", BALANCED)):
        for mask, parameters in zip(weights, found[name], strict=True):
            alone = fit_form(rows.take(np.flatnonzero(mask)), beliefs=beliefs)
            np.testing.assert_allclose(
                said(rows, parameters[None])[0], said(rows, alone.parameters[None])[0], atol=3e-4
            )
    assert np.abs(found["none"] - found["balanced"]).max() > 1e-3


def test_refitting_and_refining_end_where_a_fit_does(runs: Callable[..., dict]) -> None:
    rows = made(runs, 5, 5, noise=0.003)
    for beliefs in ((), BALANCED):
        whole = fit_form(rows, beliefs=beliefs)
        refined = refine(rows, fit_form(rows.take(np.arange(0, 25, 2)), beliefs=beliefs), beliefs)
        np.testing.assert_allclose(
            residuals(rows, refined.parameters), residuals(rows, whole.parameters), atol=2e-4
        )
        assert refined.objective == pytest.approx(whole.objective, rel=2e-2)
    free = fit_form(rows)
    redrawn = np.stack([rows.observed, rows.observed + 0.1])
    again = refit(rows, free.parameters[None], observed=redrawn, weights=np.ones((2, 25)))
    np.testing.assert_allclose(said(rows, again)[0], said(rows, free.parameters[None])[0], 1e-5)
    np.testing.assert_allclose(said(rows, again)[1], said(rows, again)[0] + 0.1, atol=1e-3)


def test_exact_rows_give_the_law_back(
    runs: Callable[..., dict], true_loss: Callable[..., np.ndarray]
) -> None:
    rows = made(runs, 4, 4, noise=0.0)
    fitted = fit_form(rows)
    found = fitted.published()
    assert [found[k] for k in ("E", "alpha", "beta")] == pytest.approx(
        [1.8172, 0.3478, 0.3658], rel=1e-3
    )
    at = {"params": np.array([7e10]), "tokens": np.array([2e12])}
    assert fitted(at) == pytest.approx(true_loss(**at), rel=1e-4)
    again = predict(CHINCHILLA, rows.scaling, np.stack([fitted.parameters] * 2), at)
    np.testing.assert_array_equal(again[:, 0], np.repeat(fitted(at), 2))
    assert fitted.at_bounds() == ()


def test_what_the_rows_do_not_fix_is_named_and_twice_the_same() -> None:
    params = np.geomspace(1e7, 1e9, 9)
    rows = Rows.of(
        CHINCHILLA,
        {"params": params, "tokens": np.resize([1e9, 3e9, 9e9], 9)},
        2 + 400 / params**0.35,
    )
    first, second = fit_form(rows), fit_form(rows)
    assert "b" in first.at_bounds()
    np.testing.assert_array_equal(first.parameters, second.parameters)
