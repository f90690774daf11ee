"""Published constants put into the papers' own formulas, and the numbers papers and code give."""

from __future__ import annotations

import csv
import runpy
from pathlib import Path

import numpy as np
import pytest

from windtunnel.laws.fitting import fit_form
from windtunnel.laws.forms import FORMS
from windtunnel.laws.forms.routed import effective_params, saturated_experts
from windtunnel.laws.rows import Rows

HERE = Path(__file__).parent
EXAMPLES = runpy.run_path(str(HERE / "examples.py"))["EXAMPLES"]
DATA = HERE.parents[3] / "shared/data"
S_BASE = {"a": -0.082, "b": -0.108, "c": 0.009, "d": 1.104, "E_s": 1.847, "E_m": 314.5}


def fitted_to(name: str, published: dict[str, float]):
    """The form as it comes out of a fit to noiseless values of the paper's formula."""
    example = EXAMPLES[name]
    metric = example.formula(published, example.inputs)
    return fit_form(Rows.of(example.form, example.inputs, metric))


@pytest.mark.parametrize(
    ("name", "published", "inputs", "expected"),
    [
        (
            "data-constrained",
            {
                "A": np.exp(6.255414),
                "B": np.exp(7.3049974),
                "E": np.exp(0.6254804),
                "alpha": 0.3526596,
                "beta": 0.3526596,
                "R_D*": 15.387756,
                "R_N*": 5.309743,
            },
            {
                "params": [6.34e9, 8.67e9],
                "tokens": [242e9, 178e9],
                "unique_tokens": [25e9, 25e9],
            },
            [2.22564, 2.22696],
        ),
        (
            "chinchilla",
            {"E": 1.6934, "A": 406.4, "B": 410.7, "alpha": 0.33917, "beta": 0.28491},
            {"params": [70e9], "tokens": [1.4e12]},
            [1.6934 + 406.4 / 4768.0 + 410.7 / 2887.7],
        ),
        (
            "kaplan",
            {"Nc": 6.4e13, "Dc": 1.8e13, "aN": 0.076, "aD": 0.103},
            # With unlimited data it is (Nc / N)^aN, with an unlimited model (Dc / D)^aD.
            {"params": [6.4e9, 6.4e40], "tokens": [1e40, 1.8e10]},
            [1e4**0.076, 1e3**0.103],
        ),
        (
            "downstream",
            {"eps": 0.857, "k": 2.207, "gamma": 0.715},
            {"loss": [2.5, 50.0]},
            [0.857 - 2.207 * 0.1673778, 0.857],
        ),
    ],
)
def test_published_values(name, published, inputs, expected) -> None:
    fitted = fitted_to(name, published)
    found = fitted({key: np.array(value) for key, value in inputs.items()})
    np.testing.assert_allclose(found, expected, rtol=4e-6)
    assert fitted.published() == pytest.approx(published, rel=1e-3)


def test_one_exponent_in_both_notations_of_over_training() -> None:
    # mlfoundations/scaling: E + a' N^k + b 6^(k/2) (M N)^k with h = -k/2 and a = a' 6^h.
    k, first, second = -0.2728, 212.2 * 6**-0.1364, 366.7
    inputs = EXAMPLES["over-training"].inputs
    n, m = inputs["params"], inputs["tokens"] / inputs["params"]
    loss = 1.837 + first * n**k + second * 6 ** (k / 2) * (m * n) ** k
    found = fit_form(Rows.of(FORMS["over-training"], inputs, loss)).published()
    expected = {"E": 1.837, "a": 212.2, "b": 366.7, "h": 0.1364}
    assert found == pytest.approx(expected, rel=1e-3)


def test_effective_parameters_are_those_of_the_dense_model_of_the_same_loss() -> None:
    params, experts = np.array([1e8, 1e8, 1e9]), np.array([1.0, 64.0, 512.0])
    form = EXAMPLES["routed"].formula
    dense = effective_params(S_BASE, params, experts)
    np.testing.assert_allclose(
        form(S_BASE, {"params": dense, "experts": np.ones(3)}),
        form(S_BASE, {"params": params, "experts": experts}),
        rtol=1e-12,
    )
    assert dense[0] == pytest.approx(1e8)
    assert saturated_experts(S_BASE, np.array([1.0, 1e15])) == pytest.approx([1.847, 314.5])
    # The published cut-off, 937e9 (from rounded constants 1e12): experts help below, not above.
    cut = 10 ** (0.108 / 0.009)
    below, above = effective_params(S_BASE, np.array([cut / 10, cut * 10]), np.full(2, 64.0))
    assert below > cut / 10 and above < cut * 10


@pytest.mark.parametrize(
    ("router", "a", "b", "c", "d"),
    [
        ("S-Base", -0.0830, -0.118, 0.0099, 1.114),
        ("RL-R", -0.0827, -0.123, 0.0112, 1.107),
        ("Hash", -0.0874, -0.138, 0.0126, 1.160),
    ],
)
def test_released_routed_runs(router: str, a: float, b: float, c: float, d: float) -> None:
    path = DATA / "routed_last_checkpoint.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    rows = [
        row
        for row in csv.DictReader(path.open())
        if row["router_type"] in (router, "Dense")
        and (row["k"], row["routing_frequency"], row["seed"]) == ("1", "0.5", "42")
    ]
    loss = np.array([float(row["loss_validation"]) for row in rows])
    inputs = {
        "params": np.array([float(row["dense_parameter_count"]) for row in rows]),
        "experts": np.array([float(row["num_experts"]) for row in rows]),
    }
    # The paper's objective is the mean square of log10 L: a delta beyond every residual.
    fitted = fit_form(Rows.of(FORMS["routed"], inputs, loss), delta=1.0)
    found = fitted.published()
    assert [found[k] for k in "abcd"] == pytest.approx([a, b, c, d], rel=0.02, abs=0.002)


def test_released_over_training_runs() -> None:
    path = DATA / "overtraining_redpajama.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    rows = [
        {key: float(row[key]) for key in ("params", "tokens", "multiplier", "loss")}
        for row in csv.DictReader(path.open())
    ]
    # The paper's own five runs and its two targets.
    chosen = [
        row
        for row in rows
        if row["params"] < 1e9
        and (row["multiplier"] == 1 or (row["multiplier"] == 16 and row["params"] < 2e7))
    ]
    targets = [row for row in rows if row["params"] > 1e9 and row["multiplier"] in (32, 1)]
    targets = [row for row in targets if row["params"] > 2e9 or row["multiplier"] == 32]

    def columns(part):
        return {name: np.array([row[name] for row in part]) for name in ("params", "tokens")}

    loss = np.array([row["loss"] for row in chosen])
    # Least squares of L, as the paper: relative residuals weighted by L^2, and no delta.
    rows_of = Rows.of(FORMS["over-training"], columns(chosen), loss, weights=loss**2)
    fitted = fit_form(rows_of, delta=1.0)
    expected = {"E": 1.837, "a": 212.2, "b": 366.7, "h": 0.1364}
    assert fitted.published() == pytest.approx(expected, rel=0.01)
    error = fitted(columns(targets)) / [row["loss"] for row in targets] - 1
    np.testing.assert_allclose(error, [0.0071, 0.0073], atol=0.0003)
