from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.search.sweep import (
    SweepStep,
    geometric_bracket,
    index_of,
    next_step,
    value_at,
    vertex,
)


def carry_out(
    loss_at: Callable[[int], float],
    bracket: tuple[int, ...],
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[SweepStep, dict[int, float]]:
    losses: dict[int, float] = {}
    for _ in range(200):
        step = next_step(losses, bracket, limits)
        if not step.indices:
            return step, losses
        assert not set(step.indices) & set(losses), "a point was asked for twice"
        losses.update({index: loss_at(index) for index in step.indices})
    raise AssertionError("the sweep doesn't end")


def bowl(centre: float, bend: float = 0.03) -> Callable[[int], float]:
    return lambda index: 3.0 + bend * (index - centre) ** 2


def test_the_grid_is_half_octaves() -> None:
    assert value_at(index_of(0.25)) == 0.25
    assert value_at(1) == pytest.approx(math.sqrt(2))
    assert geometric_bracket(2**-9, 2**-5, 5) == (-18, -16, -14, -12, -10)


def test_a_good_guess_takes_five_runs_and_a_guess_off_by_an_octave_six() -> None:
    step, losses = carry_out(bowl(0.3), (-2, 0, 2))
    assert (step.stage, step.best, sorted(losses)) == ("settled", 0, [-2, -1, 0, 1, 2])
    step, losses = carry_out(bowl(2.3), (-2, 0, 2))
    assert (step.stage, step.best, sorted(losses)) == ("settled", 2, [-2, 0, 1, 2, 3, 4])


def test_a_shallow_valley_is_walked_outwards_instead_of_refined() -> None:
    step, losses = carry_out(bowl(0.3, bend=0.005), (-2, 0, 2))
    assert (step.stage, step.best, sorted(losses)) == ("settled", 0, [-4, -2, 0, 2, 4])


def test_a_flat_line_ends_within_the_fits_reach() -> None:
    step, losses = carry_out(lambda _: 2.0, (-2, 0, 2))
    assert step.stage == "settled" and (min(losses), max(losses)) == (-4, 4)


def test_a_coarse_bracket_is_halved_until_half_octaves() -> None:
    step, losses = carry_out(bowl(3.2), (-16, -8, 0, 8, 16))
    assert (step.stage, step.best) == ("settled", 3)
    assert {2, 3, 4} <= set(losses)


@pytest.mark.parametrize("centre", [-11.0, 12.0])
def test_an_edge_is_widened_until_the_best_is_inside(centre: float) -> None:
    step, losses = carry_out(bowl(centre), (-2, 0, 2))
    assert step.stage == "settled" and step.best == round(centre)
    assert min(losses) < centre < max(losses)


def test_a_slope_without_end_is_given_up_and_called_an_edge() -> None:
    step, losses = carry_out(lambda index: 5.0 - 0.1 * index, (-2, 0, 2))
    assert step.stage == "edge" and step.best == 2 + 16 == max(losses)


def test_a_limit_may_be_the_best() -> None:
    step, losses = carry_out(lambda index: 5.0 - 0.1 * index, (-6, -4, -2), (-math.inf, -2))
    assert step.stage == "settled" and step.best == -2 == max(losses)


def test_divergence_is_a_wall_and_the_fit_gets_points_on_the_other_side() -> None:
    step, losses = carry_out(lambda i: math.inf if i >= 1 else bowl(2)(i), (-2, 0, 2))
    assert step.stage == "settled" and step.best == 0
    assert sum(math.isfinite(loss) for index, loss in losses.items() if index >= -3) == 4


def test_all_diverged_goes_down_until_something_trains_or_gives_up() -> None:
    step, _ = carry_out(lambda i: math.inf if i > -7 else bowl(-12)(i), (-2, 0, 2))
    assert step.stage == "settled" and step.best == -12
    step, _ = carry_out(lambda _: math.inf, (-2, 0, 2))
    assert step.stage == "edge" and step.best is None


def test_a_flat_line_settles_in_the_middle() -> None:
    step, _ = carry_out(lambda _: 4.0, (-2, 0, 2))
    assert step.stage == "settled" and step.best == 0


def test_it_waits_for_the_whole_round() -> None:
    assert next_step({-2: 3.1, 0: None, 2: 3.2}, (-2, 0, 2)).stage == "wait"


def test_the_vertex_is_exact_on_a_parabola_and_the_best_elsewhere() -> None:
    _, losses = carry_out(bowl(0.37), (-2, 0, 2))
    assert vertex(losses) == pytest.approx(0.37)
    assert vertex({0: 3.0, 2: 4.0}) == 0
    assert vertex({0: math.inf}) is None
    assert vertex({-1: 3.0, 0: 3.0, 1: 3.0}) == 0


@given(
    centre=st.floats(-14, 14),
    cliff=st.floats(0.5, 8),
    curvature=st.floats(0.003, 0.1),
    coarse=st.sampled_from([(-2, 0, 2), (-8, -4, 0, 4, 8), (-4, -2, 0, 2, 4)]),
)
def test_any_bowl_is_found_to_half_an_octave_with_points_on_both_sides(
    centre: float, cliff: float, curvature: float, coarse: tuple[int, ...]
) -> None:
    step, losses = carry_out(
        lambda i: math.inf if i > centre + cliff else 3 + curvature * (i - centre) ** 2, coarse
    )
    assert step.stage == "settled" and step.best is not None
    finite = [index for index, loss in losses.items() if math.isfinite(loss)]
    assert abs(step.best - centre) == pytest.approx(min(abs(i - centre) for i in finite))
    assert abs(step.best - centre) <= 1
    for side in (-1, 1):
        assert {step.best + side, step.best + 2 * side} & set(losses)
    assert sum(abs(index - step.best) <= 4 for index in finite) >= 5


@given(centre=st.floats(-6, 6), noise=st.lists(st.floats(-0.02, 0.02), min_size=64, max_size=64))
def test_noise_costs_a_few_runs_and_never_the_end(centre: float, noise: list[float]) -> None:
    step, losses = carry_out(lambda i: bowl(centre)(i) + noise[i % 64], (-4, -2, 0, 2, 4))
    assert step.stage in ("settled", "edge") and len(losses) <= 24
