"""The profile likelihood against linear theory, against repeated data, and where it has no end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from windtunnel.laws.draws import draw_parameters
from windtunnel.laws.fitting import fit_form, refit, residuals
from windtunnel.laws.forms.chinchilla import Chinchilla
from windtunnel.laws.forms.form import Form
from windtunnel.laws.forms.power import PowerParams
from windtunnel.laws.law import Law, Spread
from windtunnel.laws.profile import Profile, profile_parameters
from windtunnel.laws.rows import Rows

SPREAD = Spread(noise=0.003, drift=0.0, widening=1.0, groups=20, reach=5.0)
TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.36}


def law_of(form: Form, inputs, loss, *, delta=1e-3, prior="none", beliefs=()) -> Law:
    rows = Rows.of(form, inputs, loss)
    fitted = fit_form(rows, delta=delta, beliefs=beliefs)
    draws = draw_parameters(rows, fitted, beliefs, seed=0, count=60, delta=delta)
    return Law(fitted, draws, "loss", inputs, loss, SPREAD, {"prior": prior}, delta=delta)


def by_name(law: Law) -> dict[str, Profile]:
    return {one.name: one for one in profile_parameters(law)}


def grid_rows() -> dict[str, np.ndarray]:
    params, ratios = np.meshgrid(np.geomspace(2e7, 2e9, 7), np.geomspace(4, 100, 7))
    return {"params": params.ravel(), "tokens": (params * ratios).ravel()}


def truth_at(inputs) -> np.ndarray:
    return (
        TRUTH["E"]
        + TRUTH["A"] / inputs["params"] ** TRUTH["alpha"]
        + TRUTH["B"] / inputs["tokens"] ** TRUTH["beta"]
    )


@pytest.fixture(scope="module")
def chinchilla() -> Law:
    inputs = grid_rows()
    noise = np.exp(0.003 * np.random.default_rng(1).standard_normal(49))
    return law_of(Chinchilla(), inputs, truth_at(inputs) * noise)


def test_a_quiet_fit_agrees_with_linear_theory():
    """Residuals within delta are least squares: the range is Student's interval."""
    inputs = {"params": np.geomspace(1e6, 1e9, 40)}
    noise = np.exp(1e-3 * np.random.default_rng(0).standard_normal(40))
    law = law_of(PowerParams(), inputs, (1.7 + 80 / inputs["params"] ** 0.3) * noise, delta=0.1)
    rows = Rows.of(law.fitted.form, inputs, law.observed)
    _, jacobian = rows.form.predict(law.fitted.parameters[None], rows.inputs)
    variance = (residuals(rows, law.fitted.parameters) ** 2).sum() / 37
    sd = np.sqrt(variance * np.linalg.inv(jacobian[0].T @ jacobian[0])[2, 2])
    found = by_name(law)["alpha"]
    low, high = (np.log(end / found.best) for end in found.ci90)
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.95, 37) * sd, rel=0.03)


def test_a_row_of_weight_two_counts_like_the_row_twice():
    inputs = {"params": np.geomspace(1e6, 1e9, 40)}
    noise = np.exp(1e-3 * np.random.default_rng(0).standard_normal(40))
    loss = (1.7 + 80 / inputs["params"] ** 0.3) * noise
    weight = np.where(np.arange(40) % 4, 1.0, 2.0)
    rows = Rows.of(PowerParams(), inputs, loss, weight)
    fitted = fit_form(rows, delta=0.1)
    draws = draw_parameters(rows, fitted, (), seed=0, count=60, delta=0.1)
    law = Law(fitted, draws, "loss", inputs, loss, SPREAD, {}, weight=weight, delta=0.1)
    _, jacobian = rows.form.predict(fitted.parameters[None], rows.inputs)
    left = residuals(rows, fitted.parameters)
    variance = (rows.weights**2 * left**2).mean() / rows.weights.mean() * 40 / 37
    weighted = jacobian[0].T @ (rows.weights[:, None] * jacobian[0])
    sd = np.sqrt(variance * np.linalg.inv(weighted)[2, 2])
    found = by_name(law)["alpha"]
    low, high = (np.log(end / found.best) for end in found.ci90)
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.95, 37) * sd, rel=0.03)


