from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from windtunnel.errors import WindtunnelError
from windtunnel.laws.bowl import SHAPE, bowl
from windtunnel.laws.tuning import PUBLISHED, fit_tuning_law

STEP_LAW = Path(__file__).parents[3] / "shared/data/steplaw_dense_small.csv"
LR, BATCH = (1.79, -0.713, 0.307), (0.58, 0.0, 0.571)
SIZES = [(n, n * ratio) for n in (5e7, 2e8, 8e8) for ratio in (10, 40, 160)]


def best(law: tuple[float, float, float], params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    return law[0] * params ** law[1] * tokens ** law[2]


def runs(seed: int, *, each: int = 12, noise: float = 0.002) -> dict[str, np.ndarray]:
    """Random recipes, up to 8 times off either way, at nine sizes; losses by the bowl."""
    generator = np.random.default_rng(seed)
    params, tokens = np.repeat(np.array(SIZES), each, axis=0).T
    z = generator.uniform(-np.log(8), np.log(8), (params.size, 2))
    rise = bowl(z[None], np.full((1, params.size), np.log(0.1)), SHAPE[None])[0][0]
    log_loss = np.log(1.7 + 400 / params**0.34 + 400 / tokens**0.28) + rise
    return {
        "params": params,
        "tokens": tokens,
        "lr": best(LR, params, tokens) * np.exp(z[:, 0]),
        "batch": best(BATCH, params, tokens) * np.exp(z[:, 1]),
        "loss": np.exp(log_loss + noise * generator.standard_normal(params.size)),
    }


def fit(table: dict[str, np.ndarray], **options):
    inputs = {name: table[name] for name in ("params", "tokens")}
    return fit_tuning_law(inputs, table["lr"], table["batch"], table["loss"], **options)


def test_quiet_runs_give_the_law_back() -> None:
    law = fit(runs(0, each=40, noise=1e-5))
    assert law.lr.exponents()["params"][0] == pytest.approx(-0.713, abs=0.02)
    assert law.lr.exponents()["tokens"][0] == pytest.approx(0.307, abs=0.02)
    assert law.batch.exponents()["params"][0] == pytest.approx(0.0, abs=0.02)
    assert law.batch.exponents()["tokens"][0] == pytest.approx(0.571, abs=0.02)
    params, tokens = law.groups["params"], law.groups["tokens"]
    np.testing.assert_allclose(law.optima[:, 0], best(LR, params, tokens), rtol=0.05)
    np.testing.assert_allclose(law.optima[:, 1], best(BATCH, params, tokens), rtol=0.05)


def test_ranges_cover() -> None:
    covered, wide = [], []
    for seed in range(30):
        law = fit(runs(seed))
        for found, truth in ((law.lr, LR), (law.batch, BATCH)):
            for name, exponent in zip(("params", "tokens"), truth[1:], strict=True):
                _, low, high = found.exponents()[name]
                covered.append(low <= exponent <= high)
                wide.append(high - low)
    # 120 correlated ranges of 90 %: two standard deviations of 30 independent ones.
    assert np.mean(covered) >= 0.8
    # Four times what the exponents scatter by, .04: covering by being wide would be no feat.
    assert np.median(wide) < 0.26


def test_diverged_runs_are_walls_and_do_not_move_the_law() -> None:
    table = runs(1, each=20)
    whole = fit(table)
    high = table["lr"] > 6 * best(LR, table["params"], table["tokens"])
    assert high.sum() > 3
    worse = {**table, "loss": np.where(high, np.inf, table["loss"])}
    worst = {**table, "loss": np.where(high, 9.5, table["loss"])}
    assert fit(worse).walls == fit(worst).walls >= high.sum()
    np.testing.assert_allclose(fit(worse).optima, fit(worst).optima, rtol=1e-9)
    np.testing.assert_allclose(fit(worse).optima, whole.optima, rtol=0.15)


def test_order_and_units_do_not_matter() -> None:
    table = runs(2)
    order = np.random.default_rng(0).permutation(table["loss"].size)
    shuffled = {name: values[order] for name, values in table.items()}
    scaled = {**table, "params": table["params"] / 1e6, "batch": table["batch"] / 2048}
    law, at = fit(table), {"params": np.array([7e9]), "tokens": np.array([1e12])}
    assert fit(shuffled).lr(at) == pytest.approx(law.lr(at), rel=1e-4)
    other = fit(scaled)
    at_scaled = {**at, "params": at["params"] / 1e6}
    assert other.lr(at_scaled) == pytest.approx(law.lr(at), rel=1e-4)
    assert 2048 * other.batch(at_scaled) == pytest.approx(law.batch(at), rel=1e-4)


def test_two_sizes_alone_leave_the_exponents_to_beliefs() -> None:
    table = runs(3, each=20)
    small = table["params"] * table["tokens"] <= np.sort([n * d for n, d in SIZES])[1] * 1.001
    two = {name: values[small] for name, values in table.items()}
    alone, believed = fit(two), fit(two, beliefs=PUBLISHED)
    far = {"params": np.array([1e10]), "tokens": np.array([1e12])}

    def width(law) -> float:
        low, high = law.lr.ci90(far)
        return float(np.log(high / low)[0])

    assert width(believed) < 0.6 * width(alone)
    assert width(alone) > np.log(4)


def test_bad_runs_are_refused() -> None:
    table = runs(4)
    for change, message in (
        ({"lr": np.full_like(table["lr"], 1e-3)}, "all runs have one learning rate"),
        ({"lr": -table["lr"]}, "a value of lr is not a positive number"),
        ({"loss": -table["loss"]}, "a loss is not positive"),
        ({"loss": np.where(table["params"] < 1e8, np.nan, table["loss"])}, "all runs diverged at"),
    ):
        with pytest.raises(WindtunnelError, match=message):
            fit({**table, **change})
    few = {name: values[::10] for name, values in table.items()}
    with pytest.raises(WindtunnelError, match="runs trained in"):
        fit(few)


@pytest.mark.skipif(not STEP_LAW.exists(), reason=f"{STEP_LAW} is not here")
def test_on_real_grids_the_law_follows_published_ones() -> None:
    with STEP_LAW.open() as file:
        rows = list(csv.DictReader(file))
    table = {
        name: np.array([float(row[column]) for row in rows])
        for name, column in (
            ("params", "params"),
            ("tokens", "tokens"),
            ("lr", "lr"),
            ("batch", "batch_tokens"),
            ("loss", "loss"),
        )
    }
    law = fit(table)
    assert law.used + law.walls == len(rows)
    at = {"params": np.array([3e8]), "tokens": np.array([2e10])}
    # Coefficients differ between fits of these runs; where the runs are, the values agree.
    assert law.lr(at)[0] == pytest.approx(best(LR, at["params"], at["tokens"])[0], rel=0.3)
    assert law.batch(at)[0] == pytest.approx(best(BATCH, at["params"], at["tokens"])[0], rel=0.3)
