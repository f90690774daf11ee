"""A list of multipliers, read off and stretched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import WindtunnelError
from windtunnel.schedules.recorded import recorded


def curve(steps: int, multipliers: list[float]) -> list[float]:
    return [
        recorded(step, steps, warmup_fraction=0, decay_fraction=0, multipliers=multipliers)
        for step in range(steps)
    ]


@given(st.lists(st.floats(1e-3, 1), min_size=1, max_size=50))
def test_a_list_as_long_as_the_run_is_read_off_unchanged(multipliers: list[float]) -> None:
    assert curve(len(multipliers), multipliers) == multipliers


def test_stretched_in_lines_down_to_zero_a_step_after_the_last() -> None:
    assert curve(6, [0.5, 1.0]) == pytest.approx([0.5, 2 / 3, 5 / 6, 1, 2 / 3, 1 / 3])
    assert curve(2, [0.5, 1.0, 0.8, 0.4]) == [0.5, 0.8]


@given(st.integers(1, 40), st.integers(1, 5))
def test_a_line_stays_a_line_at_any_length(entries: int, times: int) -> None:
    line = [1 - k / entries for k in range(entries)]
    steps = entries * times
    assert curve(steps, line) == pytest.approx([1 - k / steps for k in range(steps)])


@pytest.mark.parametrize("multipliers", [[], [0.5, 0], [1.1], [-0.1]])
def test_refuses_what_is_no_list_of_multipliers(multipliers: list[float]) -> None:
    with pytest.raises(WindtunnelError, match="multipliers: need at least one number"):
        curve(3, multipliers)
