"""Batch-size schedules: values worked by hand, whole batches, and refusals."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.batch_sizes import BATCH_SCHEDULES, batch_multiplier, sequences_at

SETTINGS: dict[str, dict[str, Any]] = {"doublings": {"times": 2}, "ramp": {"first": 0.01}}
names = st.sampled_from(sorted(BATCH_SCHEDULES))


def curve(name: str, steps: int, settings: dict[str, Any]) -> list[float]:
    return [batch_multiplier(name, step, steps, settings=settings) for step in range(steps)]


def test_values_worked_by_hand() -> None:
    third = {"ramp_fraction": 0.75}
    assert curve("doublings", 12, third) == [*[1 / 8] * 3, *[1 / 4] * 3, *[1 / 2] * 3, 1, 1, 1]
    assert curve("ramp", 5, {"ramp_fraction": 0.8, "first": 0.5}) == [0.5, 0.625, 0.75, 0.875, 1]
    assert curve("doublings", 3, {"ramp_fraction": 0}) == [1, 1, 1]


@given(names, st.integers(1, 200), st.floats(0, 1), st.integers(1, 500))
def test_grows_from_something_to_the_whole(
    name: str, steps: int, ramp: float, sequences: int
) -> None:
    settings = {**SETTINGS[name], "ramp_fraction": ramp}
    multipliers = curve(name, steps, settings)
    assert all(0 < earlier <= later <= 1 for earlier, later in pairwise([*multipliers, 1.0]))
    assert multipliers[round(ramp * steps) :] == [1.0] * (steps - round(ramp * steps))
    batches = [sequences_at(name, k, steps, sequences, settings=settings) for k in range(steps)]
    assert all(1 <= batch <= sequences for batch in batches)
    if name == "doublings" and sequences % 4 == 0:
        assert all(later % earlier == 0 for earlier, later in pairwise(batches))


@pytest.mark.parametrize(
    ("name", "step", "settings", "says"),
    [
        ("stairs", 0, {}, "no 'stairs'; choose from doublings, ramp"),
        ("ramp", 10, {"ramp_fraction": 0.5, "first": 0.5}, "step 10 is outside a run of 10 steps"),
        ("ramp", 0, {"ramp_fraction": 0.5}, "first: missing; the schedule 'ramp' needs it"),
        ("ramp", 0, {"ramp_fraction": 0.5, "first": 0}, "first 0 is no share of the batch"),
        ("ramp", 0, {"ramp_fraction": 1.5, "first": 1}, "ramp_fraction 1.5 is no share of the run"),
        ("doublings", 0, {"ramp_fraction": 0.5, "times": 0}, "0 doublings; there is at least one"),
    ],
)
def test_refuses_in_words(name: str, step: int, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(WindtunnelError, match=says):
        batch_multiplier(name, step, 10, settings=settings)
