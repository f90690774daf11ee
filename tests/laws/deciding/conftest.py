"""Laws made by hand: Chinchilla with Besiroglu's constants, exact or fitted to noisy rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from windtunnel.laws.fitting import FittedForm, fit_form, refit
from windtunnel.laws.forms.chinchilla import Chinchilla
from windtunnel.laws.forms.form import Scaling
from windtunnel.laws.law import Law, Spread
from windtunnel.laws.rows import Rows
from windtunnel.laws.solver import Array

BESIROGLU = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
QUIET = Spread(noise=0.0, drift=0.0, widening=1.0, groups=20, reach=5.0)


def chinchilla_loss(params: Array, tokens: Array, law: dict[str, float] = BESIROGLU) -> Array:
    return law["E"] + law["A"] / params ** law["alpha"] + law["B"] / tokens ** law["beta"]


def isoflop_rows(least: float = 1e18, most: float = 1e21) -> tuple[Array, Array]:
    """Seven budgets, seven sizes each, 2 to 200 tokens a parameter."""
    budgets, ratios = np.meshgrid(np.geomspace(least, most, 7), np.geomspace(2, 200, 7))
    params = np.sqrt(budgets / 6 / ratios).ravel()
    return params, budgets.ravel() / 6 / params


def parameters_of(law: dict[str, float], scaling: Scaling) -> Array:
    """The solver's parameters from the published ones."""
    alpha, beta = law["alpha"], law["beta"]
    return np.array(
        [
            np.log(law["A"]) - alpha * scaling.inputs["params"] - scaling.metric,
            np.log(law["B"]) - beta * scaling.inputs["tokens"] - scaling.metric,
            np.log(law["E"]) - scaling.metric,
            np.log(alpha * beta) / 2,
            np.log(alpha / beta),
        ]
    )


def exact_law(law: dict[str, float] = BESIROGLU, spread: Spread = QUIET, **rows: float) -> Law:
    """A law without any doubt: every draw is the law itself."""
    params, tokens = isoflop_rows(**rows)
    loss = chinchilla_loss(params, tokens, law)
    inputs = {"params": params, "tokens": tokens}
    form = Chinchilla()
    scaling = Scaling.of(form, inputs, loss)
    parameters = parameters_of(law, scaling)
    fitted = FittedForm(form, scaling, parameters, 0.0, 1.0)
    return Law(fitted, np.tile(parameters, (10, 1)), "loss", inputs, loss, spread, {})


def fitted_law(
    seed: int = 0,
    noise: float = 0.003,
    law: dict[str, float] = BESIROGLU,
    draws: int = 100,
    delta: float = 0.01,
    rows: tuple[Array, Array] | None = None,
    losses: Array | None = None,
    drift: float = 0.0,
) -> Law:
    """A law fitted to noisy rows, its draws refitted to losses redrawn around the fit."""
    generator = np.random.default_rng(seed)
    params, tokens = isoflop_rows() if rows is None else rows
    loss = losses
    if loss is None:
        loss = chinchilla_loss(params, tokens, law)
        loss = loss * np.exp(noise * generator.standard_normal(params.size))
    inputs = {"params": params, "tokens": tokens}
    held = Rows.of(Chinchilla(), inputs, loss)
    fitted = fit_form(held, delta=delta)
    around = held.form.predict(fitted.parameters[None], held.inputs)[0][0]
    redrawn = around + noise * generator.standard_normal((draws, params.size))
    ones = np.ones(redrawn.shape)
    drawn = refit(held, fitted.parameters[None], observed=redrawn, weights=ones, delta=delta)
    spread = Spread(noise=noise, drift=drift, widening=1.0, groups=20, reach=5.0)
    return Law(fitted, drawn, "loss", inputs, loss, spread, {})


@pytest.fixture
def besiroglu() -> Law:
    return exact_law()


@pytest.fixture(scope="session")
def noisy() -> Law:
    return fitted_law(draws=40)


@pytest.fixture
def make_law() -> Callable[..., Law]:
    return fitted_law


@pytest.fixture
def make_exact_law() -> Callable[..., Law]:
    return exact_law


@pytest.fixture(scope="session")
def chinchilla_points() -> Law:
    """A fit to the Chinchilla points without the five highest losses; draws resample rows."""
    path = Path(__file__).parents[4] / "shared" / "data" / "chinchilla_points.csv"
    if not path.exists():
        pytest.skip("../shared/data/chinchilla_points.csv is not here")
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    params, tokens, _, loss = table[np.argsort(table[:, 3])[:-5]].T
    inputs = {"params": params, "tokens": tokens}
    held = Rows.of(Chinchilla(), inputs, loss)
    fitted = fit_form(held)
    generator = np.random.default_rng(0)
    weights = generator.multinomial(loss.size, np.full(loss.size, 1 / loss.size), 100)
    drawn = refit(held, fitted.parameters[None], weights=weights.astype(float))
    return Law(fitted, drawn, "loss", inputs, loss, Spread(0.005, 0.004, 1.2, 12, 4.0), {})