def test_every_published_parameter_has_a_profile_that_is_least_at_the_fit(chinchilla):
    found = by_name(chinchilla)
    assert set(found) == {"E", "A", "B", "alpha", "beta"}
    for one in found.values():
        assert one.values[one.deviance.argmin()] == pytest.approx(one.best, rel=1e-9)
        low, high = one.ci90
        assert low < one.best < high
        # Between the grid's points the root of the deviance is nearly a line.
        at = np.interp([low, high], one.values, np.sqrt(one.deviance))
        assert at == pytest.approx(np.sqrt(one.threshold), rel=0.05)


def test_the_others_are_fitted_again(chinchilla):
    """Held elsewhere, a parameter costs far less with the others refitted than with them fixed."""
    one = by_name(chinchilla)["alpha"]
    moved = dict(chinchilla.fitted.published(), alpha=one.ci90[1])
    rows = Rows.of(chinchilla.fitted.form, chinchilla.inputs, chinchilla.observed)
    fixed = (
        moved["E"]
        + moved["A"] / chinchilla.inputs["params"] ** moved["alpha"]
        + moved["B"] / chinchilla.inputs["tokens"] ** moved["beta"]
    )
    alone = np.abs(np.log(fixed / chinchilla.observed)).mean()
    assert alone > 5 * np.abs(residuals(rows, chinchilla.fitted.parameters)).mean()


def test_ranges_are_as_wide_as_repeated_data_scatter():
    inputs = grid_rows()
    fits, widths = [], []
    for seed in range(60):
        noise = np.exp(0.003 * np.random.default_rng(seed).standard_normal(49))
        rows = Rows.of(Chinchilla(), inputs, truth_at(inputs) * noise)
        fitted = fit_form(rows, polished=4)
        fits.append(fitted.published()["E"])
        if seed % 6 == 0:
            draws = draw_parameters(rows, fitted, (), seed=0, count=40)
            law = Law(fitted, draws, "loss", inputs, truth_at(inputs) * noise, SPREAD, {})
            low, high = by_name(law)["E"].ci90
            widths.append(high - low)
    scatter = np.subtract(*np.quantile(fits, [0.95, 0.05]))
    assert 0.75 * scatter < np.mean(widths) < 1.4 * scatter


def test_where_the_rows_show_no_floor_its_range_has_no_lower_end():
    inputs = {"params": np.geomspace(1e6, 1e8, 12)}
    noise = np.exp(0.02 * np.random.default_rng(3).standard_normal(12))
    found = by_name(law_of(PowerParams(), inputs, 9 / inputs["params"] ** 0.08 * noise))
    low, high = found["E"].ci90
    assert low is None and (high is None or high > found["E"].best)


def test_a_belief_narrows_the_range(chinchilla):
    form = Chinchilla()
    beliefs = form.priors["balanced"]
    loss = np.where(np.arange(49) % 7 < 2, chinchilla.observed, np.nan)  # two lengths: hardly told
    seen = np.isfinite(loss)
    inputs = {name: values[seen] for name, values in chinchilla.inputs.items()}
    free = law_of(form, inputs, loss[seen])
    told = law_of(form, inputs, loss[seen], prior="balanced", beliefs=beliefs)
    ratio = {}
    for law in (free, told):
        one = by_name(law)["alpha"]
        low = 0.0 if one.ci90[0] is None else one.ci90[0]
        high = np.inf if one.ci90[1] is None else one.ci90[1]
        ratio[law.summary["prior"]] = (high - low) / one.best
    assert ratio["balanced"] < 0.8 * ratio["none"]


def test_very_many_rows_are_profiled_by_some_that_count_for_all(chinchilla):
    inputs = {name: np.tile(values, 73) for name, values in chinchilla.inputs.items()}
    noise = np.exp(0.003 * np.random.default_rng(4).standard_normal(49 * 73))
    loss = truth_at(inputs) * noise
    rows = Rows.of(Chinchilla(), inputs, loss)
    fitted = fit_form(rows, polished=2)
    redrawn = rows.observed + 0.003 * np.random.default_rng(5).standard_normal((40, len(rows)))
    ones = np.ones(redrawn.shape)
    draws = refit(rows, fitted.parameters[None], observed=redrawn, weights=ones)
    law = dataclasses.replace(chinchilla, fitted=fitted, draws=draws, inputs=inputs, observed=loss)
    scatter = np.subtract(*np.quantile([d["alpha"] for d in law.published_draws()], [0.95, 0.05]))
    low, high = by_name(law)["alpha"].ci90
    assert 0.5 * scatter < high - low < 1.7 * scatter
