"""Refined schedules: the paper's formula worked by hand, its smoothing, and what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from windtunnel.errors import WindtunnelError
from windtunnel.schedules import schedule_multiplier
from windtunnel.schedules.refined import refine_schedule, running_median

norms = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=80)


@given(st.integers(1, 150), st.floats(1e-6, 1e6), st.sampled_from(["l1", "l2"]))
def test_equal_norms_give_exactly_the_line(steps: int, norm: float, kind: str) -> None:
    found = refine_schedule([norm] * steps, norm=kind)  # type: ignore[arg-type]
    assert found == pytest.approx([1 - t / steps for t in range(steps)], abs=1e-6)
    again = [
        schedule_multiplier(
            "recorded",
            step,
            steps,
            warmup_fraction=0,
            decay_fraction=0,
            settings={"multipliers": found},
        )
        for step in range(steps)
    ]
    line = [
        schedule_multiplier("linear", step, steps, warmup_fraction=0, decay_fraction=0)
        for step in range(steps)
    ]
    assert again == pytest.approx(line, abs=1e-6)


def test_worked_by_hand() -> None:
    """L1: w = 1/2, 1, 1/4, and the last again; tails 1.5, 0.5, 0.25; products .75, .5, .0625."""
    assert refine_schedule([2, 1, 4], norm="l1", smoothing=0) == pytest.approx(
        (1, 2 / 3, 1 / 12), abs=1e-6
    )
    # L2: w = 1/4, 1, 1/16; tails 1.125, 0.125, 0.0625; products 9/32, 1/8, 1/256.
    assert refine_schedule([2, 1, 4], norm="l2", smoothing=0) == pytest.approx(
        (1, 4 / 9, 1 / 72), abs=1e-6
    )


@given(norms, st.sampled_from(["l1", "l2"]))
def test_the_paper_s_formula_for_one_step_more(history: list[float], kind: str) -> None:
    """Theirs ends at 0 on a step that the last norm is repeated for; ours is all before it."""
    weights = np.array([*history, history[-1]]) ** (-1.0 if kind == "l1" else -2.0)
    theirs = [weights[t] * weights[t + 1 :].sum() for t in range(len(weights))]
    assert theirs[-1] == 0
    expected = np.array(theirs[:-1]) / max(theirs)
    found = refine_schedule(history, norm=kind, smoothing=0)  # type: ignore[arg-type]
    assert found == pytest.approx(expected, rel=2e-5)


@given(norms, st.floats(0, 0.99))
def test_the_median_is_their_code_s(history: list[float], share: float) -> None:
    count = len(history)
    width = 2 * (int(share * count) // 2) + 1
    if count == 1:
        assert running_median(history, share) == history
        return
    padded = np.pad(np.array(history), (0, 2 * width), mode="reflect")
    theirs = ndimage.median_filter(padded, size=width, mode="nearest")[:count]
    assert running_median(history, share) == pytest.approx(theirs)


def test_a_spike_leaves_no_trace_and_unsmoothed_it_does() -> None:
    spiked = [1.0] * 50 + [30.0] + [1.0] * 49
    line = [1 - t / 100 for t in range(100)]
    assert refine_schedule(spiked) == pytest.approx(line, abs=1e-6)
    assert refine_schedule(spiked, smoothing=0)[50] < 0.05


def test_a_warm_up_and_a_faster_end_come_out() -> None:
    falling = [1 + 9 * math.exp(-t / 10) for t in range(200)]
    found = refine_schedule(falling, smoothing=0.02)
    assert found[0] < 0.2
    assert 10 < found.index(1.0) < 60
    rising = [1.0] * 150 + [1 + 0.1 * t for t in range(50)]
    found = refine_schedule(rising)
    assert found[180] < 0.4 * (1 - 180 / 200)


def test_a_long_history_is_given_in_fewer_points() -> None:
    steps = 1000
    history = [1 + 9 * math.exp(-t / 100) for t in range(steps)]
    short, full = refine_schedule(history), refine_schedule(history, points=steps)
    assert (len(short), len(full)) == (200, steps)
    for step in range(0, steps, 7):
        read = schedule_multiplier(
            "recorded",
            step,
            steps,
            warmup_fraction=0,
            decay_fraction=0,
            settings={"multipliers": short},
        )
        assert read == pytest.approx(full[step], abs=2e-3)


@given(norms, st.floats(0, 0.99), st.integers(1, 100))
def test_it_is_a_list_that_recorded_takes(
    history: list[float], smoothing: float, points: int
) -> None:
    found = refine_schedule(history, smoothing=smoothing, points=points)
    assert len(found) == min(points, len(history))
    assert max(found) == 1
    assert all(0 < entry <= 1 for entry in found)


@pytest.mark.parametrize(
    ("history", "options", "says"),
    [
        ([], {}, "norms: need at least one"),
        ([1.0, 0.0], {}, "each above 0 and finite"),
        ([1.0, math.inf], {}, "each above 0 and finite"),
        ([1.0], {"norm": "l3"}, "no 'l3'"),
        ([1.0], {"smoothing": 1}, "smoothing: 1 is no share"),
        ([1.0], {"points": 0}, "points: 0 entries"),
    ],
)
def test_refuses_in_words(history: list[float], options: dict[str, object], says: str) -> None:
    with pytest.raises(WindtunnelError, match=says):
        refine_schedule(history, **options)  # type: ignore[arg-type]
