from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.laws.optimum import Trial, fit_optima, fit_optimum

# Real sweeps (gpt, muP, width: log2 rate -> loss), widths 24, 48 and 96 at 1 M tokens.
REAL = {
    24: {-8: 1.828, -7: 1.7744, -6: 1.7409, -5: 1.8126, -4: 1.9894},
    48: {-8: 1.6287, -7: 1.5726, -6: 1.5597, -5: 1.6242, -4: 1.8683},
    96: {-8: 1.4892, -7: 1.4304, -6: 1.4385, -5: 1.4782, -4: 1.5889},
}


def sweep(losses: dict[float, float]) -> list[Trial]:
    return [Trial(2.0**x, loss) for x, loss in losses.items()]


def skewed(x: np.ndarray, at: float = 0.0, bend: float = 0.035, skew: float = 0.5) -> np.ndarray:
    """A curve as steep on the high side as the real ones: bend at `at`, exponential growth."""
    z = x - at
    return bend * (np.exp(skew * z) - skew * z - 1) / skew**2


def noisy(generator: np.random.Generator, step: float, at: float, noise: float) -> list[Trial]:
    x = np.arange(-2, 2.01, step)
    y = skewed(x, at) + noise * generator.standard_normal(x.size)
    return [Trial(2.0**a, 2 * math.exp(b)) for a, b in zip(x, y, strict=True)]


def test_an_exact_parabola_gives_its_vertex() -> None:
    trials = [Trial(2.0**x, math.exp(0.04 * (x + 6.3) ** 2)) for x in (-8, -7, -6, -5)]
    found = fit_optimum(trials)
    assert found.log2_value == pytest.approx(-6.3, abs=1e-9)
    assert found.loss == pytest.approx(1.0)
    assert found.curvature == pytest.approx(0.08)
    assert found.edge is None
    low, high = found.ci90
    assert low is not None and high is not None and low < -6.3 < high


def test_real_sweeps_have_bracketed_optima_that_neighbours_confirm() -> None:
    found = fit_optima({width: sweep(losses) for width, losses in REAL.items()})
    assert found[24].log2_value == pytest.approx(-6.2, abs=0.3)
    assert found[48].log2_value == pytest.approx(-6.35, abs=0.3)
    assert found[96].log2_value == pytest.approx(-6.6, abs=0.3)
    assert all(optimum.edge is None and optimum.se < 0.3 for optimum in found.values())


@pytest.mark.parametrize(("step", "bias"), [(0.5, 0.05), (1.0, 0.15)])
def test_skewed_curves_are_hit_and_the_range_covers(step: float, bias: float) -> None:
    generator = np.random.default_rng(1)
    errors, covered = [], []
    for _ in range(60):
        truth = generator.uniform(-step / 2, step / 2, 4)
        cells = {i: noisy(generator, step, at, 0.006) for i, at in enumerate(truth)}
        for i, found in fit_optima(cells).items():
            if found.ci90[0] is None or found.ci90[1] is None:
                continue
            errors.append(found.log2_value - truth[i])
            covered.append(found.ci90[0] <= truth[i] <= found.ci90[1])
    assert len(covered) > 180
    assert abs(np.mean(errors)) < bias
    assert np.sqrt(np.mean(np.square(errors))) < 0.25
    assert np.mean(covered) >= 0.85


def test_best_at_the_end_is_an_edge_and_has_no_range() -> None:
    falling = sweep({-8: 2.4, -7: 2.2, -6: 2.1})
    assert fit_optimum(falling).edge == "high"
    assert fit_optimum(falling).ci90 == (None, None)
    rising = sweep({-8: 2.0, -7: 2.2, -6: 2.5})
    assert fit_optimum(rising).edge == "low"


@pytest.mark.parametrize("diverged", [None, math.nan, math.inf])
def test_a_diverged_run_is_a_wall_not_a_point(diverged: float | None) -> None:
    walled = [*sweep({-8: 2.4, -7: 2.2, -6: 2.1}), Trial(2.0**-5, diverged)]
    found = fit_optimum(walled)
    assert found.edge is None
    assert -7 <= found.log2_value <= -5
    assert found.points == 3


def test_a_flat_sweep_has_no_clear_optimum() -> None:
    flat = sweep({-8: 2.001, -7: 2.0, -6: 2.0015, -5: 2.001})
    assert math.isinf(fit_optimum(flat).se)


def test_noise_is_pooled_over_groups_and_seeds_widen_it() -> None:
    quiet = {width: sweep(losses) for width, losses in REAL.items()}
    loud = {
        width: [t for loss in (0.97, 1.03) for t in sweep({x: y * loss for x, y in losses.items()})]
        for width, losses in REAL.items()
    }
    assert fit_optima(loud)[24].noise > 3 * fit_optima(quiet)[24].noise
    assert fit_optima(loud)[24].dof > fit_optima(quiet)[24].dof
    assert fit_optima(loud)[24].se > fit_optima(quiet)[24].se


@settings(max_examples=50, deadline=None)
@given(
    shift=st.integers(-6, 6),
    factor=st.floats(0.1, 10),
    order=st.permutations(range(5)),
    losses=st.lists(st.floats(1, 3), min_size=5, max_size=5, unique=True),
)
def test_only_ratios_count_and_order_never(
    shift: int, factor: float, order: list[int], losses: list[float]
) -> None:
    trials = [Trial(2.0**i, loss) for i, loss in enumerate(losses)]
    moved = [Trial(2.0 ** (i + shift), losses[i] * factor) for i in order]
    one, two = fit_optimum(trials), fit_optimum(moved)
    assert two.edge == one.edge
    assert two.log2_value - shift == pytest.approx(one.log2_value, abs=1e-6)
    assert two.loss / factor == pytest.approx(one.loss, rel=1e-6)
    assert 0 <= one.log2_value <= 4


@pytest.mark.parametrize(
    ("trials", "says"),
    [
        ([Trial(-1.0, 2.0)], "value -1"),
        ([Trial(1.0, -2.0)], "loss -2"),
        ([Trial(1.0, None)], "no value gave a finite loss"),
        ([], "no value gave a finite loss"),
    ],
)
def test_bad_trials_are_refused(trials: list[Trial], says: str) -> None:
    with pytest.raises(WindtunnelError, match=says):
        fit_optimum(trials)


def test_two_values_are_an_honest_shrug() -> None:
    found = fit_optimum(sweep({-8: 2.4, -7: 2.2}))
    assert found.edge == "high" and math.isinf(found.se)
    assert found.to_json()["se"] is None


def test_a_seeds_level_moves_the_loss_and_not_the_optimum() -> None:
    def loss(octave: float, level: float) -> float:
        return 2.0 * float(np.exp(0.03 * (octave + 6.4) ** 2 + level))

    octaves = (-8.0, -7.0, -6.5, -6.0, -5.0)
    first = [Trial(2.0**o, loss(o, 0.0), seed=0) for o in octaves]
    unlucky = [Trial(2.0**o, loss(o, 0.04), seed=1) for o in octaves[1:4]]
    alone, together = fit_optimum(first), fit_optimum(first + unlucky)
    assert together.log2_value == pytest.approx(alone.log2_value, abs=1e-9)
    assert together.loss == pytest.approx(alone.loss * np.exp(0.02), rel=1e-9)
    assert together.noise <= alone.noise
