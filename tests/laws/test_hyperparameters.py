from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.hyperparameters import fit_optima_law

SIZES = {
    "params": np.repeat([1e8, 3e8, 1e9, 3e9], 3),
    "tokens": np.tile([2e9, 1e10, 5e10], 4),
}


def true_lr(inputs) -> np.ndarray:
    return 1.79 * inputs["params"] ** -0.713 * inputs["tokens"] ** 0.307


def test_a_noiseless_law_comes_back_in_the_units_of_the_data() -> None:
    law = fit_optima_law(SIZES, true_lr(SIZES))
    assert law.exponents()["params"][0] == pytest.approx(-0.713)
    assert law.exponents()["tokens"][0] == pytest.approx(0.307)
    assert law.constant() == pytest.approx(1.79, rel=1e-6)
    far = {"params": np.array([7e10]), "tokens": np.array([1e12])}
    assert law(far) == pytest.approx(true_lr(far))
    assert law.spans["params"] == (1e8, 3e9)


def test_an_uncertain_optimum_counts_less_and_an_unknown_one_not_at_all() -> None:
    optima, se = true_lr(SIZES), np.full(12, 0.05)
    optima[0] *= 4
    equal = fit_optima_law(SIZES, optima, se).exponents()["params"][0]
    se[0] = 2.0
    weighted = fit_optima_law(SIZES, optima, se)
    se[0] = np.inf
    without = fit_optima_law(SIZES, optima, se)
    assert without.exponents()["params"][0] == pytest.approx(-0.713)
    assert abs(weighted.exponents()["params"][0] + 0.713) < 0.1 * abs(equal + 0.713)


def test_ranges_cover() -> None:
    """Own errors from .05 to .3 and a scatter of .1: 90 % ranges of exponents and of new groups."""
    generator = np.random.default_rng(0)
    target = {"params": np.array([1e10]), "tokens": np.array([2e11])}
    covered = np.zeros(3)
    for _ in range(400):
        se = generator.uniform(0.05, 0.3, 12)
        luck = se * generator.standard_normal(12) + 0.1 * generator.standard_normal(12)
        law = fit_optima_law(SIZES, true_lr(SIZES) * np.exp(luck), se)
        _, low, high = law.exponents()["params"]
        own = true_lr(target)[0] * np.exp(0.1 * generator.standard_normal())
        ends = [law.ci90(target), law.ci90(target, prediction=True)]
        covered += [
            low <= -0.713 <= high,
            ends[0][0][0] <= true_lr(target)[0] <= ends[0][1][0],
            ends[1][0][0] <= own <= ends[1][1][0],
        ]
    assert (covered / 400 > 0.85).all() and (covered / 400 < 0.97).all()


def test_bad_optima_are_refused() -> None:
    with pytest.raises(WindtunnelError, match="a value of optimum is not a positive number"):
        fit_optima_law(SIZES, -true_lr(SIZES))
    with pytest.raises(WindtunnelError, match="3 optima are known and 4 needed"):
        fit_optima_law({k: v[:3] for k, v in SIZES.items()}, true_lr(SIZES)[:3])
    tied = {"params": SIZES["params"], "tokens": 20 * SIZES["params"]}
    with pytest.raises(WindtunnelError, match="params and tokens vary together"):
        fit_optima_law(tied, true_lr(tied))
    # One of them alone is fine.
    law = fit_optima_law({"params": tied["params"]}, true_lr(tied))
    assert law.exponents()["params"][0] == pytest.approx(-0.713 + 0.307)
