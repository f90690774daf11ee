from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares

from windtunnel.errors import WindtunnelError
from windtunnel.laws.chinchilla import Design, ExponentPrior, fit_chinchilla, log_loss, refit
from windtunnel.laws.points import LawPoint, law_data

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def ladder(noise: float = 0.0, seed: int = 0, widths: tuple[int, ...] = (24, 48, 96)):
    generator = np.random.default_rng(seed)
    points = []
    for width in widths:
        for units in np.geomspace(2.5e5, 1e6, 4):
            params = 24.0 * width**2
            loss = 0.7 + 15 / params**0.335 + 150 / units**0.407
            factor = np.exp(noise * generator.standard_normal())
            points.append(LawPoint(params, float(units), float(loss * factor)))
    return points


def test_the_chinchilla_points_give_the_best_known_optimum() -> None:
    path = DATA / "chinchilla_points.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here: the shared data folder lies beside the checkout")
    with path.open() as file:
        rows = [[float(r[k]) for k in ("params", "tokens", "loss")] for r in csv.DictReader(file)]
    kept = sorted(rows, key=lambda row: row[2])[:-5]
    fit = fit_chinchilla(law_data([LawPoint(*row) for row in kept]))
    assert fit.points == 240
    assert fit.objective <= 0.00101828
    assert fit.irreducible == pytest.approx(1.8172, abs=2e-3)
    assert fit.params_exponent == pytest.approx(0.34731, abs=1e-3)
    assert fit.units_exponent == pytest.approx(0.36717, abs=1e-3)
    assert fit.params_coefficient == pytest.approx(477.83, rel=0.02)
    assert fit.units_coefficient == pytest.approx(2143.4, rel=0.02)


def test_exact_data_give_the_law_back() -> None:
    fit = fit_chinchilla(law_data(ladder()))
    assert fit.irreducible == pytest.approx(0.7, rel=1e-3)
    assert fit.params_exponent == pytest.approx(0.335, rel=1e-3)
    assert fit.units_exponent == pytest.approx(0.407, rel=1e-3)
    assert fit.at_bounds == ()
    assert fit(24.0 * 256**2, 4e6) == pytest.approx(
        0.7 + 15 / (24.0 * 256**2) ** 0.335 + 150 / 4e6**0.407, rel=1e-4
    )


def test_the_jacobian_is_the_difference_quotient() -> None:
    x, y = np.array([-1.0, 0.3, 1.2]), np.array([0.5, -0.4, 0.1])
    at = np.array([[-1.0, -0.7, -0.4, np.log(0.3), np.log(0.5)]])
    _, jacobian = log_loss(at, x, y)
    for column in range(5):
        up, down = at.copy(), at.copy()
        up[0, column] += 1e-6
        down[0, column] -= 1e-6
        slope = (log_loss(up, x, y)[0] - log_loss(down, x, y)[0]) / 2e-6
        np.testing.assert_allclose(jacobian[:, :, column], slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_no_start_of_an_independent_solver_beats_it(seed: int) -> None:
    data = law_data(ladder(noise=0.005, seed=seed))
    ours = fit_chinchilla(data).objective
    log_n, log_d, log_l = np.log(data.params), np.log(data.units), np.log(data.loss)

    def residuals(p: np.ndarray) -> np.ndarray:
        total = np.exp(p[0]) + np.exp(p[1] - p[3] * log_n) + np.exp(p[2] - p[4] * log_d)
        return np.log(total) - log_l

    generator = np.random.default_rng(seed)
    low, high = [-9, -5, -5, 0.05, 0.05], [0.5, 12, 25, 2, 2]
    best = np.inf
    for _ in range(12):
        exponents = generator.uniform(0.1, 0.9, 2)
        start = [
            np.log(generator.uniform(0.2, 1)),
            exponents[0] * log_n.mean() - 0.7,
            exponents[1] * log_d.mean() - 0.7,
            *exponents,
        ]
        found = least_squares(
            residuals, np.clip(start, low, high), bounds=(low, high), loss="huber", f_scale=1e-3
        )
        best = min(best, found.cost)
    assert ours <= best * (1 + 1e-6)


def test_a_weight_of_zero_is_a_point_left_out_and_of_two_a_point_given_twice() -> None:
    points = ladder(noise=0.005)
    data = law_data(points)
    design = Design.of(data)
    observed = (np.log(data.loss) - design.middle[2])[None]
    weights = np.ones_like(observed)
    weights[0, 3], weights[0, 7] = 0, 2
    weighted = refit(design, observed, weights=weights, starts=12)
    explicit = [i for i in range(len(data)) for _ in range(int(weights[0, i]))]
    repeated = Design(design.log_params[explicit], design.log_units[explicit], design.middle)
    plain = refit(repeated, observed[:, explicit], starts=12)
    at = design.at(1e6, 2e6)
    np.testing.assert_allclose(log_loss(weighted, *at)[0], log_loss(plain, *at)[0], rtol=1e-5)


def test_a_strong_prior_holds_the_exponents_and_a_weak_one_does_not() -> None:
    data = law_data(ladder(noise=0.002))
    strong = fit_chinchilla(data, prior=ExponentPrior(0.6, 0.001))
    weak = fit_chinchilla(data, prior=ExponentPrior(0.6, 100.0))
    free = fit_chinchilla(data)
    assert strong.params_exponent == pytest.approx(0.6, rel=0.01)
    assert weak.params_exponent == pytest.approx(free.params_exponent, rel=0.01)


def test_a_bound_that_binds_is_named() -> None:
    points = [LawPoint(n, d, 2.0 + 3 / d**0.4) for n in (1e4, 1e5, 1e6) for d in (1e5, 3e5, 1e6)]
    assert "A" in fit_chinchilla(law_data(points)).at_bounds or (
        "alpha" in fit_chinchilla(law_data(points)).at_bounds
    )


@pytest.mark.parametrize("axis", ["params", "units"])
def test_one_value_of_an_axis_is_refused(axis: str) -> None:
    points = [
        LawPoint(
            1e4 if axis == "params" else 1e4 * i, 1e5 * i if axis == "params" else 1e5, 2 - i / 9
        )
        for i in (1, 2, 3, 4)
    ]
    with pytest.raises(WindtunnelError, match="share one value"):
        fit_chinchilla(law_data(points))


@pytest.mark.parametrize(
    "bad",
    [
        LawPoint(float("nan"), 1e5, 2.0),
        LawPoint(1e4, -1e5, 2.0),
        LawPoint(1e4, 1e5, -2.0),
        LawPoint(1e4, 1e5, float("inf")),
        LawPoint(1e4, 1e5, 2.0, loss_se=float("nan")),
    ],
)
def test_broken_points_are_refused_by_number(bad: LawPoint) -> None:
    with pytest.raises(WindtunnelError, match="point 2"):
        law_data([LawPoint(1e4, 1e5, 2.0), bad, LawPoint(1e4, 2e5, 1.9)])
